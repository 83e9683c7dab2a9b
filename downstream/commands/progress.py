"""What a person sees of a training: a bar in a terminal; elsewhere one line per epoch, and one per minute in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from downstream.train.result import Watch
from uninas.runtime.progress import Pace, Progress, View, bar, view_for
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
def progress(shown: bool) -> Iterator[Watch]:
    """Show a training on stderr while inside; `shown` False: nothing, as in all but the first of several processes."""
    if not shown:
        yield Watch()
        return
    view = view_for(make_console(stderr=True), PACE)
    try:
        yield Shown(view)
    finally:
        view.close()


@dataclass
class _Epoch(Progress):
    """The batches of an epoch."""

    loss: Callable[[], float] = float
    """Reads the last batch's loss, which waits for the device."""

    seen: float = 0.0
    """The loss when it was last read for the panel."""

    def line(self) -> str:
        return f"{self.phase}  batch {self.done}/{self.total}  loss {self.loss():.3f}"

    def panel(self) -> RenderableType:
        row = Table.grid(padding=(0, 2))
        row.add_row(bar(self), Text(f"loss {self.seen:.3f}"))
        return row


@final
class Shown(Watch):
    """Shows a training in a view."""

    def __init__(self, view: View) -> None:
        self._view, self._state, self._epochs = view, _Epoch(), 0

    def note(self, text: str) -> None:
        """Show a line of its own."""
        self._view.note(text)

    def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Callable[[], float]) -> None:
        """Show a batch, where the view thinks that it is time."""
        self._epochs = epochs
        if step == 0 or not self._state.total:  # an epoch begins
            self._state.begin(f"epoch {epoch + 1}/{epochs}", step, steps)
        self._state.done, self._state.loss = step + 1, loss
        if self._view.live and step % _EVERY == 0:
            self._state.seen = loss()
        self._view.update(self._state)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Show a line with the epoch's figures."""
        parts = [f"{title} {row[name]:{style}}{unit}".lstrip() for name, (title, style, unit) in _COLUMNS.items() if name in row]
        self.note(f"epoch {row['epoch']:.0f}/{self._epochs}  {'  '.join(parts)}")
