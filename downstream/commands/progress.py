"""What a person sees of a training: a bar in a terminal; elsewhere one line per epoch, and one per minute in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from downstream.train.result import Watch
from uninas.runtime.progress import Pace, Progress, View, bar, hours, view_for
from uninas.runtime.terminal import console as make_console

__all__ = ["PACE", "Shown", "progress"]

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
    "pictures_per_second": ("", ".1f", " images/s"),
}
"""Column of log.csv -> title, format and unit in the line of an epoch."""

_EVERY = 10
"""Batches between two looks at the loss, which wait for the device."""

PACE = Pace(60.0, edges=False, after_notes=True)
"""Of the lines between those of the epochs."""


@contextmanager
def progress(shown: bool, images: int = 0) -> Iterator[Watch]:
    """Show a training on stderr while inside.

    Args:
        shown: False shows nothing, as in all but the first of several processes.
        images: per batch, of all processes together; 0 leaves out images per second and the time that is left.
    """
    if not shown:
        yield Watch()
        return
    view = view_for(make_console(stderr=True), PACE)
    try:
        yield Shown(view, images)
    finally:
        view.close()


@dataclass
class _Epoch(Progress):
    """The batches of an epoch."""

    loss: Callable[[], float] = float
    """Reads the last batch's loss, which waits for the device."""

    seen: float = 0.0
    """The loss when it was last read for the panel."""

    pace: str = ""
    """Images per second of this epoch, and the time that is left of the training."""

    def line(self) -> str:
        return f"{self.phase}  batch {self.done}/{self.total}  loss {self.loss():.3f}{self.pace}"

    def panel(self) -> RenderableType:
        row = Table.grid(padding=(0, 2))
        row.add_row(bar(self), Text(f"loss {self.seen:.3f}{self.pace}"))
        return row


@final
class Shown(Watch):
    """Shows a training in a view."""

    def __init__(self, view: View, images: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._view, self._state, self._epochs = view, _Epoch(), 0
        self._images, self._clock = images, clock
        self._session: tuple[float, int] | None = None  # when the first batch of this session ended, and which of all it was
        self._begun = (0.0, 0)  # when the first batch of this epoch ended, and which it was
        self._batches = (0, 0)  # of the training: those that are done, and all

    def note(self, text: str) -> None:
        """Show a line of its own."""
        self._view.note(text)

    def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Callable[[], float]) -> None:
        """Show a batch, where the view thinks that it is time."""
        now, self._epochs, self._batches = self._clock(), epochs, (epoch * steps + step + 1, epochs * steps)
        if step == 0 or not self._state.total:  # an epoch begins
            self._state.begin(f"epoch {epoch + 1}/{epochs}", step, steps)
            self._begun = (now, step)
        self._session = self._session or (now, self._batches[0])
        self._state.done, self._state.loss, self._state.pace = step + 1, loss, self._speed(now, step) + self._left()
        if self._view.live and step % _EVERY == 0:
            self._state.seen = loss()
        self._view.update(self._state)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Show a line with the epoch's figures."""
        parts = [f"{title} {row[name]:{style}}{unit}".lstrip() for name, (title, style, unit) in _COLUMNS.items() if name in row]
        self.note(f"epoch {row['epoch']:.0f}/{self._epochs}  {'  '.join(parts)}{self._left()}")

    def _speed(self, now: float, step: int) -> str:
        since, first = self._begun
        return f"  {self._images * (step - first) / (now - since):.1f} images/s" if self._images and now > since else ""

    def _left(self) -> str:
        """Give the time that is left of the training at the pace of this session, evaluations included."""
        done, total = self._batches
        if not self._images or self._session is None or done == self._session[1] or done == total:
            return ""
        since, first = self._session
        return f"  {hours((self._clock() - since) / (done - first) * (total - done))} left"
