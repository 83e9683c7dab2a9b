"""The lines of a model card run as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from downstream.export import export
from downstream.subject import subject_of
from tests.downstream import scenes
from tests.downstream.cards import programs, run
from tests.uninas.examples import small, tiny
from uninas import Architecture, cli
from uninas.text import to_text


def exported(to: str, folder: Path, architecture: Architecture | None = None, **options: Any) -> Path:
    (folder / "net.json").write_text(to_text(architecture or tiny("ET", (32, 32))))
    export(subject_of(str(folder / "net.json"), **options), to, folder / "out")
    return folder / "out"


def test_timm_classifies_an_image(tmp_path: Path) -> None:
    out = exported("timm", tmp_path)
    Image.new("L", (50, 40)).save(out / "image.jpg")
    classify, maps = programs(out)
    assert "torch.zeros(1, 3, 32, 32)" in maps
    assert run(out, f"{classify}\nprint(tuple(logits.shape))") == ["(1, 5)"]


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_timm_at_any_number_of_channels(channels: int, tmp_path: Path) -> None:
    out = exported("timm", tmp_path, tiny("ET", (32, 32)).replace(in_channels=channels))
    Image.new("RGB", (50, 40)).save(out / "image.jpg")
    classify, maps = programs(out)
    assert run(out, f"{classify}\nprint(tuple(logits.shape))") == ["(1, 5)"]
    assert run(out, f"{maps}\nprint([tuple(one.shape) for one in maps])") == ["[(1, 32, 8, 8), (1, 32, 4, 4)]"]


@pytest.mark.slow
@pytest.mark.parametrize("to", ["torch", "onnx"])
def test_programs(to: str, tmp_path: Path) -> None:
    out = exported(to, tmp_path)
    (code,) = programs(out)
    assert run(out, f"{code}\nprint(tuple(logits.shape))") == ["(2, 5)"]


@pytest.mark.slow
@pytest.mark.parametrize("to", ["mmdet", "mmseg"])
def test_openmmlab_builds_all_that_a_training_needs(to: str, tmp_path: Path) -> None:
    """The last step is stopped before its first batch: an epoch at the protocol's size takes minutes."""
    pytest.importorskip("mmengine", reason="OpenMMLab is not installed: make test builds it")
    out = exported(to, tmp_path, small("coatnet"))
    data = {"mmdet": "data/coco", "mmseg": "data/ade/ADEChallengeData2016"}[to]
    {"mmdet": scenes.make_coco, "mmseg": scenes.make_ade}[to](out / data)
    for path in (out / data).glob("annotations/*.json"):
        path.write_text(path.read_text().replace('"red"', '"person"'))  # a class of COCO
    (code,) = programs(out)
    counted = "lambda self: print(len(self.build_train_loop(self._train_loop).dataloader) > 0)"
    stopped = f"from mmengine.runner import Runner\nRunner.train = {counted}\n"
    assert run(out, stopped + code)[-1] == "True"


def test_source_needs_none_of_our_code(tmp_path: Path) -> None:
    """As printed, where this package cannot be imported; a torchvision that is built for another torch is repaired before."""
    out = exported("source", tmp_path, tiny("E", (32, 32)))
    plain, in_timm, as_program = programs(out)
    shown = "\nprint(tuple(logits.shape))"
    assert run(out, f"{blocked('timm')}{plain}{shown}") == ["(2, 5)"]
    assert run(out, f"{REPAIRED}{blocked()}{in_timm}{shown}") == ["(2, 5)"]
    tried = "\nprint(tuple(scripted(torch.zeros(1, 3, 32, 32)).shape), type(program).__name__)"
    assert run(out, f"{blocked('timm')}{as_program}{tried}") == ["(1, 5) ExportedProgram"]


REPAIRED = "from uninas.runtime.torchvision_repair import repair\nrepair()\n"


def blocked(*more: str) -> str:
    """Lines after which these packages and ours cannot be imported."""
    names = ("uninas", "proxies", "search", "downstream", *more)
    return f"import sys\nsys.modules.update(dict.fromkeys({names!r}))\n"


def test_the_reference_is_read_again(tmp_path: Path) -> None:
    out = exported("reference", tmp_path, small("resnet"))
    assert programs(out) == []
    card = (out / "README.md").read_text()
    assert "\nuninas cost reference.json\n" in card
    with pytest.raises(SystemExit) as ended:
        cli.main(["cost", str(out / "reference.json")])
    assert not ended.value.code
