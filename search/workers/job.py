"""What goes to a worker and what comes back: JSON-able data both ways."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Cause(StrEnum):
    """Why a job has no score. `reason` says it in free text, for a person; failures are counted by this."""

    OUT_OF_MEMORY = "out_of_memory"
    DEADLINE = "deadline"  # it took longer than pool.deadline_s
    QUARANTINED = "quarantined"  # it killed its workers
    NOT_FINITE = "not_finite"  # a proxy gave NaN or infinity
    ERROR = "error"  # Python raised while the network was built or scored
    NO_SCORE = "no_score"  # every proxy rejected the network, each for its own reason
    INCOMPLETE = "incomplete"  # some proxies of the objective rejected it; it has the scores of the others
    OVER_BUDGET = "over_budget"  # slower than budget.latency_ms: a status of its own, not a failure
    STOPPED = "stopped"  # not among the best of a rung of the ladder: likewise

    @property
    def label(self) -> str:
        """The cause as displays and metrics write it."""
        return self.value.replace("_", " ")


class Work(Protocol):
    """What a pool accepts: the job of a search, or one of another kind whose evaluator reads it back with its own `Job`."""

    @property
    def label(self) -> str:
        """Name the network in a message."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Give the job as JSON-able data, which is what travels."""
        ...


@dataclass(frozen=True)
class Timing:
    """How to measure the latency of one inference on the worker's own device, before anything is scored.

    Attributes:
        batch: images per pass.
        runs: timed passes, whose median counts.
        warmup: passes before them.
        precision: one of `proxies.PRECISIONS`.
        limit_ms: a network slower than this is over the budget, and not scored; None for no bound.
    """

    batch: int
    runs: int
    warmup: int
    precision: str
    limit_ms: float | None = None


@dataclass(frozen=True)
class Job:
    """One scoring. The outcome is a function of this alone, on one device model, torch build and precision.

    Attributes:
        digest: names the architecture in messages.
        architecture: its canonical text.
        size: (H, W) of the input in pixels.
        classes: outputs of the network.
        batch: images a score is computed on.
        repeats: initialisations a raw score is averaged over.
        seed: from which input and initial weights are derived.
        proxies: names of the raw scores wanted.
        options: options of the proxies.
        timing: how to measure the latency; None where it is not wanted.
        images: digest of the real batch for the proxies that take one, which the worker holds, see
            `search.workers.real_batches`; None for noise.
    """

    digest: str
    architecture: str
    size: tuple[int, int]
    classes: int
    batch: int
    repeats: int
    seed: int
    proxies: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    timing: Timing | None = None
    images: str | None = None

    @property
    def label(self) -> str:
        """The digest's beginning."""
        return self.digest[:12]

    def as_dict(self) -> dict[str, Any]:
        """Give the job as JSON-able data."""
        timing = None if self.timing is None else asdict(self.timing)
        return {**vars(self), "options": dict(self.options), "timing": timing}  # asdict would copy deeply, for each candidate

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Job:
        """Read what `as_dict` gave."""
        timing = None if data["timing"] is None else Timing(**data["timing"])
        return Job(**{**data, "size": tuple(data["size"]), "proxies": tuple(data["proxies"]), "timing": timing})


@dataclass(frozen=True)
class Outcome:
    """The result of a job: scores, or the reason why there are none. Never an invented score.

    Attributes:
        scores: by proxy, a finite number or the mapping {"failed": reason}.
        reason: why the job failed, in words; None where it did not. A search's fails with any of its scores, a bench's with all.
        seconds: wall time by stage: build, latency, score.
        details: by proxy, what it found besides its score, as JSON-able data; only the jobs of a bench ask for it.
        latency_ms: milliseconds of one inference, the median of the timed passes, where the job asked for it. This is
            wall-clock time: another measurement gives another number.
        device: the model of the device it was measured on; latencies of two models are not comparable.
        peak_bytes: the most memory that torch's tensors held on the GPU meanwhile; None without a GPU.
        cause: the reason, typed; None where there is no reason, or an evaluator does not say.
    """

    scores: Mapping[str, float | Mapping[str, str]] = field(default_factory=dict)
    reason: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    latency_ms: float | None = None
    device: str | None = None
    peak_bytes: int | None = None
    cause: Cause | None = None

    @staticmethod
    def failed(reason: str, cause: Cause, seconds: Mapping[str, float] | None = None) -> Outcome:
        """Make the outcome of a job that failed as a whole."""
        return Outcome({}, reason, seconds or {}, cause=cause)

    @property
    def status(self) -> str:
        """ "ok", "over_budget", "stopped" or "failed", as the journal writes it."""
        if self.reason is None:
            return "ok"
        return self.cause.value if self.cause in (Cause.OVER_BUDGET, Cause.STOPPED) else "failed"

    def as_dict(self) -> dict[str, Any]:
        """Give the outcome as JSON-able data."""
        return {
            "scores": dict(self.scores),
            "reason": self.reason,
            "seconds": dict(self.seconds),
            "details": dict(self.details),
            "latency_ms": self.latency_ms,
            "device": self.device,
            "peak_bytes": self.peak_bytes,
            "cause": self.cause,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Outcome:
        """Read what `as_dict` gave."""
        return Outcome(**{**data, "cause": None if data["cause"] is None else Cause(data["cause"])})


def outcome_of(
    values: Mapping[str, float | Mapping[str, str]],
    seconds: Mapping[str, float],
    details: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    whole: bool = False,
) -> Outcome:
    """Make an outcome of raw values: a NaN or infinity becomes a typed failure; the job failed if no score is left.

    With `whole` it failed if any is missing: an objective without one of its scores is another objective.
    """
    finite = True
    scores: dict[str, float | Mapping[str, str]] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            scores[name] = dict(value)
        else:
            finite = finite and math.isfinite(value)
            scores[name] = float(value) if math.isfinite(value) else {"failed": f"non-finite value {float(value)}"}
    failures = {name: value["failed"] for name, value in scores.items() if isinstance(value, Mapping)}
    reason, cause = None, None
    if len(failures) == len(scores) or (whole and failures):
        reason = "; ".join(f"{name}: {why}" for name, why in failures.items()) or "no score was asked for"
        cause = Cause.NOT_FINITE if not finite else _cause_of(failures.values())
        if len(failures) < len(scores):
            cause = Cause.INCOMPLETE
    return Outcome(scores, reason, dict(seconds), dict(details or {}), cause=cause)


def _cause_of(failures: Iterable[str]) -> Cause:
    """Tell by the first word of each, which is a proxy's stable reason, why no proxy gave a score."""
    words = {failure.partition(":")[0] for failure in failures}
    if "non_finite" in words:
        return Cause.NOT_FINITE
    return Cause.ERROR if words == {"raised"} else Cause.NO_SCORE


def too_slow(latency_ms: float, device: str, limit_ms: float, seconds: Mapping[str, float]) -> Outcome:
    """Make the outcome of a network over the latency budget: it has no scores, so an algorithm learns to avoid it."""
    reason = f"latency {latency_ms:.4g} ms > {limit_ms:g} ms on {device}"
    return Outcome({}, reason, dict(seconds), latency_ms=latency_ms, device=device, cause=Cause.OVER_BUDGET)


def numbers(scores: Mapping[str, float | Mapping[str, str]]) -> dict[str, float]:
    """Keep the scores that are numbers: what is reported to algorithms."""
    if {*map(type, scores.values())} == {float}:  # so it is nearly always, and a journal may have a hundred thousand
        return dict(scores)  # type: ignore[arg-type]
    return {name: float(value) for name, value in scores.items() if not isinstance(value, Mapping)}
