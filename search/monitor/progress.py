"""What a person sees while a search runs: one live panel on a terminal, plain lines in a log file.

search   [=======     ] 212/300   3.4/s   0:00:26 left
best vkdnw_agg: aleph 41, vkdnw 1.207, jacov -1.02e+05    rejected 840   duplicates 12   failed 1   in flight 2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from uninas.runtime.progress import LiveView, PlainView, Progress, View, bar, view_for

__all__ = ["LiveView", "PlainView", "State", "View", "line", "panel", "view_for"]


REASONS = 3  # why candidates failed, that a line has room for


@dataclass
class State(Progress):
    """Figures of the running phase. The driver changes them in place and calls `View.update`."""

    rejected: int = 0
    duplicates: int = 0
    failed: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)  # why, the most frequent first
    over_budget: int = 0  # slower than the latency budget
    stopped: int = 0  # by a rung of the ladder
    in_flight: int = 0
    workers: int = 0
    best: str = ""
    best_scores: Mapping[str, float] = field(default_factory=dict)  # raw ones, of the candidate that `best` names
    fixed: bool = False  # the candidates are given, not searched: there is no best so far

    def begin(self, phase: str, done: int, total: int) -> None:
        """Begin a phase of which `done` candidates are in the journal already."""
        super().begin(phase, done, total)
        self.in_flight = self.rejected = self.duplicates = self.failed = self.over_budget = self.stopped = 0
        self.best, self.best_scores, self.failures = "", {}, {}

    def figures(self) -> str:
        """The counts in words; a bench neither rejects nor repeats anything."""
        counts = {"rejected": self.rejected, "duplicates": self.duplicates, "failed": self.failed, "in flight": self.in_flight}
        if self.fixed:
            counts = {"failed": self.failed, "in flight": self.in_flight}
        if self.over_budget:
            counts["too slow"] = self.over_budget
        if self.stopped:
            counts["stopped"] = self.stopped
        found = {name: str(count) for name, count in counts.items()}
        if self.failures:
            shown = [f"{why} {count}" for why, count in list(self.failures.items())[:REASONS]]
            found["failed"] += f" ({', '.join(shown)}{', ..' if len(self.failures) > REASONS else ''})"
        return "   ".join(f"{name} {count}" for name, count in found.items())

    def line(self) -> str:
        """Give all of it in a line, for a log."""
        return line(self)

    def panel(self) -> RenderableType:
        """Draw it, for a terminal."""
        return panel(self)


def line(state: State) -> str:
    """Give a state in a line."""
    text = f"{state.phase} {state.done}/{state.total}  {state.rate():.2f}/s  {state.left()} left  {state.figures()}"
    return text + (f"  best {state.best}" if state.best else "")


def panel(state: State) -> RenderableType:
    """Draw a state: bar, counts, best so far."""
    rows = Table.grid()
    rows.add_row(bar(state))
    rows.add_row(Text(state.figures(), style="dim"))
    if not state.fixed:
        rows.add_row(Text(f"best  {state.best or 'none yet'}", style="green"))
    return rows
