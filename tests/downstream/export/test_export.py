"""Exports: equal logits where none of our code is, folders that timm opens, cards that tell the truth."""

from __future__ import annotations

import errno
import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import timm
import torch

from downstream.export import export, exporting
from downstream.subject import Subject, subject_of
from downstream.train.mm_classes import dataset_meta
from downstream.train.settings import OpenMMLabSettings
from downstream.weights import weight_files
from tests.amounts import slow
from tests.uninas.examples import small, tiny, walked
from tests.uninas.running import distance, noise, scramble
from uninas import Architecture, InputError, cli, cost
from uninas.spaces import nasbench201
from uninas.text import to_document, to_text

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
NETWORKS: dict[str, Architecture] = {
    "coatnet": small("coatnet"),
    "walk": walked(tiny("RET"), random.Random(5), 50),
    "cell": nasbench201.architecture(CELL, classes=7, channels=8, cells=1),
}

ALONE = Path(__file__).parents[3] / "benchmarks" / "alone.py"


def subject(name: str, folder: Path) -> Subject:
    """A network with weights that no symmetry hides, in files."""
    path = folder / f"{name}.json"
    path.write_text(
        to_text(NETWORKS[name], {"objective": "vkdnw_agg", "place": 1, "mean": {"vkdnw": 0.25}, "spread": {"vkdnw": 0.01}})
    )
    model = scramble(timm.create_model("uninas", arch=str(path), num_classes=7))
    weight_files.save(model.state_dict(), folder / "w.safetensors")
    return subject_of(str(path), weights=folder / "w.safetensors", classes=7)


@pytest.mark.parametrize("to", ["torch", "onnx"])
@pytest.mark.parametrize("name", [slow("coatnet"), slow("walk"), "cell"])
def test_programs_need_none_of_our_code(name: str, to: str, tmp_path: Path) -> None:
    chosen = subject(name, tmp_path)
    export(chosen, to, tmp_path / "out")
    model = chosen.model()
    for batch in (1, 7):
        np.save(tmp_path / f"in{batch}.npy", noise(batch, 3, *chosen.size, seed=batch).numpy())
    done = subprocess.run(
        [sys.executable, str(ALONE), str(tmp_path), to], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for batch in (1, 7):
        expected = model(torch.from_numpy(np.load(tmp_path / f"in{batch}.npy")))
        assert distance(torch.from_numpy(np.load(tmp_path / f"got{batch}.npy")), expected) < 1e-4
    about = json.loads((tmp_path / "out" / "config.json").read_text())
    assert about["input"]["shape"] == ["batch", 3, *chosen.size]


@pytest.mark.parametrize("name", NETWORKS)
def test_timm_opens_the_folder(name: str, tmp_path: Path) -> None:
    chosen = subject(name, tmp_path)
    files = {path.name for path in export(chosen, "timm", tmp_path / "out")}
    assert files == {"README.md", "architecture.json", "config.json", "model.safetensors"}
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    images = noise(2, 3, *chosen.size)
    assert torch.equal(model(images), chosen.model()(images))
    config = timm.data.resolve_model_data_config(model)
    assert config["input_size"] == (3, *chosen.size)
    tuned = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True, num_classes=2, in_chans=1)
    assert tuned(noise(2, 1, *chosen.size)).shape == (2, 2)


def test_the_card_says_what_it_is(tmp_path: Path) -> None:
    chosen = subject("coatnet", tmp_path)
    export(chosen, "timm", tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    found = cost(chosen.architecture.replace(classes=7))
    for expected in (
        "library_name: timm",
        "# Model card for coatnet",
        f"Params (M): {found.params / 1e6:.3g}",
        f"GMACs: {found.macs / 1e9:.3g}",
        chosen.architecture.digest,
        "vkdnw: 0.25 ± 0.01",
        "objective: vkdnw_agg",
        "strides 4, 8, 16, 32",
        "w.safetensors",
    ):
        assert expected in text
    assert (tmp_path / "out" / "architecture.json").read_text() == to_text(chosen.architecture, chosen.metadata)


def test_a_training_gives_its_best_weights_and_classes(tmp_path: Path) -> None:
    from downstream.train.classify import train
    from tests.downstream import pictures
    from tests.downstream.trainings import settings

    data = pictures.make(tmp_path / "data", train=8, val=4)
    arch = to_document(tiny("ET", (32, 32)), {"mean": {"vkdnw": 0.25}})
    found = train(settings(epochs=1, arch=arch), data, tmp_path / "run", workers=0)
    chosen = subject_of(str(tmp_path / "run"))
    assert (chosen.labels, chosen.classes, chosen.size) == (pictures.CLASSES, 3, (32, 32))
    export(chosen, "onnx", tmp_path / "out")
    about = json.loads((tmp_path / "out" / "config.json").read_text())
    assert about["label_names"] == list(pictures.CLASSES)
    assert about["input"]["crop_pct"] == 1.0  # of so small images all is seen, as in the training's own evaluation
    card = (tmp_path / "out" / "README.md").read_text()
    for expected in (
        "Epochs: 1",
        "8 images of 32 x 32",
        "adamw, cosine",
        f"Top-1 on the validation images (%): {found.best:.4f}",
    ):
        assert expected in card
    assert "vkdnw: 0.25" in card  # what the search had written into the architecture's file
    assert "license: unknown" in card
    (tmp_path / "run" / "best.safetensors").unlink()
    with pytest.raises(InputError, match=r"expected best\.safetensors, the weights of a complete epoch"):
        subject_of(str(tmp_path / "run"))


def test_mistakes(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    chosen = subject_of("resnet", classes=3, size=(32, 32))
    with pytest.raises(InputError, match="expected a new or empty folder"):
        export(chosen, "torch", tmp_path / "full")
    with pytest.raises(InputError, match="--to: expected one of timm, mmdet, mmseg, torch, onnx"):
        export(chosen, "tflite", tmp_path / "out")
    with pytest.raises(InputError, match=r"--weights: expected a weights file; got .*none\.safetensors, which is not a file"):
        export(subject_of("resnet", weights=tmp_path / "none.safetensors"), "torch", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_its_own_kind_of_weights_goes_into_a_trained_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Held against those that the training left, where OpenMMLab may be absent."""
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    document = to_document(small("coatnet"))
    OpenMMLabSettings("segment", document, (64, 64), batch=2, processes=1, epochs=1, every=1, drop_path=0.1).write(run)
    (run / "architecture.json").write_text(json.dumps(document))
    whole = {"backbone.stem.weight": torch.zeros(4, 3), "decode_head.bias": torch.zeros(2), "count": torch.tensor(3)}
    files = {
        "equal": ({name: tensor + 1 for name, tensor in whole.items()}, None),
        "classifier": (timm.create_model("uninas", arch=small("coatnet"), num_classes=7).state_dict(), r"3 missing, .* unknown"),
        "backbone": ({"stem.weight": torch.zeros(4, 3)}, "3 missing"),
        "wider": ({**whole, "decode_head.bias": torch.zeros(3)}, "1 of another shape, the first is decode_head.bias"),
        "broken": (
            {**whole, "decode_head.bias": torch.tensor([0, torch.nan])},
            "1 tensors hold NaN .* the first is decode_head.b",
        ),
    }
    arguments = ["export", str(run), "--to", "mmseg", "--out", str(out), "--weights"]
    for name, (tensors, message) in files.items():
        file = tmp_path / f"{name}.safetensors"
        weight_files.save(tensors, file)
        if name == "equal":
            with pytest.raises(InputError, match=r"expected best\.safetensors, the weights of a complete epoch"):
                subject_of(str(run), weights=file)
            weight_files.save(whole, run / "best.safetensors")
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments, str(file)])
        said = capsys.readouterr().err
        assert bool(ended.value.code) == (message is not None), said
        if message is None:
            assert torch.equal(weight_files.read_tensors(out / "model.pth", whole=True)["count"], torch.tensor(4))
            assert weight_files.read_checkpoint(out / "model.pth")["meta"].get("dataset_meta", {}) == dataset_meta(
                "segment", None
            )
            shutil.rmtree(out)
        else:
            assert re.fullmatch(rf"uninas: {re.escape(str(file))}: expected .*{message}.*\n", said)
        assert not out.exists()


def test_a_program_with_other_logits_is_not_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from downstream.export import programs

    monkeypatch.setattr(programs, "runner", lambda path: lambda images: torch.zeros(len(images), 7))
    chosen = subject("cell", tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="expected the module's logits"):
        export(chosen, "onnx", tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("to", ["timm", "torch", "onnx", "source", "mmdet"])
def test_a_full_disk_leaves_nothing(to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card is written last: all else was there by then."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exporting, "write_card", full)
    chosen = subject("cell", tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="cannot write: No space left"):
        export(chosen, to, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_onnx_runs_on_any_batch_and_says_so(tmp_path: Path) -> None:
    export(subject("cell", tmp_path), "onnx", tmp_path / "out")
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert given.name == "pictures"
    assert not isinstance(given.shape[0], int)
    assert given.shape[1:] == [3, 32, 32]


def test_the_command_offers_every_format() -> None:
    from downstream.commands.export import command

    choice = next(option for option in command.params if option.name == "to").type
    assert list(choice.choices) == list(exporting.FORMATS)  # type: ignore[attr-defined]
