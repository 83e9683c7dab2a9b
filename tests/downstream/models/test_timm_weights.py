"""`pretrained=True` on what a training left, and on a file: whose weights, how many classes, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import downstream  # noqa: F401 registers the model
from downstream.train.settings import OpenMMLabSettings
from downstream.weights import weight_files
from tests.downstream.trainings import settings
from tests.uninas.examples import tiny
from tests.uninas.running import noise, scramble
from uninas import InputError
from uninas.text import to_document

import timm  # isort: skip  after the repair of torchvision
from timm.models import resolve_model_input_args  # isort: skip

CLASSES = ("blue", "green", "red")
IMAGES = noise(2, 3, 32, 32)


def classifier(letters: str = "ET", classes: int = 3) -> Any:
    model = timm.create_model("uninas", arch=tiny(letters, (32, 32)), num_classes=classes).eval()
    scramble(model)
    return model


def run_of(folder: Path, tensors: dict[str, torch.Tensor] | None, task: str = "classify") -> Path:
    """What a training leaves; without tensors, before its first epoch is complete."""
    document = to_document(tiny("ET", (32, 32)))
    folder.mkdir()
    if task == "classify":
        settings(arch=document, classes=CLASSES).write(folder)
    else:
        OpenMMLabSettings(task, document, (64, 64), batch=2, processes=1, epochs=1, every=1, drop_path=0.1).write(folder)
    (folder / "architecture.json").write_text(json.dumps(document))
    if tensors is not None:
        weight_files.save(tensors, folder / "best.safetensors")
    return folder


@pytest.mark.parametrize("kind", [str, Path])
def test_a_training(kind: Any, tmp_path: Path) -> None:
    trained = classifier()
    run = kind(run_of(tmp_path / "run", trained.state_dict()))
    model = timm.create_model("uninas", arch=run, pretrained=True).eval()
    assert torch.equal(model(IMAGES), trained(IMAGES))
    config = timm.data.resolve_model_data_config(model)
    assert (config["input_size"], config["crop_pct"]) == ((3, 32, 32), 1.0)
    assert (model.num_classes, tuple(model.pretrained_cfg["label_names"])) == (3, CLASSES)
    tuned = timm.create_model("uninas", arch=run, pretrained=True, num_classes=5, in_chans=1, img_size=64)
    assert tuned(noise(2, 1, 64, 64)).shape == (2, 5)
    assert torch.equal(tuned.stem.conv1.weight, trained.stem.conv1.weight.sum(1, keepdim=True))
    maps = timm.create_model("uninas", arch=run, pretrained=True, features_only=True).eval()(IMAGES)
    assert all(map(torch.equal, maps, trained.forward_intermediates(IMAGES, intermediates_only=True)))
    by_file = timm.create_model("uninas", arch=f"{run}/architecture.json", pretrained=True).eval()
    assert torch.equal(by_file(IMAGES), trained(IMAGES))
    by_script = timm.create_model(**resolve_model_input_args("uninas", {}, arch=run, pretrained=True)).eval()
    assert torch.equal(by_script(IMAGES), trained(IMAGES))
    assert not torch.equal(timm.create_model("uninas", arch=run, num_classes=3).eval()(IMAGES), trained(IMAGES))


def test_a_detectors_backbone_gives_features(tmp_path: Path) -> None:
    trained = classifier()
    inside = {f"backbone.{key}": value for key, value in trained.state_dict().items() if key.startswith(("stem.", "stages."))}
    run = str(run_of(tmp_path / "run", {**inside, "neck.weight": torch.zeros(3)}, "detect"))
    maps = timm.create_model("uninas", arch=run, pretrained=True, features_only=True).eval()(IMAGES)
    assert all(map(torch.equal, maps, trained.forward_intermediates(IMAGES, intermediates_only=True)))
    with pytest.raises(InputError, match=r"pretrained: expected a classifier; .*: features_only=True takes its backbone"):
        timm.create_model("uninas", arch=run, pretrained=True)


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_a_file(ending: str, tmp_path: Path) -> None:
    trained = classifier()
    path = tmp_path / f"model.{ending}"
    if ending == "safetensors":
        weight_files.save(trained.state_dict(), path)
    else:
        torch.save({"state_dict": trained.state_dict()}, path)
    source: dict[str, Any] = {"arch": tiny("ET", (32, 32)), "pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}
    model = timm.create_model("uninas", **source).eval()
    assert torch.equal(model(IMAGES), trained(IMAGES))  # the file says how many classes
    assert timm.create_model("uninas", **source, num_classes=2)(IMAGES).shape == (2, 2)
    large = timm.create_model("uninas", **source, img_size=64).eval()
    assert large.pretrained_cfg["input_size"] == (3, 32, 32)  # of the weights
    assert torch.equal(large(noise(1, 3, 64, 64)), trained(noise(1, 3, 64, 64)))
    grey = timm.create_model("uninas", **source, in_chans=1)
    assert torch.equal(grey.stem.conv1.weight, trained.stem.conv1.weight.sum(1, keepdim=True))


def test_a_folder_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from there: what would be downloaded is read from the folder."""
    trained = classifier()
    timm.models.save_for_hf(trained, tmp_path, safe_serialization=True)

    def download(*place: str, **options: Any) -> str:
        return str(tmp_path / (place[1] if place else options["filename"]))

    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    model = timm.create_model("hf-hub:somebody/net", pretrained=True).eval()
    assert torch.equal(model(IMAGES), trained(IMAGES))
    assert timm.create_model("hf-hub:somebody/net", pretrained=True, in_chans=2, num_classes=0)(noise(1, 2, 32, 32)).shape == (
        1,
        32,
    )


def test_what_has_no_weights_or_other_ones(tmp_path: Path) -> None:
    from uninas.text import to_text

    with pytest.raises(InputError, match=r"pretrained: expected weights: .*; got arch=coatnet, which has none"):
        timm.create_model("uninas", arch="coatnet", pretrained=True)
    with pytest.raises(InputError, match=r"got arch=Architecture, which has none"):
        timm.create_model("uninas", arch=tiny(), pretrained=True)
    (tmp_path / "net.json").write_text(to_text(tiny()))
    with pytest.raises(InputError, match=r"got arch=.*net\.json, which has none"):
        timm.create_model("uninas", arch=str(tmp_path / "net.json"), pretrained=True)
    with pytest.raises(InputError, match=r"expected best\.safetensors, the weights of a complete epoch; there are none yet"):
        timm.create_model("uninas", arch=str(run_of(tmp_path / "young", None)), pretrained=True)
    other = run_of(tmp_path / "other", classifier("RR").state_dict())
    for options in ({}, {"features_only": True}):  # for which timm itself would leave out what is missing
        with pytest.raises(InputError, match=r"pretrained: expected weights of this architecture; \d+ missing, the first is "):
            timm.create_model("uninas", arch=str(other), pretrained=True, **options)
    (other / "settings.json").write_text('{"task": "classify", "size": 3}')
    with pytest.raises(InputError, match=r"settings\.json: expected the settings of a training; KeyError: 'classes'"):
        timm.create_model("uninas", arch=str(other), pretrained=True)
