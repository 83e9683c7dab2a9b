"""Train and evaluate detectors and segmenters with mmengine's Runner, by the configurations of `downstream.train.mm_config`.

    train(settings, Path("data/coco"), Path("runs/mask-rcnn"), workers=4)

RUN/settings.json, architecture.json     the settings
RUN/data.json                            what tells the data from others, see `downstream.train.trained_on`
RUN/checkpoint.pth                       the last epoch: all that a resume needs, only tensors and plain data
RUN/best.safetensors                     weights with the best mask AP or mIoU
RUN/log.csv, curves.svg                  the epochs
RUN/<time>/                              mmengine's log
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch

from downstream.data.readers import plain_errors
from downstream.train.dense_data import Note, described
from downstream.train.history import read_history, write_history
from downstream.train.mm_config import METRICS, configured
from downstream.train.result import Result, Watch
from downstream.train.run_folder import held
from downstream.train.settings import OpenMMLabSettings
from downstream.train.trained_on import TrainedOn
from downstream.weights import weight_files
from uninas.errors import InputError
from uninas.files.reading import opened_as_utf8

__all__ = ["evaluate", "train"]

BEST = {"detect": "mask_ap", "segment": "miou"}
PANELS: dict[str, dict[str, tuple[str, ...]]] = {
    "detect": {"loss": ("train_loss",), "AP, %": ("box_ap", "mask_ap"), "learning rate": ("lr",)},
    "segment": {"loss": ("train_loss",), "mIoU, %": ("miou",), "learning rate": ("lr",)},
}
OVERFLOWS = 0.1
"""Share of an epoch's steps whose loss may overflow in float16: the scaler skips them."""

WARM = 3
"""Batches of an evaluation before its clock starts, if there are more."""

_PACKAGES = Path(__file__).parents[1]
"""Of our own warnings."""

_number = itertools.count()


def train(
    settings: OpenMMLabSettings,
    data: Path,
    run: Path,
    *,
    workers: int = 2,
    resume: bool = False,
    watch: Watch | None = None,
    accept_changes: bool = False,
) -> Result:
    """Train, or resume a training after its last epoch.

    Args:
        settings: of the training.
        data: folder in the layout of COCO or ADE20K.
        run: folder to create; with `resume` that of the training.
        workers: processes that read images, per training process.
        watch: called on the progress.
        accept_changes: with `resume`: go on although the data are not those that were trained on.

    Raises:
        InputError: of OpenMMLab, the data, the settings, the weights, the folder or the disk; a loss that is not finite any more.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) != settings.processes:
        raise InputError(
            f"expected {settings.processes} processes, with which the training began; got {os.environ.get('WORLD_SIZE', '1')}"
        )
    begun = resume and (run / "checkpoint.pth").is_file()  # else it was killed in the first epoch
    asked = replace(settings, weights=None) if begun else settings  # a checkpoint has all weights, and the file may be gone
    watch = watch or Watch()
    with _processes(settings.processes), _quiet(watch.note):
        config = configured(asked, data, run, workers=workers, note=watch.note)
        if not resume:
            _try_weights(config)
        on = TrainedOn(data, partial(described, settings.task, data), accepted=accept_changes, note=watch.note)
        with held(settings, run, on, resume=resume):
            course = _course(settings, run, begun, watch)
            runner = _runner(config)
            runner.course = course
            runner.register_hook(course, "LOWEST")
            with plain_errors():
                runner.train()
    rows, metric = tuple(course.rows), BEST[settings.task]
    scored = [row for row in rows if metric in row]
    best = max(scored, key=lambda row: row[metric], default={metric: math.nan, "epoch": 0})
    return Result(rows, metric, best[metric], int(best["epoch"]))


def evaluate(
    settings: OpenMMLabSettings, data: Path, run: Path, file: Path, *, workers: int = 2, note: Note | None = None
) -> Mapping[str, float]:
    """Evaluate weights on the validation images.

    Args:
        settings: of the model.
        data: folder in the layout of COCO or ADE20K; the training images are not needed.
        run: where mmengine writes its log.
        file: weights of the whole model, read safely.
        workers: processes that read images.
        note: called with what is repaired, left out or in doubt of the data.

    Returns:
        Box and mask AP, or mIoU and pixel accuracy, in percent; ``pictures``, the number of images; and ``pictures_per_second``,
        images/s including loading, without the first few batches and without computing the metrics at the end.

    Raises:
        InputError: of OpenMMLab, the data or the weights; the images have no labels.
    """
    with _quiet(note or (lambda text: None)):
        config = configured(replace(settings, weights=None, processes=1), data, run, workers=workers, training=False, note=note)
        for name in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "auto_scale_lr"):
            config[name] = None
        clock = _clock()
        runner = _runner(config)
        weight_files.load(runner.model, file)
        runner.register_hook(clock, "LOWEST")
        with plain_errors():
            found = runner.test()
    images, figures = len(runner.test_dataloader.dataset), _percent(settings.task, found)
    if BEST[settings.task] not in figures:
        raise InputError(f"{data}: expected labels on the validation images; got none")
    return {**figures, "pictures": images, "pictures_per_second": clock.rate()}


def _try_weights(config: Any) -> None:
    """Load the initial weights once, so that a file that does not fit leaves no folder."""
    if config.model.backbone.weights is not None:
        from mmengine.registry import MODELS

        MODELS.build(config.model.backbone).init_weights()


@contextmanager
def _processes(count: int) -> Iterator[None]:
    """Join the processes of one training before any of them touches a folder, and leave them at the end."""
    if count == 1 or torch.distributed.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def _quiet(note: Note) -> Iterator[None]:
    """Keep what OpenMMLab prints off stdout, which belongs to the command, and its warnings out of the progress.

    All of it is in mmengine's log file. A warning of this package is a line of the progress.
    """

    def shown(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if Path(filename).is_relative_to(_PACKAGES):
            note(f"warning: {message}")
            return
        from mmengine.logging import print_log

        print_log(f"{category.__name__}: {message}", logger="current", level=logging.WARNING)

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), opened_as_utf8():
        warnings.showwarning = shown
        yield


def _runner(config: Any) -> Any:
    from downstream.train.mm_runner import LOOP, OpenMMLabRunner

    name = f"uninas-{os.getpid()}-{next(_number)}"  # a name can be used once per process
    config.experiment_name = config.visualizer.name = name
    if config.train_cfg is not None:
        config.train_cfg.type = LOOP
    runner = OpenMMLabRunner.from_cfg(config)
    for handler in runner.logger.handlers:
        if not isinstance(handler, logging.FileHandler):  # the file keeps everything
            handler.setLevel(logging.ERROR)
    return runner


def _percent(task: str, found: Mapping[str, Any]) -> dict[str, float]:
    """Give OpenMMLab's metrics under our names, in percent. Where there is no AP there was no detection: it is 0.

    A metric without a value (NaN, or -1 in COCO) is left out.
    """
    scale, usual = (100.0, 0.0) if task == "detect" else (1.0, math.nan)
    figures = {ours: scale * float(found.get(theirs, usual)) for theirs, ours in METRICS[task].items()}
    return {name: value for name, value in figures.items() if value >= 0}


def _clock() -> Any:
    """Make a hook of mmengine that measures the images/s of a test."""
    from mmengine.hooks import Hook

    class Clock(Hook):
        def __init__(self) -> None:
            self._images, self._begin, self._end, self._seen = 0, 0.0, 0.0, 0

        def before_test_epoch(self, runner: Any) -> None:
            self._first = min(WARM, len(runner.test_dataloader) - 1)
            self._begin = time.perf_counter()

        def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self._end = time.perf_counter()
            if batch_idx < self._first:
                self._begin = self._end
            else:
                self._images += len(outputs)

        def rate(self) -> float:
            return self._images / (self._end - self._begin)

    return Clock()


def _course(settings: OpenMMLabSettings, run: Path, resume: bool, watch: Watch) -> Any:
    """Make a hook of mmengine that keeps the rows and the best weights and reports progress; see `mm_runner.Course`."""
    from mmengine.hooks import Hook

    from downstream.train.mm_runner import model_of

    task, metric = settings.task, BEST[settings.task]

    class Training(Hook):
        def __init__(self) -> None:
            self.seed, self.run, self.resume = settings.seed, run, resume
            self.rows: list[dict[str, float]] = []
            self._losses: list[float] = []
            self._begin = 0.0

        def kept(self) -> Mapping[str, Any]:
            return {"rows": self.rows}

        def restore(self, kept: Mapping[str, Any]) -> bool:
            self.rows = [dict(row) for row in kept["rows"]]
            logged = {row["epoch"]: row for row in read_history(run)}
            for row in self.rows[-1:]:  # it may have been validated after its checkpoint was written
                row |= {name: value for name, value in logged.get(row["epoch"], {}).items() if name not in row}
            return bool(self.rows) and metric not in self.rows[-1]

        def before_train_epoch(self, runner: Any) -> None:
            self._losses, self._begin = [], time.perf_counter()

        def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
            self._lr = runner.optim_wrapper.get_lr()["lr"][0]  # of this step; the schedule advances before the row is made

        def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            loss = outputs["loss"].detach()  # torch warns of a number that could have a gradient
            self._losses.append(float(loss))
            watch.step(runner.epoch, settings.epochs, batch_idx, len(runner.train_dataloader), partial(float, loss))

        def after_train_epoch(self, runner: Any) -> None:
            steps, seconds = len(self._losses), time.perf_counter() - self._begin
            finite = [loss for loss in self._losses if math.isfinite(loss)]
            if len(finite) < steps * (1 - OVERFLOWS if settings.precision == "float16" else 1):
                raise InputError(
                    f"epoch {runner.epoch + 1}: expected a finite loss; got none in {steps - len(finite)} of {steps} steps: "
                    "try a smaller learning rate, or --precision float32"
                )
            self.rows.append(
                {
                    "epoch": runner.epoch + 1,
                    "lr": self._lr,
                    "train_loss": sum(finite) / len(finite),
                    "seconds": seconds,
                    "pictures_per_second": steps * settings.batch * settings.processes / seconds,
                }
            )
            self._write(runner)
            if (runner.epoch + 1) % settings.every and runner.epoch + 1 != settings.epochs:
                watch.epoch(self.rows[-1])

        def after_val_epoch(self, runner: Any, metrics: Mapping[str, Any] | None = None) -> None:
            row, before = self.rows[-1], [other[metric] for other in self.rows[:-1] if metric in other]
            row |= {name: float(f"{value:.6g}") for name, value in _percent(task, metrics or {}).items()}  # as log.csv has it
            if runner.rank == 0 and (
                not before or row.get(metric, -math.inf) > max(before)
            ):  # the latest where there is no value yet
                about = {"epoch": str(int(row["epoch"])), **({metric: f"{row[metric]:.4f}"} if metric in row else {})}
                weight_files.save(model_of(runner).state_dict(), run / "best.safetensors", about)
            self._write(runner)
            watch.epoch(row)

        def _write(self, runner: Any) -> None:
            if runner.rank == 0:
                write_history(run, self.rows, PANELS[task])

    return Training()
