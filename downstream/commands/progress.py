"""What a person sees of a training: a live bar in a terminal; elsewhere a line an epoch, and a line a minute in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from downstream.train.result import Watch

__all__ = ["progress"]

_COLUMNS = {
    "train_loss": ("loss", ".3f", ""),
    "val_loss": ("val", ".3f", ""),
    "top1": ("top-1", ".2f", "%"),
    "top1_ema": ("averaged", ".2f", "%"),
    "box_ap": ("box AP", ".2f", ""),
    "mask_ap": ("mask AP", ".2f", ""),
    "miou": ("mIoU", ".2f", ""),
    "lr": ("lr", ".2e", ""),
    "seconds": ("", ".0f", " s"),
    "pictures_per_second": ("", ".1f", " pictures/s"),
}
"""Column of log.csv -> title, format and unit in the line of an epoch."""

_EVERY = 10  # batches between two looks at the loss, which wait for the device
_PAUSE = 60.0  # seconds between two lines where there is no terminal


@contextmanager
def progress(shown: bool) -> Iterator[Watch]:
    """Show a training on stderr while inside; `shown` False: nothing, as in all but the first of several processes."""
    if not shown:
        yield Watch()
        return
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"), console=console, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        yield _Live(console, bar)


class _Live(Watch):
    def __init__(self, console: Console, bar: Progress) -> None:
        self._console, self._bar = console, bar
        self._task = bar.add_task("", loss="")
        self._epochs, self._said = 0, time.monotonic()

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Callable[[], float]) -> None:
        self._epochs = epochs
        if self._bar.disable:
            if time.monotonic() - self._said > _PAUSE:
                self._said = time.monotonic()
                self.note(f"epoch {epoch + 1}/{epochs}  batch {step + 1}/{steps}  loss {loss():.3f}")
            return
        if step % _EVERY:
            return
        self._bar.update(
            self._task, description=f"epoch {epoch + 1}/{epochs}", total=steps, completed=step + 1, loss=f"loss {loss():.3f}"
        )

    def epoch(self, row: Mapping[str, float]) -> None:
        parts = [f"{title} {row[name]:{style}}{unit}".lstrip() for name, (title, style, unit) in _COLUMNS.items() if name in row]
        self._said = time.monotonic()
        self.note(f"epoch {row['epoch']:.0f}/{self._epochs}  {'  '.join(parts)}")
