"""The fold over a journal's records: what is counted of a phase, and its best candidate so far.

The driver, `uninas watch` and the report all count with `Tally`, so their figures agree.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from search.journal.records import Candidate, Rescore
from search.ranking.objective import Objective
from search.ranking.ranks import DIGITS
from search.workers.job import Cause


@final
@dataclass
class Tally:
    """Counts of a phase, over all sessions.

    Attributes:
        ok: scorings with every score.
        failed: scorings without one or more.
        over_budget: networks slower than budget.latency_ms; one over a counted budget is rejected, and no candidate.
        stopped: networks that were not among the best of a rung of the ladder.
        duplicates: tries of the algorithm that gave a network asked before.
        rejected: tries that gave no candidate, by reason.
        seconds: wall time by stage.
        failures: failed scorings by why: for each score that a proxy rejected its name and the first word of its reason, else the
            label of the cause, see `search.workers.job.Cause`.
        repeats: scorings that another worker had to do again.
        peak_bytes: the most GPU memory that one scoring held; None without a GPU.
    """

    ok: int = 0
    failed: int = 0
    over_budget: int = 0
    stopped: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    peak_bytes: int | None = None

    def add(self, record: Candidate | Rescore) -> None:
        """Count one scoring."""
        if record.status == "ok":
            self.ok += 1
        elif record.status == "over_budget":
            self.over_budget += 1
        elif record.status == "stopped":
            self.stopped += 1
        else:
            self.failed += 1
            self.failures.update(whys(record))
        self.duplicates += record.duplicates
        rejected, seconds = self.rejected, self.seconds
        for reason, count in record.rejected.items():
            rejected[reason] += count
        for stage, spent in record.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
        if record.attempts > 1:
            self.repeats += record.attempts - 1
        if record.peak_bytes is not None:
            self.peak_bytes = max(self.peak_bytes or 0, record.peak_bytes)

    @property
    def done(self) -> int:
        """Scorings in the journal, with or without a score."""
        return self.ok + self.failed + self.over_budget + self.stopped

    def as_dict(self) -> dict[str, Any]:
        """Give the counts that run.json holds, as JSON-able data."""
        return {
            "done": self.done,
            "ok": self.ok,
            "failed": self.failed,
            "over_budget": self.over_budget,
            **({"stopped": self.stopped} if self.stopped else {}),
            "duplicates": self.duplicates,
            "rejected": dict(sorted(self.rejected.items())),
            "seconds": {stage: round(spent, 3) for stage, spent in sorted(self.seconds.items())},
        }


def whys(record: Candidate | Rescore) -> list[str]:
    """Say in a few words why a scoring failed, so that equal reasons are equal: "vkdnw too_few_rows"."""
    if record.cause in (Cause.NO_SCORE, Cause.INCOMPLETE):
        failed = {name: why["failed"] for name, why in record.results.items() if isinstance(why, Mapping)}
        return [f"{name} {why.partition(':')[0]}" for name, why in failed.items()]
    return [] if record.cause is None else [record.cause.label]


@final
class Best:
    """The best candidate by the objective among all reported so far; of equals the oldest.

    A population's ranks change with every member, so it is found anew when somebody asks: 0.1 s for 100,000 candidates. Whoever
    asks all the time does so with `roughly`, and gets the one of when there were at least 49 for 50 of now.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._table = {name: array("d") for name in objective.proxies}
        self._count = 0
        self._found_at = 0
        self._scores: dict[str, float] = {}

    def add(self, scores: Mapping[str, float]) -> None:
        """Take one more candidate in."""
        for name, column in self._table.items():
            column.append(scores.get(name, math.nan))
        self._count += 1

    def scores(self, *, roughly: bool = False) -> Mapping[str, float]:
        """Give its raw scores; empty while no candidate has all of them."""
        if self._count - self._found_at > (self._found_at // 50 if roughly else 0):
            self._found_at = self._count
            self._scores = self._find()
        return self._scores

    def _find(self) -> dict[str, float]:
        columns = {name: np.array(column) for name, column in self._table.items()}
        values = np.round(self._objective.rank_table(columns), DIGITS)
        values[np.any([np.isnan(column) for column in columns.values()], axis=0)] = -np.inf
        best = int(np.argmax(values))
        return {} if values[best] == -np.inf else {name: float(column[best]) for name, column in columns.items()}

    def text(self, *, roughly: bool = False) -> str:
        """Give its raw scores in words."""
        scores = self.scores(roughly=roughly)
        said = ", ".join(f"{name} {value:.5g}" for name, value in scores.items())
        return f"{self._objective.name}: {said}" if said else ""
