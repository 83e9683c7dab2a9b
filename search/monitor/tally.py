"""What is counted and ranked of a phase while its candidates come in: by the driver, and by who reads its journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.ranking.objective import Objective
from search.ranking.ranks import TIE, HistoryRanks, Key


@dataclass
class Tally:
    """Counts of a phase, over all sessions."""

    ok: int = 0
    failed: int = 0
    over_budget: int = 0  # slower than budget.latency_ms; what is over a counted budget is rejected, and no candidate
    duplicates: int = 0
    rejected: dict[str, int] | None = None
    seconds: dict[str, float] | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one candidate's journal record."""
        if record["status"] == "ok":
            self.ok += 1
        elif record["status"] == "over_budget":
            self.over_budget += 1
        else:
            self.failed += 1
        self.duplicates += record["duplicates"]
        self.rejected, self.seconds = self.rejected or {}, self.seconds or {}
        for reason, count in record["rejected"].items():
            self.rejected[reason] = self.rejected.get(reason, 0) + count
        for stage, spent in record["seconds"].items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    @property
    def done(self) -> int:
        """Scorings in the journal, whatever came out."""
        return self.ok + self.failed + self.over_budget

    def as_dict(self) -> dict[str, Any]:
        """Give the counts as JSON-able data."""
        seconds = {stage: round(spent, 3) for stage, spent in sorted((self.seconds or {}).items())}
        rejected = dict(sorted((self.rejected or {}).items()))
        counts = {"ok": self.ok, "failed": self.failed, "over_budget": self.over_budget}
        return {
            "done": self.done, **counts, "duplicates": self.duplicates, "rejected": rejected, "seconds": seconds
        }  # fmt: skip


class Best:
    """The best candidate so far, ranked among all told so far."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._history = HistoryRanks(len(objective.columns), objective.combine)
        self._scores: Mapping[str, float] | None = None
        self._keys: tuple[Key, ...] = ()  # its own

    def add(self, scores: Mapping[str, float]) -> None:
        """Take one more candidate in; a tie keeps the older."""
        keys = self._objective.keys(scores)
        self._history.add(keys)
        if not scores:
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
