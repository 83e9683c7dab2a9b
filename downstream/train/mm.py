"""Train and evaluate detectors and segmenters with mmengine's Runner, by the configurations of `downstream.train.mm_config`.

    train(settings, Path("data/coco"), Path("runs/mask-rcnn"), workers=4)

RUN/settings.json, architecture.json     what was asked for
RUN/epoch_12.pth, last_checkpoint        mmengine's own, for --resume
RUN/best.safetensors                     weights with the best mask AP or mIoU
RUN/log.csv, curves.svg                  the epochs
RUN/<time>/                              mmengine's log

mmengine's checkpoints are pickles. Ours are read only if they hold nothing but tensors and plain data; whatever else is refused.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from downstream import weights
from downstream.train.history import read_history, write_history
from downstream.train.mm_config import METRICS, configured
from downstream.train.result import Result, Watch
from downstream.train.settings import StackSettings
from uninas.errors import InputError
from uninas.files import write_json

__all__ = ["evaluate", "train"]

BEST = {"detect": "mask_ap", "segment": "miou"}
_PANELS: dict[str, dict[str, tuple[str, ...]]] = {
    "detect": {"loss": ("train_loss",), "AP, %": ("box_ap", "mask_ap"), "learning rate": ("lr",)},
    "segment": {"loss": ("train_loss",), "mIoU, %": ("miou",), "learning rate": ("lr",)},
}
_number = itertools.count()


def train(
    settings: StackSettings, data: Path, run: Path, *, workers: int = 2, resume: bool = False, watch: Watch | None = None
) -> Result:
    """Train, or take a training up where its last checkpoint was written.

    Args:
        settings: what to do.
        data: folder in the layout of COCO or ADE20K.
        run: folder to create; with `resume` that of the training.
        workers: processes that read pictures, for each process that trains.
        watch: told of the progress.

    Raises:
        InputError: of the stack, the data, the settings, the weights, the folder or the disk.
    """
    config = configured(settings, data, run, workers=workers)
    first = int(os.environ.get("RANK", "0")) == 0
    if int(os.environ.get("WORLD_SIZE", "1")) != settings.processes:
        raise InputError(
            f"expected {settings.processes} processes, as the training began with; there are {os.environ.get('WORLD_SIZE', '1')}"
        )
    if resume:
        config.load_from, config.resume = _last(run), True
    elif first:
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            raise InputError(
                f"{run}: expected a new folder; it exists: go on with --resume {run}, or give another --out"
            ) from None
        except OSError as error:
            raise InputError(f"{run}: cannot create the folder: {error.strerror}") from None
        settings.write(run)
        write_json(run / "architecture.json", dict(settings.arch))
    config.launcher = "pytorch" if settings.processes > 1 else "none"
    report = _report(settings, run if first else None, watch or Watch())
    with _readable_checkpoints(), _told():
        runner = _runner(config)
        runner.register_hook(report, "LOWEST")
        runner.train()
    rows, metric = tuple(report.rows), BEST[settings.task]
    scored = [row for row in rows if metric in row]
    best = max(scored, key=lambda row: row[metric], default={metric: 0.0, "epoch": 0})
    return Result(rows, metric, best[metric], int(best["epoch"]))


def evaluate(settings: StackSettings, data: Path, run: Path, file: Path, *, workers: int = 2) -> Mapping[str, float]:
    """Score weights on the validation pictures.

    Args:
        settings: of the model.
        data: folder in the layout of COCO or ADE20K.
        run: where mmengine writes its log.
        file: weights of the whole model, read safely.
        workers: processes that read pictures.

    Returns:
        Box and mask AP, or mIoU and pixel accuracy, in percent; and ``pictures_per_second``, loading included.

    Raises:
        InputError: of the stack, the data or the weights.
    """
    config = configured(settings, data, run, workers=workers)
    for name in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"):
        config[name] = None
    config.model.backbone.weights = None
    with _told():
        runner = _runner(config)
        weights.load(runner.model, file)
        clock = time.perf_counter()
        found = runner.test()
        seconds = time.perf_counter() - clock
    pictures = len(runner.test_dataloader.dataset)
    return {**_percent(settings.task, found), "pictures": pictures, "pictures_per_second": pictures / seconds}


def _runner(config: Any) -> Any:
    from mmengine.runner import Runner

    config.experiment_name = f"uninas-{os.getpid()}-{next(_number)}"  # a name is for one runner of a process
    runner = Runner.from_cfg(config)
    for handler in runner.logger.handlers:
        if not isinstance(handler, logging.FileHandler):  # the file keeps everything
            handler.setLevel(logging.ERROR)
    return runner


def _percent(task: str, found: Mapping[str, Any]) -> dict[str, float]:
    """The stack's metrics under our names; AP comes as a share, mIoU in percent."""
    scale = 100.0 if task == "detect" else 1.0
    return {ours: scale * float(found[theirs]) for theirs, ours in METRICS[task].items() if theirs in found}


def _report(settings: StackSettings, run: Path | None, watch: Watch) -> Any:
    """A hook of mmengine that keeps the rows, the best weights and the person informed; without a run folder only the rows."""
    from mmengine.hooks import Hook

    task, metric = settings.task, BEST[settings.task]

    class Report(Hook):
        def __init__(self) -> None:
            self.rows: list[dict[str, float]] = []
            self._losses, self._clock = torch.zeros(()), 0.0

        def before_train(self, runner: Any) -> None:
            kept = [] if run is None else read_history(run)
            self.rows = [dict(row) for row in kept if row["epoch"] <= runner.epoch]

        def before_train_epoch(self, runner: Any) -> None:
            self._losses, self._clock = torch.zeros((), dtype=torch.float64), time.perf_counter()

        def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            loss = outputs["loss"]
            self._losses += float(loss)
            watch.step(runner.epoch, settings.epochs, batch_idx, len(runner.train_dataloader), partial(float, loss))

        def after_train_epoch(self, runner: Any) -> None:
            steps = len(runner.train_dataloader)
            seconds = time.perf_counter() - self._clock
            self.rows.append({
                "epoch": runner.epoch + 1, "lr": runner.optim_wrapper.get_lr()["lr"][0],
                "train_loss": float(self._losses) / steps, "seconds": seconds,
                "pictures_per_second": steps * settings.batch * settings.processes / seconds,
            })  # fmt: skip
            self._write()
            if (runner.epoch + 1) % settings.every and runner.epoch + 1 != settings.epochs:
                watch.epoch(self.rows[-1])

        def after_val_epoch(self, runner: Any, metrics: Mapping[str, Any] | None = None) -> None:
            row = self.rows[-1]
            row |= _percent(task, metrics or {})
            if run is not None and metric in row and row[metric] >= max(other.get(metric, -1.0) for other in self.rows):
                model = getattr(runner.model, "module", runner.model)
                about = {"epoch": str(row["epoch"]), metric: f"{row[metric]:.4f}"}
                weights.save(model.state_dict(), run / "best.safetensors", about)
            self._write()
            watch.epoch(row)

        def _write(self) -> None:
            if run is not None:
                write_history(run, self.rows, _PANELS[task])

    return Report()


def _last(run: Path) -> str | None:
    """The checkpoint to go on from; None, so from the beginning, where a training was killed before the first."""
    note = run / "last_checkpoint"
    if not note.is_file():
        return None
    path = run / Path(note.read_text(encoding="utf-8").strip()).name  # the run may have been moved
    if not path.is_file():
        raise InputError(f"{note}: expected the name of a checkpoint in {run}; there is no {path.name}")
    weights.read_checkpoint(path)  # what mmengine unpickles is data alone
    return str(path)


@contextmanager
def _readable_checkpoints() -> Iterator[None]:
    """Let torch's restricted reader pass what mmengine puts beside tensors: buffers of logged numbers."""
    import numpy
    from mmengine.logging.history_buffer import HistoryBuffer

    core = numpy._core.multiarray  # type: ignore[attr-defined]
    kinds = {type(numpy.dtype(kind)) for kind in ("float64", "float32", "int64", "int32")}
    names: list[Any] = [HistoryBuffer, getattr, core._reconstruct, core.scalar, numpy.ndarray, numpy.dtype, *kinds]
    with torch.serialization.safe_globals(names):
        yield


@contextmanager
def _told() -> Iterator[None]:
    """Give a clear error for a picture that cannot be read; what was trained is kept."""
    try:
        yield
    except (AssertionError, OSError, ValueError) as error:
        found = re.search(r"failed to load image: (\S+)|cannot identify image file '([^']+)'", str(error))
        if found is None:
            raise
        raise InputError(
            f"{found[1] or found[2]}: expected a picture; it cannot be read: repair it or take it from the annotations"
        ) from None
