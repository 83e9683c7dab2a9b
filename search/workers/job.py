"""What goes to a worker and what comes back: plain JSON-able data on both ways."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol


class Work(Protocol):
    """What a pool takes in: the job of a search, or one of another kind whose evaluator reads it back with its own `Job`."""

    @property
    def label(self) -> str:
        """Name the network in a message."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Give the job as JSON-able data, which is what travels."""
        ...


@dataclass(frozen=True)
class Timing:
    """A wish for the latency of one inference, measured on the worker's own device before anything is scored.

    Attributes:
        batch: images at a time.
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
        timing: how to measure the latency; None where nobody asked for it.
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
    """What became of a job: scores, or the reason why there are none. Never an invented score.

    Attributes:
        scores: by proxy, a finite number or the mapping {"failed": reason}.
        reason: why the whole job failed; None where at least one score came out.
        seconds: wall time by stage: build, latency, score.
        details: by proxy, what it found beside its score, as JSON-able data; only the jobs of a bench ask for it.
        latency_ms: milliseconds of one inference, the median of the timed passes, where the job asked for it. Wall-clock
            time: another measurement gives another number.
        device: the model of the device it was measured on; latencies of two models are not comparable.
        over_budget: whether it is slower than the job allows, which is why it has no scores.
        peak_bytes: the most memory that torch's tensors held on the GPU meanwhile; None without a GPU.
    """

    scores: Mapping[str, float | Mapping[str, str]] = field(default_factory=dict)
    reason: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    latency_ms: float | None = None
    device: str | None = None
    over_budget: bool = False
    peak_bytes: int | None = None

    @property
    def status(self) -> str:
        """ "ok", "over_budget" or "failed", as the journal writes it."""
        return "ok" if self.reason is None else "over_budget" if self.over_budget else "failed"

    def as_dict(self) -> dict[str, Any]:
        """Give the outcome as JSON-able data."""
        return {
            "scores": dict(self.scores),
            "reason": self.reason,
            "seconds": dict(self.seconds),
            "details": dict(self.details),
            "latency_ms": self.latency_ms,
            "device": self.device,
            "over_budget": self.over_budget,
            "peak_bytes": self.peak_bytes,
        }


def outcome_of(
    values: Mapping[str, float | Mapping[str, str]],
    seconds: Mapping[str, float],
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> Outcome:
    """Make an outcome of raw values: a NaN or infinity becomes a typed failure; failed if no score is left."""
    scores: dict[str, float | Mapping[str, str]] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            scores[name] = dict(value)
        else:
            scores[name] = float(value) if math.isfinite(value) else {"failed": f"non-finite value {float(value)}"}
    failures = {name: value["failed"] for name, value in scores.items() if isinstance(value, Mapping)}
    reason = None
    if len(failures) == len(scores):
        reason = "; ".join(f"{name}: {why}" for name, why in failures.items()) or "no score was asked for"
    return Outcome(scores, reason, dict(seconds), dict(details or {}))


def too_slow(latency_ms: float, device: str, limit_ms: float, seconds: Mapping[str, float]) -> Outcome:
    """Make the outcome of a network over the latency budget: no scores, so an algorithm sees what may not be had."""
    reason = f"latency {latency_ms:.4g} ms > {limit_ms:g} ms on {device}"
    return Outcome({}, reason, dict(seconds), latency_ms=latency_ms, device=device, over_budget=True)


def numbers(scores: Mapping[str, float | Mapping[str, str]]) -> dict[str, float]:
    """Keep the scores that are numbers: what algorithms are told."""
    return {name: float(value) for name, value in scores.items() if not isinstance(value, Mapping)}
