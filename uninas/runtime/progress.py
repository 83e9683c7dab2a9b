"""What a person sees of work that takes long: one panel that is redrawn on a terminal, plain lines in a log.

class Steps(Progress): ...                               what is counted, and how it reads as a line and as a panel
view = view_for(Console(stderr=True))
view.update(steps)                                       as often as one likes: the view decides what is worth showing
view.note("warning: ...")                                a line of its own
view.close()
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["LiveView", "Pace", "PlainView", "Progress", "View", "bar", "view_for"]

_CALM_SECONDS = 60.0  # between two lines of a log after an hour: work of a week leaves ten thousand lines, not sixty thousand


@dataclass
class Progress:
    """How far the current phase of the work is. Who works changes it in place and calls `View.update`.

    Attributes:
        phase: its name.
        done, total: steps of the phase.
        done_before: of `done`, those of an earlier session, which say nothing about the rate.
        started: monotonic seconds.
    """

    phase: str = ""
    done: int = 0
    total: int = 0
    done_before: int = 0
    started: float = field(default_factory=time.monotonic)

    def begin(self, phase: str, done: int, total: int) -> None:
        """Begin a phase of which `done` steps were made before."""
        self.phase, self.done, self.total, self.done_before = phase, done, total, done
        self.started = time.monotonic()

    def rate(self) -> float:
        """Steps per second since the phase began in this session."""
        return (self.done - self.done_before) / max(time.monotonic() - self.started, 1e-9)

    def left(self) -> str:
        """Time left at that rate, h:mm:ss."""
        if self.done == self.done_before or self.done >= self.total:
            return "-:--:--" if self.done < self.total else "0:00:00"
        seconds = round((self.total - self.done) / self.rate())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    def line(self) -> str:
        """Give all of it in a line, for a log."""
        return f"{self.phase} {self.done}/{self.total}  {self.rate():.2f}/s  {self.left()} left"

    def panel(self) -> RenderableType:
        """Draw it, for a terminal."""
        return bar(self)


def bar(progress: Progress) -> Table:
    """Draw the bar of a phase, with its count, rate and time left."""
    row = Table.grid(padding=(0, 2))
    row.add_row(
        Text(progress.phase, style="bold"),
        ProgressBar(total=max(progress.total, 1), completed=progress.done, width=30),
        f"{progress.done}/{progress.total}",
        f"{progress.rate():.2f}/s",
        f"{progress.left()} left",
    )
    return row


class View(Protocol):
    """Something that shows a `Progress`.

    Attributes:
        live: it is drawn again and again; else written once.
    """

    live: bool

    def update(self, state: Progress) -> None:
        """Show the state, as often as the view thinks fit."""
        ...

    def note(self, text: str) -> None:
        """Say one thing that is worth a line of its own."""
        ...

    def close(self) -> None:
        """Show the last state and give the terminal back."""
        ...


@final
class LiveView:
    """One panel that is redrawn in place."""

    live = True

    def __init__(self, console: Console) -> None:
        self._state = Progress()
        self._live = Live(get_renderable=lambda: self._state.panel(), console=console, refresh_per_second=4, transient=False)
        self._running = False

    def update(self, state: Progress) -> None:
        """Take the state in; it is drawn four times per second, however often it changes."""
        self._state = state
        if not self._running:
            self._live.start()
            self._running = True

    def note(self, text: str) -> None:
        """Print above the panel."""
        self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last panel standing."""
        if self._running:
            self._live.stop()
            self._running = False


@dataclass(frozen=True)
class Pace:
    """How often a log gets a line.

    Attributes:
        seconds: between two lines, at first; after an hour it is at least a minute.
        edges: also at the begin and the end of a phase, at once.
        after_notes: the pause begins anew with every note, and with the first update.
    """

    seconds: float = 10.0
    edges: bool = True
    after_notes: bool = False


@final
class PlainView:
    """Lines for a log, by default at the begin and the end of a phase, and at most one per ten seconds in between."""

    live = False

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic, pace: Pace | None = None
    ) -> None:
        self._write = write
        self._clock = clock
        self._pace = pace or Pace()
        self._last = clock() if self._pace.after_notes else float("-inf")
        self._began: float | None = None
        self._shown = ("", -1)

    def update(self, state: Progress) -> None:
        """Write a line if it is time for one."""
        now, here = self._clock(), (state.phase, state.done)
        self._began = now if self._began is None else self._began
        pause = min(max(self._pace.seconds, (now - self._began) / 60), max(_CALM_SECONDS, self._pace.seconds))
        edge = self._pace.edges and (state.phase != self._shown[0] or state.done == state.total)
        if here == self._shown or not (edge or now - self._last >= pause):
            return
        self._last, self._shown = now, here
        self._write(state.line())

    def note(self, text: str) -> None:
        """Write the line."""
        if self._pace.after_notes:
            self._last = self._clock()
        self._write(text)

    def close(self) -> None:
        """Nothing is held back."""


def view_for(console: Console, pace: Pace | None = None) -> View:
    """Choose by where the output goes.

    A log has neither colours nor other control characters, whatever an error brought along. That of a job submitted to Ray is
    read in the dashboard, days later and from another place: its lines begin with the time in UTC.
    """
    if console.is_terminal:
        return LiveView(console)
    submitted = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ

    def write(text: str) -> None:
        plain = Text.from_ansi(text).plain
        stamped = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z  {plain}" if submitted else plain
        console.print(stamped, markup=False, highlight=False, soft_wrap=True)

    return PlainView(write, pace=pace)
