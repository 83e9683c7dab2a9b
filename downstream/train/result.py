"""How a training ended, and who is told of it on the way: the same for every task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Result", "Watch"]


@dataclass(frozen=True)
class Result:
    """How a training ended.

    Attributes:
        rows: of log.csv, an epoch each.
        metric: column of the rows that decided which weights are the best; in percent.
        best: its largest value; NaN where no epoch has one.
        best_epoch: where that was, or 0.
        unreadable: names of pictures that were skipped.
    """

    rows: tuple[Mapping[str, float], ...]
    metric: str
    best: float
    best_epoch: int
    unreadable: tuple[str, ...] = ()


class Watch:
    """Who is told of the progress; does nothing."""

    def note(self, text: str) -> None:
        """Something that a person should know."""

    def resumed(self, rows: Sequence[Mapping[str, float]]) -> None:
        """A training is taken up behind these epochs."""

    def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Callable[[], float]) -> None:
        """One batch is done; `loss` reads its value, which waits for the device."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """One epoch is done."""
