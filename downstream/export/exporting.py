"""Export a network, trained or not, to a folder of another tool's format, with a model card.

    subject = subject_of("runs/coatnet", weights=None)
    export(subject, "onnx", Path("exported"))

Every folder holds README.md (the card), architecture.json (to build it anew) and what its format needs. Programs are run before
they are given away: their logits must be the module's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from timm import create_model
from torch import Tensor

from downstream import weights as weights_files
from downstream.export import programs
from downstream.export.card import write_card
from downstream.timm_model import UniNASNet
from uninas.errors import InputError
from uninas.files import write_json, write_text
from uninas.graph import Architecture
from uninas.source import load
from uninas.text import to_text

__all__ = ["FORMATS", "Subject", "export", "subject_of"]

TOLERANCE = 1e-4
"""Largest difference between a program's logits and the module's, in parts of the largest logit."""

CHECKED = (1, 7)
"""Batches that a program is run on before it is given away."""


@dataclass(frozen=True)
class Subject:
    """What is exported.

    Attributes:
        name: for people.
        architecture: of the network; its reference size and classes are not looked at.
        classes: of the classifier.
        size: (H, W) of the input.
        weights: file that the weights are read from; None for fresh ones.
        labels: names of the classes, or None.
        seed: of fresh weights.
        metadata: what the architecture's file says of its origin.
    """

    name: str
    architecture: Architecture
    classes: int
    size: tuple[int, int]
    weights: Path | None
    labels: tuple[str, ...] | None
    seed: int
    metadata: Mapping[str, Any]

    def model(self) -> UniNASNet:
        """Build the model, in evaluation mode. Raises InputError for weights that do not fit."""
        torch.manual_seed(self.seed)
        model: Any = create_model("uninas", arch=self.architecture, num_classes=self.classes)
        if self.weights is not None:
            weights_files.load(model, self.weights)
        assert isinstance(model, UniNASNet)
        return model.eval()


def subject_of(
    source: str,
    *,
    weights: Path | None = None,
    classes: int | None = None,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> Subject:
    """Find out what is to be exported.

    Args:
        source: a preset, a file, the run of a search, or the run of a training, whose best weights, size and class names count.
        weights: file of weights; None for those of a training's run, or fresh ones.
        classes: None for those of the training, or the architecture's.
        size: None for the training's, or the architecture's reference.
        seed: of fresh weights.

    Raises:
        InputError: no such architecture, or a training without weights yet.
    """
    folder = Path(source)
    architecture, labels = None, None
    if (folder / "settings.json").is_file() and (folder / "architecture.json").is_file():
        from downstream.train.settings import read

        settings = read(folder)
        architecture, labels, size = load(folder / "architecture.json"), settings.classes, size or settings.size
        weights = weights or folder / "best.safetensors"
        if not weights.is_file():
            raise InputError(f"{folder}: expected weights of a finished epoch, best.safetensors; there are none yet")
    architecture = architecture or load(source)
    count = classes or (len(labels) if labels else architecture.classes)
    return Subject(
        name=folder.stem if folder.exists() else source,
        architecture=architecture,
        classes=count,
        size=size or architecture.input_size,
        weights=weights,
        labels=labels if labels and len(labels) == count else None,
        seed=seed,
        metadata=_metadata(folder),
    )


def _metadata(path: Path) -> Mapping[str, Any]:
    path = next((path / name for name in ("best.json", "architecture.json") if (path / name).is_file()), path)
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("metadata")
    except (OSError, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def export(subject: Subject, to: str, out: Path) -> list[Path]:
    """Write the folder.

    Args:
        subject: what to export.
        to: a key of `FORMATS`.
        out: folder to create.

    Returns:
        the files.

    Raises:
        InputError: unknown format, weights that do not fit, a folder that is not empty, or the disk.
        RuntimeError: a program whose logits are not the module's.
    """
    if to not in FORMATS:
        raise InputError(f"--to: expected one of {', '.join(FORMATS)}; got '{to}'")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: expected a new or empty folder; it holds files: give another --out")
    model = subject.model()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot create the folder: {error.strerror}") from None
    FORMATS[to](model, subject, out)
    write_text(out / "architecture.json", to_text(subject.architecture, subject.metadata))
    write_card(model, subject, to, out)
    return sorted(out.iterdir())


def _timm(model: UniNASNet, subject: Subject, out: Path) -> None:
    from timm.models import save_for_hf

    args = {"arch": json.loads(to_text(subject.architecture)), "num_classes": subject.classes}
    config = {"label_names": list(subject.labels)} if subject.labels else {}
    save_for_hf(
        model,
        str(out),
        model_config=config,
        model_args=args,
        safe_serialization=True,
        data_config={"input_size": (3, *subject.size)},
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


def _describe(model: UniNASNet, subject: Subject, out: Path) -> None:
    """Say what goes in and comes out."""
    config = model.pretrained_cfg
    about = {
        "input": {
            "name": programs.INPUT,
            "shape": ["batch", model.in_chans, *subject.size],
            "mean": config["mean"],
            "std": config["std"],
        },
        "output": {"name": programs.OUTPUT, "shape": ["batch", subject.classes]},
        **({"label_names": list(subject.labels)} if subject.labels else {}),
    }
    write_json(out / "config.json", about)


def _check(model: UniNASNet, subject: Subject, run: Callable[[Tensor], Tensor], path: Path) -> None:
    stream = torch.Generator().manual_seed(0)
    for batch in CHECKED:
        pictures = torch.randn(batch, model.in_chans, *subject.size, generator=stream)
        with torch.no_grad():
            expected, got = model(pictures), run(pictures)
        error = float((got - expected).abs().max() / expected.abs().max())
        if not error <= TOLERANCE:
            raise RuntimeError(
                f"{path}: expected the module's logits within {TOLERANCE:g}; they differ by {error:.2g} at batch {batch}"
            )


FORMATS: dict[str, Callable[[UniNASNet, Subject, Path], None]] = {"timm": _timm, "torch": _torch, "onnx": _onnx}
"""Format -> what writes its files."""
