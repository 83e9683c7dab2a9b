"""Export a network, trained or not, to a folder in the format of another tool, with a model card.

    subject = subject_of("runs/coatnet", weights=None)
    export(subject, "onnx", Path("exported"))

Every folder contains README.md (the card), architecture.json (to build it again) and the files of its format. Exported programs
are run and must give the logits of the module.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from downstream.export import programs
from downstream.export.card import write_card
from downstream.export.source.folder import write_source
from downstream.models.backbone import of_images
from downstream.models.timm_model import UniNASNet
from downstream.protocols import crop_share
from downstream.subject import Subject
from downstream.train.mm_classes import dataset_meta
from downstream.train.mm_config import config_file
from downstream.weights import reference, weight_files
from uninas.compile.module import build
from uninas.errors import InputError
from uninas.files.writing import write_json, write_text
from uninas.reference import read_reference, reference_layers, to_reference_text
from uninas.text import to_document, to_text

__all__ = ["FORMATS", "export"]

TOLERANCE = 1e-4
"""Largest difference between the logits of a program and of the module, relative to the largest logit."""

CHECKED = (1, 7)
"""Batch sizes with which a program is checked."""


def export(subject: Subject, to: str, out: Path) -> list[Path]:
    """Export to a new folder.

    Args:
        subject: to export.
        to: a key of `FORMATS`.
        out: folder to create.

    Returns:
        The files.

    Raises:
        InputError: unknown format, weights that do not fit, a folder that is not empty, or a full disk.
        RuntimeError: a program whose logits differ from the module's.
    """
    if to not in FORMATS:
        raise InputError(f"--to: expected one of {', '.join(FORMATS)}; got '{to}'")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: expected a new or empty folder; it is a file or not empty: give another --out")
    if subject.openmmlab is not None and to != (own := _OWN[subject.openmmlab.task]):
        raise InputError(f"--to: expected {own}, because {subject.name} is the training of such a model; got {to}")
    model = subject.model()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as made:
            folder = Path(made) / "export"
            folder.mkdir()
            FORMATS[to](model, subject, folder)
            write_text(folder / "architecture.json", to_text(subject.architecture, subject.metadata))
            write_card(model, subject, to, folder)
            folder.replace(out)  # atomically
    except (OSError, SafetensorError) as error:
        raise InputError(f"{out}: cannot write: {getattr(error, 'strerror', None) or error}") from None
    except RuntimeError as error:
        if "PytorchStreamWriter" in str(error):  # raised by torch when the disk is full
            raise InputError(f"{out}: cannot write: {str(error).partition(chr(10))[0]}") from None
        raise
    return sorted(out.iterdir())


def _timm(model: UniNASNet, subject: Subject, out: Path) -> None:
    from timm.models import save_for_hf

    args = {"arch": to_document(subject.architecture), "num_classes": subject.classes, "in_chans": model.in_chans}
    config = {"label_names": list(subject.labels)} if subject.labels else {}
    save_for_hf(
        model,
        str(out),
        model_config=config,
        model_args=args,
        safe_serialization=True,
        data_config={"input_size": (model.in_chans, *subject.size), "crop_pct": crop_share(subject.size)},
    )


def _torch(model: UniNASNet, subject: Subject, out: Path) -> None:
    path = out / "model.pt2"
    torch.export.save(programs.program(model, subject.size), path)
    run = torch.export.load(path).module()
    _check(model, subject, run, path)
    _describe(model, subject, out)


def _onnx(model: UniNASNet, subject: Subject, out: Path) -> None:
    path = out / "model.onnx"
    programs.write_onnx(model, subject.size, path)
    _check(model, subject, programs.runner(path), path)
    _describe(model, subject, out)


def _source(model: UniNASNet, subject: Subject, out: Path) -> None:
    _check(model, subject, write_source(model, subject, out), out / "model.py")
    _describe(model, subject, out)


_HERE = 'here = __import__("os").path.dirname(__import__("sys")._getframe().f_code.co_filename)  # this file\'s folder'
"""mmengine runs a configuration under the name of its file; its own `{{ fileDirname }}` breaks at a quote in the path."""


def _mm(task: str, model: UniNASNet, subject: Subject, out: Path) -> None:
    """Write the protocol's configuration with this network; its files are found beside it, wherever the folder is moved."""
    of_images(subject.architecture)
    openmmlab = subject.openmmlab
    trained = subject.weights is not None and openmmlab is None
    text = config_file(task).read_text(encoding="utf-8")
    values = {"arch": 'f"{here}/architecture.json"', "weights": 'f"{here}/model.safetensors"' if trained else "None"}
    if openmmlab is not None:  # as it was trained; in MMDetection (width, height)
        values["size"] = repr(openmmlab.size[::-1] if task == "detect" else openmmlab.size)
    for name, value in values.items():
        text, found = re.subn(rf"(?m)^{name} = [^#\n]*", f"{name} = {value}  ", text)
        assert found == 1, name
    text = text.replace("\narch = ", f"\n{_HERE}\narch = ")
    if openmmlab is not None and subject.weights is not None:  # of the whole model, as OpenMMLab's tools load them
        about = dataset_meta(task, openmmlab.classes)
        state = weight_files.read_tensors(subject.weights, whole=True)
        named = {"dataset_meta": about} if about else {}
        weight_files.save_checkpoint({"meta": named, "state_dict": state}, out / "model.pth")
        text += '\n# The trained weights of the whole model, and the classes of its data.\nload_from = f"{here}/model.pth"\n'
        if openmmlab.classes is not None:
            count = f"dict(num_classes={len(openmmlab.classes)})"
            text += f"classes = {openmmlab.classes!r}\npalette = {about['palette']!r}\n"
            text += f'model["roi_head"].update(bbox_head={count}, mask_head={count})\n'
            for loader in ("train_dataloader", "val_dataloader"):  # that of the test is that of the validation
                text += f'{loader}["dataset"]["metainfo"] = dict(classes=classes, palette=palette)\n'
    write_text(out / "config.py", text)
    if trained:
        weight_files.save(model.state_dict(), out / "model.safetensors", {"format": "pt"})


def _describe(model: UniNASNet, subject: Subject, out: Path) -> None:
    """Describe input and output of a program."""
    config = model.pretrained_cfg
    about = {
        "input": {
            "name": programs.INPUT,
            "shape": ["batch", model.in_chans, *subject.size],
            "mean": config["mean"],
            "std": config["std"],
            "interpolation": "bicubic",
            "crop_pct": crop_share(subject.size),
        },
        "output": {"name": programs.OUTPUT, "shape": ["batch", subject.classes]},
        **({"label_names": list(subject.labels)} if subject.labels else {}),
    }
    write_json(out / "config.json", about)


def _check(model: UniNASNet, subject: Subject, run: Callable[[Tensor], Tensor], path: Path) -> None:
    stream = torch.Generator().manual_seed(0)
    for batch in CHECKED:
        images = torch.randn(batch, model.in_chans, *subject.size, generator=stream)
        with torch.no_grad():
            expected, got = model(images), run(images)
        error = float((got - expected).abs().max() / expected.abs().max())
        if not error <= TOLERANCE:
            raise RuntimeError(
                f"{path.name}: expected the module's logits within {TOLERANCE:g}; they differ by {error:.2g} at batch {batch}"
            )


def _reference(model: UniNASNet, subject: Subject, out: Path) -> None:
    """Write the JSON of the reference implementation, and trained weights under its names; both are read back and compared."""
    architecture = subject.architecture.replace(classes=subject.classes)
    path = out / "reference.json"
    write_text(path, to_reference_text(architecture))
    if subject.weights is None:
        return
    reference.save(model.state_dict(), out / "weights.npz", reference_layers(architecture))
    read, layers = read_reference(json.loads(path.read_text(encoding="utf-8")), str(path))
    again = build(read)
    reference.load(again, out / "weights.npz", layers)
    _check(model, subject, again.eval(), path)


_OWN = {"detect": "mmdet", "segment": "mmseg"}
"""Task of a training in OpenMMLab -> the format for its weights."""

FORMATS: dict[str, Callable[[UniNASNet, Subject, Path], None]] = {
    "timm": _timm,
    "mmdet": partial(_mm, "detect"),
    "mmseg": partial(_mm, "segment"),
    "torch": _torch,
    "onnx": _onnx,
    "source": _source,
    "reference": _reference,
}
"""Format -> what writes its files."""
