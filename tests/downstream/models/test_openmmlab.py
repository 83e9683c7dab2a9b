"""What is said where MMDetection and MMSegmentation are absent, or lack mmcv's operators."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from downstream.models import openmmlab
from tests.downstream import scenes
from uninas import InputError, cli

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The packages that seem to be there."""
    there = {"mmengine", "mmcv", "mmdet", "mmseg"}
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: (name in there) or None if name.startswith("mm") else real(name, *rest)
    )
    return there


@pytest.mark.skipif("UNINAS_STACK" not in os.environ, reason="OpenMMLab may be absent; make test says that it is not")
def test_the_openmmlab_that_make_test_builds_is_complete() -> None:
    """Else every test of it would be passed over in silence."""
    for task in ("detect", "segment"):
        openmmlab.require(task)
        assert not openmmlab.missing(task)
    assert openmmlab.operators()


WITHOUT_OPERATORS = """
import sys
sys.modules["mmcv._ext"] = None
from uninas.runtime.torchvision_repair import repair
repair()
from downstream.models import openmmlab
assert not openmmlab.operators()
from uninas import InputError
try:
    openmmlab.require("segment")
except InputError as error:  # the originals
    assert "--task segment: expected mmcv with its compiled operators" in str(error), error
    print("rejected")
    sys.exit()
from mmengine.config import Config
from mmengine.registry import DefaultScope, MODELS
from downstream.train.mm_config import config_file
DefaultScope.get_instance("here", scope_name="mmseg")
MODELS.build(Config.fromfile(config_file("segment")).model)
print("built")
"""


@pytest.mark.skipif(importlib.util.find_spec("mmseg") is None, reason="OpenMMLab is not installed: make test builds it")
def test_segmentation_is_built_without_operators() -> None:
    """In a process where mmcv's library cannot be imported."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_OPERATORS], cwd=ROOT, capture_output=True, text=True, check=False)
    names = {found.metadata["Name"] for found in importlib.metadata.distributions()}
    assert done.stdout.splitlines()[-1:] == ["built" if "onedl-mmsegmentation" in names else "rejected"], done.stderr


def test_absent_packages_are_named_with_the_extra(installed: set[str]) -> None:
    installed -= {"mmcv", "mmdet"}
    assert openmmlab.missing("detect") == ["mmcv", "mmdet"]
    with pytest.raises(InputError, match=r"missing: mmcv, mmdet: pip install 'PATH/TO/uninas-ray\[mm\]'"):
        openmmlab.require("detect")
    with pytest.raises(InputError, match="missing: mmcv"):
        openmmlab.require("segment")


def test_without_operators_detection_is_rejected_and_segmentation_is_not(
    installed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmmlab, "operators", lambda: False)
    monkeypatch.setattr(openmmlab, "_segmentation_imports", lambda: True)
    openmmlab.require("segment")
    monkeypatch.setattr(openmmlab, "_segmentation_imports", lambda: False)  # the originals
    with pytest.raises(InputError, match="--task segment: expected mmcv with its compiled operators"):
        openmmlab.require("segment")
    with pytest.raises(InputError, match=r"MMCV_WITH_OPS=1 pip install --no-build-isolation") as caught:
        openmmlab.require("detect")
    assert "mmcv._ext" in str(caught.value)


def test_a_complete_openmmlab_is_enough(installed: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmmlab, "operators", lambda: True)
    for task in ("detect", "segment"):
        openmmlab.require(task)
        installed.discard("mmcv")
        with pytest.raises(InputError, match="missing: mmcv"):
            openmmlab.require(task)
        installed.add("mmcv")


def test_the_command_says_so_in_one_line(installed: set[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    installed.clear()
    data = scenes.make_coco(tmp_path / "coco", train=1, val=1)
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "coatnet", "--task", "detect", "--data", str(data), "--out", str(tmp_path / "run")])
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert "--task detect: expected the packages mmengine, mmcv, mmdet; missing: mmengine, mmcv, mmdet" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "detect", "--augment", "x"], "--augment: expected none with --task detect"),
        (["--task", "classify", "--every", "2"], "--every: expected none with --task classify"),
        (["--task", "segment", "--device", "cpu"], "--device: expected none for detect and segment"),
    ],
)
def test_options_of_another_task_are_rejected(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "coatnet", "--data", str(tmp_path), "--out", str(tmp_path / "run"), *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
