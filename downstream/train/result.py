"""The result of a training, and what is called on its progress: the same for every task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Result", "Watch"]


@dataclass(frozen=True)
class Result:
    """The result of a training.

    Attributes:
        rows: of log.csv, one per epoch.
        metric: column of the rows, in percent, that decides which weights are the best.
        best: its largest value; NaN where no epoch has one.
        best_epoch: its epoch, or 0.
        unreadable: names of images that were skipped.
    """

    rows: tuple[Mapping[str, float], ...]
    metric: str
    best: float
    best_epoch: int
    unreadable: tuple[str, ...] = ()


class Watch:
    """Called on the progress of a training; this one does nothing."""

    def note(self, text: str) -> None:
        """Called with a message for the user."""

    def resumed(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Called when a training is resumed after these epochs."""

    def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Callable[[], float]) -> None:
        """Called after a batch; `loss` reads its value, which waits for the device."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """Called after an epoch."""
