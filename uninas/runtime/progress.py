"""Progress display of long work: one panel that is redrawn on a terminal, plain lines in a log.

class Steps(Progress): ...                               what is counted, and how it looks as a line and as a panel
view = view_for(Console(stderr=True))
view.update(steps)                                       as often as you like: the view decides when to show it
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

__all__ = ["LiveView", "Pace", "PlainView", "Progress", "View", "bar", "hours", "view_for"]

_CALM_SECONDS = 60.0  # between two lines of a log after an hour: work of a week leaves ten thousand lines, not sixty thousand


@dataclass
class Progress:
    """State of the current phase of the work, which changes it in place and calls `View.update`.

    Attributes:
        phase: its name.
        done, total: steps of the phase.
        done_before: of `done`, those of an earlier session, which do not count for the rate.
        started: monotonic seconds.
    """

    phase: str = ""
    done: int = 0
    total: int = 0
    done_before: int = 0
    started: float = field(default_factory=time.monotonic)

    def begin(self, phase: str, done: int, total: int) -> None:
        """Begin a phase of which `done` steps were done before."""
        self.phase, self.done, self.total, self.done_before = phase, done, total, done
        self.started = time.monotonic()

    def rate(self) -> float:
        """Steps per second since the phase began in this session."""
        return (self.done - self.done_before) / max(time.monotonic() - self.started, 1e-9)

    def left(self) -> str:
        """Time left at that rate, h:mm:ss."""
        if self.done == self.done_before or self.done >= self.total:
            return "-:--:--" if self.done < self.total else "0:00:00"
        return hours((self.total - self.done) / self.rate())

    def line(self) -> str:
        """Give the state as a line, for a log."""
        return f"{self.phase} {self.done}/{self.total}  {self.rate():.2f}/s  {self.left()} left"

    def panel(self) -> RenderableType:
        """Draw the state, for a terminal."""
        return bar(self)


def hours(seconds: float) -> str:
    """Give a time as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


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
        live: it is redrawn in place; else written once.
    """

    live: bool

    def update(self, state: Progress) -> None:
        """Show the state, at most as often as the view decides."""
        ...

    def note(self, text: str) -> None:
        """Show a message on a line of its own."""
        ...

    def close(self) -> None:
        """Show the last state and release the terminal."""
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
        """Take the state; it is drawn four times per second, however often it changes."""
        self._state = state
        if not self._running:
            self._live.start()
            self._running = True

    def note(self, text: str) -> None:
        """Print above the panel."""
        self._live.console.print(Text.from_ansi(text).plain, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last panel on the screen."""
        if self._running:
            self._live.stop()
            self._running = False


@dataclass(frozen=True)
class Pace:
    """How often a log gets a line of progress.

    Attributes:
        seconds: between two lines, at first; after an hour it is at least a minute.
        edges: also immediately at the start and the end of a phase.
        after_notes: the pause starts again with every note; there is one before the first line too.
    """

    seconds: float = 10.0
    edges: bool = True
    after_notes: bool = False


@final
class PlainView:
    """Lines for a log, by default at the start and the end of a phase, and at most one per ten seconds in between."""

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
        """Do nothing: all is written already."""


def view_for(console: Console, pace: Pace | None = None) -> View:
    """Choose a view by where the output goes.

    A log has neither colours nor other control characters, even if an error message does. That of a job submitted to Ray is read
    in the dashboard, days later and from elsewhere: its lines start with the time in UTC.
    """
    if console.is_terminal:
        return LiveView(console)
    submitted = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ

    def write(text: str) -> None:
        plain = Text.from_ansi(text).plain
        stamped = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z  {plain}" if submitted else plain
        console.print(stamped, markup=False, highlight=False, soft_wrap=True)

    return PlainView(write, pace=pace)
