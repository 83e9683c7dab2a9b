"""The fold over a journal's records: what is counted of a phase, and its best candidate so far.

The driver, `uninas watch` and the report all count with `Tally`, so their figures agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from search.journal.records import Candidate, Rescore
from search.ranking.objective import Objective
from search.ranking.ranks import TIE, HistoryRanks, Key
from search.workers.job import Cause


@final
@dataclass
class Tally:
    """Counts of a phase, over all sessions.

    Attributes:
        ok: scorings with every score.
        failed: scorings without one or more.
        over_budget: networks slower than budget.latency_ms; one over a counted budget is rejected, and no candidate.
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
        return self.ok + self.failed + self.over_budget

    def as_dict(self) -> dict[str, Any]:
        """Give the counts that run.json holds, as JSON-able data."""
        return {
            "done": self.done,
            "ok": self.ok,
            "failed": self.failed,
            "over_budget": self.over_budget,
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
    """The best candidate so far, ranked among all reported so far."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._history = HistoryRanks(len(objective.columns), objective.combine)
        self._scores: Mapping[str, float] | None = None
        self._keys: tuple[Key, ...] = ()  # its own

    def add(self, scores: Mapping[str, float]) -> None:
        """Take one more candidate in; a tie keeps the older."""
        keys = self._objective.keys(scores)
        self._history.add(keys)
        if not self._objective.complete(scores):
            return
        if self._scores is None or self._history.score(keys) > self._history.score(self._keys) + TIE:
            self._scores, self._keys = scores, keys

    @property
    def scores(self) -> Mapping[str, float]:
        """Its raw scores; empty while no candidate has one."""
        return self._scores or {}

    def text(self) -> str:
        """Its raw scores in words."""
        if self._scores is None:
            return ""
        return f"{self._objective.name}: " + ", ".join(f"{name} {value:.5g}" for name, value in self._scores.items())
