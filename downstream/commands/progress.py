"""What a person sees of a training: a live bar in a terminal, a line an epoch elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from downstream.train.classify import Watch

__all__ = ["progress"]

_EVERY = 10  # batches between two looks at the loss, which wait for the device


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
        self._epochs = 0

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Callable[[], float]) -> None:
        self._epochs = epochs
        if self._bar.disable or step % _EVERY:
            return
        self._bar.update(
            self._task, description=f"epoch {epoch + 1}/{epochs}", total=steps, completed=step + 1, loss=f"loss {loss():.3f}"
        )

    def epoch(self, row: Mapping[str, float]) -> None:
        averaged = f"  averaged {row['top1_ema']:.2f}%" if "top1_ema" in row else ""
        self._console.print(
            f"epoch {row['epoch']:.0f}/{self._epochs}  loss {row['train_loss']:.3f}  val {row['val_loss']:.3f}  "
            f"top-1 {row['top1']:.2f}%{averaged}  lr {row['lr']:.2e}  {row['seconds']:.0f} s  "
            f"{row['pictures_per_second']:.0f} pictures/s",
            markup=False, highlight=False,
        )  # fmt: skip
