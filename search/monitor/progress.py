"""What a person sees while a search runs: one live panel on a terminal, plain lines in a log file.

search   [=======     ] 212/300   3.4/s   0:00:26 left
best vkdnw_agg: aleph 41, vkdnw 1.207, jacov -1.02e+05    rejected 840   duplicates 12   failed 1   in flight 2
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_PLAIN_SECONDS = 10.0  # between two lines of a log, at first
_CALM_SECONDS = 60.0  # and after an hour: a search of a week leaves ten thousand lines, not sixty thousand


@dataclass
class State:
    """Figures of the running phase. The driver changes them in place and calls `View.update`."""

    phase: str = ""
    done: int = 0
    total: int = 0
    done_before: int = 0  # of `done`, those that an earlier session scored: they say nothing about the rate
    rejected: int = 0
    duplicates: int = 0
    failed: int = 0
    over_budget: int = 0  # slower than the latency budget
    in_flight: int = 0
    workers: int = 0
    best: str = ""
    best_scores: Mapping[str, float] = field(default_factory=dict)  # raw ones, of the candidate that `best` names
    fixed: bool = False  # the candidates are given, not searched: there is no best so far
    started: float = field(default_factory=time.monotonic)

    def begin(self, phase: str, done: int, total: int) -> None:
        """Begin a phase of which `done` candidates are in the journal already."""
        self.phase, self.done, self.total, self.done_before = phase, done, total, done
        self.in_flight = self.rejected = self.duplicates = self.failed = self.over_budget = 0
        self.best, self.best_scores = "", {}
        self.started = time.monotonic()

    def rate(self) -> float:
        """Candidates per second since the phase began in this session."""
        return (self.done - self.done_before) / max(time.monotonic() - self.started, 1e-9)

    def left(self) -> str:
        """Time left at that rate, h:mm:ss."""
        rate = self.rate()
        if self.done == self.done_before or self.done >= self.total:
            return "-:--:--" if self.done < self.total else "0:00:00"
        seconds = round((self.total - self.done) / rate)
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    def figures(self) -> str:
        """The counts in words; a bench neither rejects nor repeats anything."""
        counts = {"rejected": self.rejected, "duplicates": self.duplicates, "failed": self.failed, "in flight": self.in_flight}
        if self.fixed:
            counts = {"failed": self.failed, "in flight": self.in_flight}
        if self.over_budget:
            counts["too slow"] = self.over_budget
        return "   ".join(f"{name} {count}" for name, count in counts.items())


class View(Protocol):
    """Something that shows a `State`."""

    def update(self, state: State) -> None:
        """Show the state, as often as the view thinks fit."""
        ...

    def note(self, text: str) -> None:
        """Say one thing that is worth a line of its own."""
        ...

    def close(self) -> None:
        """Show the last state and give the terminal back."""
        ...


def line(state: State) -> str:
    """Give a state in a line."""
    text = f"{state.phase} {state.done}/{state.total}  {state.rate():.2f}/s  {state.left()} left  {state.figures()}"
    return text + (f"  best {state.best}" if state.best else "")


def panel(state: State) -> RenderableType:
    """Draw a state: bar, counts, best so far."""
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        Text(state.phase, style="bold"),
        ProgressBar(total=max(state.total, 1), completed=state.done, width=30),
        f"{state.done}/{state.total}",
        f"{state.rate():.2f}/s",
        f"{state.left()} left",
    )
    rows = Table.grid()
    rows.add_row(bar)
    rows.add_row(Text(state.figures(), style="dim"))
    if not state.fixed:
        rows.add_row(Text(f"best  {state.best or 'none yet'}", style="green"))
    return rows


@final
class LiveView:
    """One panel that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._state = State()
        self._live = Live(get_renderable=lambda: panel(self._state), console=console, refresh_per_second=4, transient=False)
        self._running = False

    def update(self, state: State) -> None:
        """Take the state in; it is drawn four times a second, however often it changes."""
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


@final
class PlainView:
    """Lines for a log: at a phase's begin and end, and at most one in ten seconds between, after an hour one in a minute."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._last = float("-inf")
        self._began: float | None = None
        self._shown = ("", -1)

    def update(self, state: State) -> None:
        """Write a line if it is time for one."""
        now, here = self._clock(), (state.phase, state.done)
        self._began = now if self._began is None else self._began
        pause = min(max(_PLAIN_SECONDS, (now - self._began) / 60), _CALM_SECONDS)
        edge = state.phase != self._shown[0] or state.done == state.total
        if here == self._shown or not (edge or now - self._last >= pause):
            return
        self._last, self._shown = now, here
        self._write(line(state))

    def note(self, text: str) -> None:
        """Write the line."""
        self._write(text)

    def close(self) -> None:
        """Nothing is held back."""


def view_for(console: Console) -> View:
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

    return PlainView(write)
