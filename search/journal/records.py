"""The records of a journal, one dataclass per kind: what a line says, by name and with its type.

    for record in journal.records(path):                  from a file, also while a search writes it
        match record:
            case Candidate(): record.digest, record.scores, record.cause
    journal.append(Candidate.of("search", proposal, done))   to a file, the keys in the order given here

    {"kind": "header", "version": 1, "config_digest", ...}                           the first line
    {"kind": "ask", "phase", "index", "digest", "told"}                              only with order: completion
    {"kind": "candidate", "phase", "index", "digest", "parent", "edit", "cost", "status", "reason", "scores",
     "rejected", "duplicates", "seconds", "worker", "attempts"}                      one per scored candidate; besides these
                     "cause" where it failed, "latency_ms", "device" where a latency was measured, "peak_bytes" where a GPU scored
    {"kind": "rescore", "digest", "repeat", "seed", "status", "reason", "scores", "seconds", "worker", "attempts"}
    {"kind": "code", "version", "digest", "others", "revisions"}                     what scores from here on, if not the header's
    {"kind": "controls", "candidates", "digests", "left_out", "scorings"}            whom finalists are compared with
    {"kind": "finalists", "candidates", "indices"}                                   who they are, where a model chose some
    {"kind": "exhausted", "phase", "candidates"}                                     the space has no more candidates than those
    {"kind": "images", "digest"}                                                     what they are scored on, if not noise

Journals that were written before there was a key are read like any other: `cause` is then found from the reason's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, final

from search.algorithms import Proposal
from search.journal import causes
from search.journal.endings import Controls, Exhausted, Finalists
from search.journal.values import mapping, phase_of
from search.ranking.objective import LATENCY
from search.workers.job import Cause, numbers
from search.workers.pool import Done
from search.workers.real_batches import Drawn
from search.workers.scoring_code import ScoringCode

VERSION = 1
R = TypeVar("R")
Score = float | Mapping[str, str]
"""A number, or {"failed": reason}."""


@final
@dataclass(frozen=True, slots=True)
class Header:
    """The first line: which configuration the journal belongs to, and a few more words for people.

    Attributes:
        config_digest: SHA-256 of all that decides what the run finds.
        about: the other keys, such as the seed.
    """

    config_digest: str | None
    about: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {"kind": "header", "version": VERSION, "config_digest": self.config_digest, **self.about}

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Header:
        """Read what `as_dict` gave."""
        about = {name: value for name, value in data.items() if name not in ("kind", "version", "config_digest")}
        return Header(data.get("config_digest"), about)


@final
@dataclass(frozen=True, slots=True)
class Ask:
    """An ask, in a journal whose order is completion; `told` is how many results the algorithm had seen."""

    phase: str
    index: int
    digest: str
    told: int

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {"kind": "ask", "phase": self.phase, "index": self.index, "digest": self.digest, "told": self.told}

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Ask:
        """Read what `as_dict` gave."""
        return Ask(phase_of(data), data["index"], data["digest"], data["told"])


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """A scored candidate.

    Attributes:
        phase: "search" or "random".
        index: its ask, from 0 on.
        digest: of its canonical form.
        parent: digest of the network that it was made of; None for a start.
        edit: what made it of its parent, as its space writes it.
        cost: counted costs by name.
        status: "ok", "over_budget", "stopped" (by a rung of the ladder) or "failed".
        reason: why there is no score, in words.
        results: by proxy, a number or {"failed": reason}, as the line has them.
        rejected: tries of this ask that gave no candidate, by reason.
        duplicates: tries that gave a network asked before.
        seconds: wall time by stage.
        worker: who scored it; "reused" where another phase had.
        attempts: how many workers it was given to; 0 where it was reused.
        latency_ms: milliseconds of one inference, where measured.
        device: the model of the device it was measured on.
        peak_bytes: the most GPU memory held; None without a GPU.
        cause: the reason, typed; None where the status is "ok".
    """

    phase: str
    index: int
    digest: str
    parent: str | None
    edit: Mapping[str, Any] | None
    cost: Mapping[str, int]
    status: str
    reason: str | None
    results: Mapping[str, Score]
    rejected: Mapping[str, int]
    duplicates: int
    seconds: Mapping[str, float]
    worker: str
    attempts: int
    latency_ms: float | None = None
    device: str | None = None
    peak_bytes: int | None = None
    cause: Cause | None = None

    @property
    def scores(self) -> dict[str, float]:
        """The scores that are numbers."""
        return numbers(self.results)

    def costs(self, names: Sequence[str]) -> dict[str, float]:
        """Give costs by name, counted or measured; a latency that was not measured is left out."""
        if not names:
            return {}
        found = {**self.cost, LATENCY: self.latency_ms}
        return {name: value for name in names if (value := found[name]) is not None}

    @staticmethod
    def of(phase: str, proposal: Proposal, done: Done) -> Candidate:
        """Make the record of a finished job."""
        candidate, outcome = proposal.candidate, done.outcome
        return Candidate(
            phase=phase,
            index=proposal.index,
            digest=candidate.digest,
            parent=candidate.parent,
            edit=candidate.edit,
            cost=candidate.cost,
            status=outcome.status,
            reason=outcome.reason,
            results=outcome.scores,
            rejected=proposal.rejected,
            duplicates=proposal.duplicates,
            seconds=rounded(outcome.seconds, 4),
            worker=done.worker,
            attempts=done.attempts,
            latency_ms=outcome.latency_ms,
            device=outcome.device if outcome.latency_ms is not None else None,
            peak_bytes=outcome.peak_bytes,
            cause=causes.of_outcome(outcome),
        )

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {
            "kind": "candidate",
            "phase": self.phase,
            "index": self.index,
            "digest": self.digest,
            "parent": self.parent,
            "edit": self.edit,
            "cost": dict(self.cost),
            "status": self.status,
            "reason": self.reason,
            **causes.key_of(self.status, self.cause),
            "scores": dict(self.results),
            **({} if self.latency_ms is None else {LATENCY: self.latency_ms, "device": self.device}),
            "rejected": dict(self.rejected),
            "duplicates": self.duplicates,
            "seconds": dict(self.seconds),
            "worker": self.worker,
            "attempts": self.attempts,
            **({} if self.peak_bytes is None else {"peak_bytes": self.peak_bytes}),
        }

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Candidate:
        """Read what `as_dict` gave."""
        cost, results, rejected, seconds = data["cost"], data["scores"], data["rejected"], data["seconds"]
        if not (type(cost) is type(results) is type(rejected) is type(seconds) is dict):  # a hundred thousand are read at once
            for key in ("cost", "scores", "rejected", "seconds"):
                mapping(data, key)
        reason, get = data["reason"], data.get
        return Candidate(
            phase_of(data),
            data["index"],
            data["digest"],
            data["parent"],
            data["edit"],
            cost,
            data["status"],
            reason,
            results,
            rejected,
            data["duplicates"],
            seconds,
            data["worker"],
            data["attempts"],
            get(LATENCY),
            get("device"),
            get("peak_bytes"),
            None if reason is None else causes.read(data),
        )


@final
@dataclass(frozen=True, slots=True)
class Rescore:
    """A finalist that was scored again on a held-out seed.

    Attributes:
        digest: of the finalist.
        repeat: which of the held-out seeds, from 0 on.
        seed: that seed.

    The others are those of `Candidate`.
    """

    phase: ClassVar[str] = "finalists"
    duplicates: ClassVar[int] = 0
    rejected: ClassVar[Mapping[str, int]] = {}

    digest: str
    repeat: int
    seed: int
    status: str
    reason: str | None
    results: Mapping[str, Score]
    seconds: Mapping[str, float]
    worker: str
    attempts: int
    peak_bytes: int | None = None
    cause: Cause | None = None

    @property
    def scores(self) -> dict[str, float]:
        """The scores that are numbers."""
        return numbers(self.results)

    @staticmethod
    def of(digest: str, repeat: int, seed: int, done: Done) -> Rescore:
        """Make the record of a finished job."""
        outcome = done.outcome
        return Rescore(
            digest=digest,
            repeat=repeat,
            seed=seed,
            status=outcome.status,
            reason=outcome.reason,
            results=outcome.scores,
            seconds=rounded(outcome.seconds, 4),
            worker=done.worker,
            attempts=done.attempts,
            peak_bytes=outcome.peak_bytes,
            cause=causes.of_outcome(outcome),
        )

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {
            "kind": "rescore",
            "digest": self.digest,
            "repeat": self.repeat,
            "seed": self.seed,
            "status": self.status,
            "reason": self.reason,
            **causes.key_of(self.status, self.cause),
            "scores": dict(self.results),
            "seconds": dict(self.seconds),
            "worker": self.worker,
            "attempts": self.attempts,
            **({} if self.peak_bytes is None else {"peak_bytes": self.peak_bytes}),
        }

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Rescore:
        """Read what `as_dict` gave."""
        return Rescore(
            digest=data["digest"],
            repeat=data["repeat"],
            seed=data["seed"],
            status=data["status"],
            reason=data["reason"],
            results=mapping(data, "scores"),
            seconds=mapping(data, "seconds"),
            worker=data["worker"],
            attempts=data["attempts"],
            peak_bytes=data.get("peak_bytes"),
            cause=None if data["reason"] is None else causes.read(data),
        )


@final
@dataclass(frozen=True, slots=True)
class Unknown:
    """A line of a kind that this version does not know."""

    kind: str


Record = Header | Ask | Candidate | Rescore | Controls | Finalists | Exhausted | ScoringCode | Drawn | Unknown
Kinds = Mapping[str, Callable[[Mapping[str, Any]], R]]
"""How to read each kind of record. Any of the functions may raise KeyError, TypeError, ValueError or AttributeError."""

KINDS: Kinds[Header | Ask | Candidate | Rescore | Controls | Finalists | Exhausted | ScoringCode | Drawn] = {
    "header": Header.parse,
    "ask": Ask.parse,
    "candidate": Candidate.parse,
    "rescore": Rescore.parse,
    "controls": Controls.parse,
    "finalists": Finalists.parse,
    "exhausted": Exhausted.parse,
    "code": ScoringCode.parse,
    "images": Drawn.parse,
}
"""The kinds of a search; those of a bench are in `search.bench.scoring.records`."""


def rounded(seconds: Mapping[str, float], digits: int) -> dict[str, float]:
    """Round the times of a line."""
    return {stage: round(spent, digits) for stage, spent in seconds.items()}
