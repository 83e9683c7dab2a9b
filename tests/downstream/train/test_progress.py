"""What a person is told of a training where there is no terminal."""

from __future__ import annotations

import pytest

from downstream.commands import progress as lines
from downstream.commands.progress import progress


def test_a_line_an_epoch_and_one_now_and_then_between(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(lines.time, "monotonic", lambda: now[0])
    with progress(True) as watch:
        for step in range(4):
            now[0] += 40.0
            watch.step(0, 3, step, 4, lambda: 1.25)
        watch.epoch({"epoch": 1.0, "train_loss": 1.25, "val_loss": 1.0, "top1": 50.0, "lr": 1e-3, "seconds": 160.0,
                     "pictures_per_second": 12.34})  # fmt: skip
        watch.note("warning: " + "x" * 200)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "epoch 1/3  batch 2/4  loss 1.250",
        "epoch 1/3  batch 4/4  loss 1.250",
        "epoch 1/3  loss 1.250  val 1.000  top-1 50.00%  lr 1.00e-03  160 s  12.3 pictures/s",
        "warning: " + "x" * 200,
    ]


def test_the_other_processes_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(False) as watch:
        watch.step(0, 1, 0, 1, lambda: 1.0)
        watch.note("heard by nobody")
    assert capsys.readouterr().err == ""
