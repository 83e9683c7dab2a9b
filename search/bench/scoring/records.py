"""The records in the journal of a bench, besides its header.

{"kind": "score", "index", "network", "scores": {label: number or {"failed": reason}}, "details": {label: {...}},
 "status", "reason", "seconds": {"build", "score", label: CPU-seconds}, "worker", "attempts"}
{"kind": "revisions", "revisions": {label: number}}    of the scores that follow, see `proxies.REVISIONS`
{"kind": "again", "labels": [label]}                   scores of these labels so far no longer count
{"kind": "code", ...}                                  what computes the scores that follow, as in the journal of a search
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from search.journal.records import Header, Kinds, Score, rounded
from search.journal.values import mapping
from search.workers.pool import Done
from search.workers.scoring_code import ScoringCode


@final
@dataclass(frozen=True, slots=True)
class NetworkScore:
    """A benchmark's network, scored under one or more labels. A network may have several, where proxies were added later.

    Attributes:
        index: the network's number in its benchmark.
        network: its name there.
        results: by label, a number or {"failed": reason}.
        details: by label, what the proxy found besides its score.
        seconds: wall time by stage, and CPU-seconds by label.

    The others are those of `search.journal.records.Candidate`.
    """

    index: int
    network: str
    results: Mapping[str, Score]
    details: Mapping[str, Mapping[str, Any]]
    status: str
    reason: str | None
    seconds: Mapping[str, float]
    worker: str
    attempts: int

    @staticmethod
    def of(index: int, network: str, labels: Sequence[str], done: Done) -> NetworkScore:
        """Make the record of a finished job. A job that failed as a whole has that failure under each label."""
        outcome = done.outcome
        whole = {label: {"failed": outcome.reason or "no score"} for label in labels}
        return NetworkScore(
            index=index,
            network=network,
            results=outcome.scores or whole,
            details=outcome.details,
            status=outcome.status,
            reason=outcome.reason,
            seconds=rounded(outcome.seconds, 6),
            worker=done.worker,
            attempts=done.attempts,
        )

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {
            "kind": "score",
            "index": self.index,
            "network": self.network,
            "scores": dict(self.results),
            "details": {label: dict(found) for label, found in self.details.items()},
            "status": self.status,
            "reason": self.reason,
            "seconds": dict(self.seconds),
            "worker": self.worker,
            "attempts": self.attempts,
        }

    @staticmethod
    def parse(data: Mapping[str, Any]) -> NetworkScore:
        """Read what `as_dict` gave."""
        return NetworkScore(
            index=int(data["index"]),
            network=data["network"],
            results=mapping(data, "scores"),
            details=mapping(data, "details"),
            status=data["status"],
            reason=data["reason"],
            seconds=mapping(data, "seconds"),
            worker=data["worker"],
            attempts=data["attempts"],
        )


@final
@dataclass(frozen=True, slots=True)
class Revisions:
    """Which revision of its proxy gives each label's scores from here on, see `proxies.REVISIONS`."""

    revisions: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {"kind": "revisions", "revisions": dict(self.revisions)}

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Revisions:
        """Read what `as_dict` gave."""
        return Revisions(mapping(data, "revisions"))


@final
@dataclass(frozen=True, slots=True)
class Again:
    """Labels whose scores so far no longer count: they are scored again."""

    labels: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {"kind": "again", "labels": list(self.labels)}

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Again:
        """Read what `as_dict` gave."""
        return Again(data["labels"])


Record = NetworkScore | Revisions | Again | ScoringCode

KINDS: Kinds[Header | Record] = {
    "header": Header.parse,
    "score": NetworkScore.parse,
    "revisions": Revisions.parse,
    "again": Again.parse,
    "code": ScoringCode.parse,
}
"""How to read each kind."""
