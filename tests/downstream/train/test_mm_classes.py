"""Names and colours of classes where OpenMMLab's tools look for them, and what of OpenMMLab is shown in a training."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("mmengine", reason="OpenMMLab is not installed: make test builds it")

from downstream.train import mm, mm_classes
from downstream.train.mm_classes import colours, dataset_meta
from downstream.train.result import Watch
from tests.downstream import scenes
from tests.downstream.detectors import settings

pytestmark = pytest.mark.filterwarnings("ignore")  # of OpenMMLab itself


def test_every_class_has_a_colour_of_its_own() -> None:
    for count in (1, 3, 80, 365):
        made = colours(count)
        assert len(set(made)) == count
        assert all(0 <= part <= 255 for colour in made for part in colour)
    assert colours(3) == colours(80)[:3]


def test_a_colour_is_one_that_mmengine_draws() -> None:
    """To it a list is a list of colours."""
    from mmengine.visualization.utils import color_val_matplotlib

    for about in (dataset_meta("detect", scenes.CLASSES), dataset_meta("detect", [str(number) for number in range(80)])):
        assert len(color_val_matplotlib(about["palette"])) == len(about["classes"])


def test_a_detector_has_the_names_it_was_trained_for() -> None:
    assert dataset_meta("detect", scenes.CLASSES) == {"classes": list(scenes.CLASSES), "palette": colours(3)}
    assert dataset_meta("detect", None) == {}
    from mmdet.datasets import CocoDataset

    coco = CocoDataset.METAINFO
    assert dataset_meta("detect", coco["classes"])["palette"] == list(coco["palette"])
    assert dataset_meta("detect", coco["classes"][::-1])["palette"] == colours(80)


def test_a_segmenter_has_ade20ks(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmseg.datasets import ADE20KDataset

    found = dataset_meta("segment", None)
    assert found["classes"] == list(ADE20KDataset.METAINFO["classes"])
    assert found["palette"] == [list(colour) for colour in ADE20KDataset.METAINFO["palette"]]
    monkeypatch.setattr(mm_classes, "missing", lambda task: ["mmseg"])
    assert dataset_meta("segment", None) == {}


class Notes(Watch):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_warnings_of_others_do_not_stand_between_the_lines(capfd: pytest.CaptureFixture[str]) -> None:
    notes = Notes()
    with mm._quiet(notes.note):
        warnings.simplefilter("always")
        warnings.warn_explicit("the draw is False", UserWarning, "/site-packages/mmseg/engine/hooks.py", 59)
        warnings.warn_explicit("no effect", UserWarning, str(Path(mm.__file__).with_name("anything.py")), 1)
        print("from OpenMMLab")
    assert notes.lines == ["warning: no effect"]
    assert capfd.readouterr() == ("", "")


def test_a_loss_is_read_without_its_gradient(tmp_path: Path) -> None:
    """Of which torch warns, once in each training."""
    course = mm._course(settings("segment"), tmp_path, False, Notes())
    schedule = SimpleNamespace(get_lr=lambda: {"lr": [0.1]})
    runner: Any = SimpleNamespace(epoch=0, train_dataloader=[None], optim_wrapper=schedule)
    course.before_train_epoch(runner)
    course.before_train_iter(runner, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        course.after_train_iter(runner, 0, outputs={"loss": torch.ones((), requires_grad=True) * 2})
    assert course._losses == [2.0]
