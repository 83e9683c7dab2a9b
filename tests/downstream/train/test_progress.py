"""What a person sees of a training, in a log and on a terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from downstream.commands.progress import PACE, Shown, progress
from uninas.runtime.progress import PlainView, view_for

ROW = {
    "epoch": 1.0,
    "train_loss": 1.25,
    "val_loss": 1.0,
    "top1": 50.0,
    "lr": 1e-3,
    "seconds": 160.0,
    "pictures_per_second": 12.34,
}
LINE = "epoch 1/3  loss 1.250  val 1.000  top-1 50.00%  lr 1.00e-03  160 s  12.3 images/s"


def test_one_line_per_epoch_and_one_per_minute_between() -> None:
    now, lines = 0.0, list[str]()
    watch = Shown(PlainView(lines.append, clock=lambda: now, pace=PACE))
    for step in range(4):
        now += 40.0
        watch.step(0, 3, step, 4, lambda: 1.25)
    watch.epoch(ROW)
    watch.note("warning: two images cannot be read")
    now += 59.0
    watch.step(1, 3, 0, 4, lambda: 1.0)
    now += 1.0
    watch.step(1, 3, 1, 4, lambda: 1.0)
    assert lines == [
        "epoch 1/3  batch 2/4  loss 1.250",
        "epoch 1/3  batch 4/4  loss 1.250",
        LINE,
        "warning: two images cannot be read",
        "epoch 2/3  batch 2/4  loss 1.000",
    ]


def test_images_per_second_and_the_time_that_is_left() -> None:
    """Of the whole training, at its pace so far; a resumed one counts from where it goes on."""
    now, lines = 0.0, list[str]()
    watch = Shown(PlainView(lines.append, clock=lambda: now, pace=PACE), images=8, clock=lambda: now)
    for epoch in (1, 2):
        for step in range(4):
            now += 40.0
            watch.step(epoch, 3, step, 4, lambda: 1.25)
        now += 20.0  # an evaluation
        watch.epoch({"epoch": epoch + 1.0})
    assert lines == [
        "epoch 2/3  batch 2/4  loss 1.250  0.2 images/s  0:04:00 left",  # six batches of 40 s
        "epoch 2/3  batch 4/4  loss 1.250  0.2 images/s  0:02:40 left",
        "epoch 2/3    0:03:07 left",  # three batches took 140 s, with the evaluation
        "epoch 3/3  batch 2/4  loss 1.250  0.2 images/s  0:01:28 left",
        "epoch 3/3  batch 4/4  loss 1.250  0.2 images/s",
        "epoch 3/3  ",
    ]


def test_a_log_reads_no_loss_that_it_does_not_show() -> None:
    read: list[float] = []
    watch = Shown(PlainView(lambda text: None, clock=lambda: 0.0, pace=PACE))
    watch.step(0, 1, 0, 1, lambda: read.append(1.0) or 1.0)
    assert read == []


def test_it_goes_to_stderr_unbroken(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(True) as watch:
        watch.step(0, 3, 0, 4, lambda: 1.25)
        watch.epoch(ROW)
        watch.note("warning: " + "x" * 200)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [LINE, "warning: " + "x" * 200]


def test_a_terminal_gets_a_bar_and_the_lines_of_the_epochs_above_it() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100, color_system=None)
    view = view_for(console, PACE)
    watch = Shown(view)
    losses = []
    for step in range(12):
        watch.step(0, 3, step, 12, lambda: losses.append(1) or 1.25)  # type: ignore[func-returns-value]
    watch.epoch(ROW)
    view.close()
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert LINE in said
    assert "12/12" in said
    assert "loss 1.250" in said
    assert len(losses) == 2  # of twelve batches: each look waits for the device


def test_the_other_processes_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(False) as watch:
        watch.step(0, 1, 0, 1, lambda: 1.0)
        watch.note("heard by nobody")
    assert capsys.readouterr().err == ""
