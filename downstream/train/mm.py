"""Train and evaluate detectors and segmenters with mmengine's Runner, by the configurations of `downstream.train.mm_config`.

    train(settings, Path("data/coco"), Path("runs/mask-rcnn"), workers=4)

RUN/settings.json, architecture.json     what was asked for
RUN/checkpoint.pth                       the last epoch: all that a resume needs, tensors and plain data alone
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from downstream.data.pictures import told_plainly
from downstream.train.history import read_history, write_history
from downstream.train.mm_config import METRICS, configured
from downstream.train.result import Result, Watch
from downstream.train.run_folder import held
from downstream.train.settings import StackSettings
from downstream.weights import weight_files
from uninas.errors import InputError

__all__ = ["evaluate", "train"]

BEST = {"detect": "mask_ap", "segment": "miou"}
PANELS: dict[str, dict[str, tuple[str, ...]]] = {
    "detect": {"loss": ("train_loss",), "AP, %": ("box_ap", "mask_ap"), "learning rate": ("lr",)},
    "segment": {"loss": ("train_loss",), "mIoU, %": ("miou",), "learning rate": ("lr",)},
}
OVERFLOWS = 0.1
"""Share of an epoch's steps whose loss may overflow in float16: the scaler skips them."""

WARM = 3
"""Batches of an evaluation before its clock starts, where there are more."""

_number = itertools.count()


def train(
    settings: StackSettings, data: Path, run: Path, *, workers: int = 2, resume: bool = False, watch: Watch | None = None
) -> Result:
    """Train, or take a training up where its last epoch ended.

    Args:
        settings: what to do.
        data: folder in the layout of COCO or ADE20K.
        run: folder to create; with `resume` that of the training.
        workers: processes that read pictures, for each process that trains.
        watch: told of the progress.

    Raises:
        InputError: of the stack, the data, the settings, the weights, the folder or the disk; a loss that is no number any more.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) != settings.processes:
        raise InputError(
            f"expected {settings.processes} processes, as the training began with; there are {os.environ.get('WORLD_SIZE', '1')}"
        )
    begun = resume and (run / "checkpoint.pth").is_file()  # else it was killed within the first epoch
    asked = replace(settings, weights=None) if begun else settings  # a checkpoint has all weights: the file may be gone
    with _processes(settings.processes), _quiet():
        config = configured(asked, data, run, workers=workers)
        if not resume:
            _try_weights(config)
        with held(settings, run, resume=resume):
            course = _course(settings, run, begun, watch or Watch())
            runner = _runner(config)
            runner.course = course
            runner.register_hook(course, "LOWEST")
            with told_plainly():
                runner.train()
    rows, metric = tuple(course.rows), BEST[settings.task]
    scored = [row for row in rows if metric in row]
    best = max(scored, key=lambda row: row[metric], default={metric: math.nan, "epoch": 0})
    return Result(rows, metric, best[metric], int(best["epoch"]))


def evaluate(settings: StackSettings, data: Path, run: Path, file: Path, *, workers: int = 2) -> Mapping[str, float]:
    """Score weights on the validation pictures.

    Args:
        settings: of the model.
        data: folder in the layout of COCO or ADE20K; the training pictures need not be there.
        run: where mmengine writes its log.
        file: weights of the whole model, read safely.
        workers: processes that read pictures.

    Returns:
        Box and mask AP, or mIoU and pixel accuracy, in percent; ``pictures``; and ``pictures_per_second``, loading included,
        without the first few and without the scoring at the end.

    Raises:
        InputError: of the stack, the data or the weights; there is nothing on the pictures to score by.
    """
    with _quiet():
        config = configured(replace(settings, weights=None, processes=1), data, run, workers=workers, training=False)
        for name in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "auto_scale_lr"):
            config[name] = None
        clock = _clock()
        runner = _runner(config)
        weight_files.load(runner.model, file)
        runner.register_hook(clock, "LOWEST")
        with told_plainly():
            found = runner.test()
    pictures, figures = len(runner.test_dataloader.dataset), _percent(settings.task, found)
    if BEST[settings.task] not in figures:
        raise InputError(f"{data}: expected something labelled on the pictures of the validation; there is nothing")
    return {**figures, "pictures": pictures, "pictures_per_second": clock.rate()}


def _try_weights(config: Any) -> None:
    """Load the weights that the training begins from once: a file that does not fit shall leave no folder."""
    if config.model.backbone.weights is not None:
        from mmengine.registry import MODELS

        MODELS.build(config.model.backbone).init_weights()


@contextmanager
def _processes(count: int) -> Iterator[None]:
    """Join the processes of one training before any of them touches a folder; leave them in the end."""
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
def _quiet() -> Iterator[None]:
    """Keep what the stack prints off stdout, which is the command's own; mmengine's log file has it."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _runner(config: Any) -> Any:
    from downstream.train.mm_runner import LOOP, StackRunner

    name = f"uninas-{os.getpid()}-{next(_number)}"  # a name is for one runner of a process
    config.experiment_name = config.visualizer.name = name
    if config.train_cfg is not None:
        config.train_cfg.type = LOOP
    runner = StackRunner.from_cfg(config)
    for handler in runner.logger.handlers:
        if not isinstance(handler, logging.FileHandler):  # the file keeps everything
            handler.setLevel(logging.ERROR)
    return runner


def _percent(task: str, found: Mapping[str, Any]) -> dict[str, float]:
    """The stack's metrics under our names; AP comes as a share, mIoU in percent. No AP at all is that of no detection: 0.

    Left out is what the stack has no figure for: a NaN, or COCO's -1.
    """
    scale, usual = (100.0, 0.0) if task == "detect" else (1.0, math.nan)
    figures = {ours: scale * float(found.get(theirs, usual)) for theirs, ours in METRICS[task].items()}
    return {name: value for name, value in figures.items() if value >= 0}


def _clock() -> Any:
    """A hook of mmengine that says how many pictures a second a test takes."""
    from mmengine.hooks import Hook

    class Clock(Hook):
        def __init__(self) -> None:
            self._pictures, self._begin, self._end, self._seen = 0, 0.0, 0.0, 0

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
                self._pictures += len(outputs)

        def rate(self) -> float:
            return self._pictures / (self._end - self._begin)

    return Clock()


def _course(settings: StackSettings, run: Path, resume: bool, watch: Watch) -> Any:
    """A hook of mmengine that keeps the rows, the best weights and the person informed; see `mm_runner.Course`."""
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
            for row in self.rows[-1:]:  # validated after its checkpoint was written, if it came to that
                row |= {name: value for name, value in logged.get(row["epoch"], {}).items() if name not in row}
            return bool(self.rows) and metric not in self.rows[-1]

        def before_train_epoch(self, runner: Any) -> None:
            self._losses, self._begin = [], time.perf_counter()

        def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
            self._lr = runner.optim_wrapper.get_lr()["lr"][0]  # of this step; the schedule moves on before the row is made

        def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            loss = outputs["loss"]
            self._losses.append(float(loss))
            watch.step(runner.epoch, settings.epochs, batch_idx, len(runner.train_dataloader), partial(float, loss.detach()))

        def after_train_epoch(self, runner: Any) -> None:
            steps, seconds = len(self._losses), time.perf_counter() - self._begin
            finite = [loss for loss in self._losses if math.isfinite(loss)]
            if len(finite) < steps * (1 - OVERFLOWS if settings.precision == "float16" else 1):
                raise InputError(
                    f"epoch {runner.epoch + 1}: expected a loss; in {steps - len(finite)} of {steps} steps it is no number: "
                    "try a smaller learning rate, or --precision float32"
                )
            self.rows.append({
                "epoch": runner.epoch + 1, "lr": self._lr, "train_loss": sum(finite) / len(finite),
                "seconds": seconds, "pictures_per_second": steps * settings.batch * settings.processes / seconds,
            })  # fmt: skip
            self._write(runner)
            if (runner.epoch + 1) % settings.every and runner.epoch + 1 != settings.epochs:
                watch.epoch(self.rows[-1])

        def after_val_epoch(self, runner: Any, metrics: Mapping[str, Any] | None = None) -> None:
            row, before = self.rows[-1], [other[metric] for other in self.rows[:-1] if metric in other]
            row |= {name: float(f"{value:.6g}") for name, value in _percent(task, metrics or {}).items()}  # as log.csv has it
            if runner.rank == 0 and (not before or row.get(metric, -math.inf) > max(before)):  # without a figure the latest
                about = {"epoch": str(int(row["epoch"])), **({metric: f"{row[metric]:.4f}"} if metric in row else {})}
                weight_files.save(model_of(runner).state_dict(), run / "best.safetensors", about)
            self._write(runner)
            watch.epoch(row)

        def _write(self, runner: Any) -> None:
            if runner.rank == 0:
                write_history(run, self.rows, PANELS[task])

    return Training()
