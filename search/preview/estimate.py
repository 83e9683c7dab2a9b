"""From a few samples to a whole search: candidates per second, hours, memory, disk. Pure: nothing is measured here.

The estimate is by the mean of the samples. Its range says what it would be if all candidates were as the fastest of them, or as
the slowest: a search moves within its budget, so that later candidates may take more or less time than its first ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from search.config.plan import SearchPlan
from search.preview.samples import Sample

__all__ = ["Estimate", "Phase", "Range", "at_a_time", "estimate"]


@dataclass(frozen=True)
class Range:
    """A number, and between which it would be if all candidates were as the least, or the most, of the samples."""

    mean: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Range:
        """Make the range of samples."""
        return Range(fmean(values), min(values), max(values))

    def __add__(self, other: Range) -> Range:
        return Range(self.mean + other.mean, self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class Phase:
    """One phase of a search.

    Attributes:
        name: search, random or finalists.
        scorings: of it.
        parallel: scorings at a time.
        seconds: it takes.
    """

    name: str
    scorings: int
    parallel: int
    seconds: Range

    @property
    def rate(self) -> Range:
        """Scorings per second; the least where a candidate takes the longest."""
        mean, low, high = (self.scorings / max(value, 1e-9) for value in (self.seconds.mean, self.seconds.high, self.seconds.low))
        return Range(mean, low, high)


@dataclass(frozen=True)
class Estimate:
    """What a whole search takes.

    Attributes:
        phases: that have scorings, in their order.
        worker_bytes: the most memory that a scoring needed, its process with it; None where the system does not tell.
        gpu_bytes: likewise of the GPU; None without one.
        journal_bytes: of the whole journal.
    """

    phases: tuple[Phase, ...]
    worker_bytes: int | None
    gpu_bytes: int | None
    journal_bytes: int

    @property
    def seconds(self) -> Range:
        """All phases together."""
        total = Range(0.0, 0.0, 0.0)
        for phase in self.phases:
            total = total + phase.seconds
        return total


def estimate(plan: SearchPlan, samples: Sequence[Sample], totals: Mapping[str, int], cores: int) -> Estimate:
    """Estimate a search.

    Args:
        plan: of it.
        samples: at least one.
        totals: scorings by phase: search, random, finalists.
        cores: of the machine that has the workers.
    """
    keeps = [rung.keep for rung in plan.ladder]
    costs: Mapping[str, Callable[[Sample], float]] = {
        "search": lambda sample: _climbing(sample, keeps),
        "random": lambda sample: sample.last.seconds,
        "finalists": lambda sample: sample.final.seconds,
    }
    windows = {"search": plan.window, "random": plan.random_window}
    phases = []
    for name, scorings in totals.items():
        if scorings:
            parallel = min(at_a_time(plan, cores), windows.get(name, scorings), scorings)
            asks = [sample.ask_seconds for sample in samples if sample.phase == name] or [0.0]
            each = Range.of([costs[name](sample) for sample in samples if name != "search" or sample.rungs or not keeps])
            seconds = [_seconds(plan, scorings, value, fmean(asks), parallel) for value in (each.mean, each.low, each.high)]
            phases.append(Phase(name, scorings, parallel, Range(*seconds)))
    peaks = [sample.peak_bytes for sample in samples if sample.peak_bytes is not None]
    on_gpu = [sample.gpu_bytes for sample in samples if sample.gpu_bytes is not None]
    line = fmean(sample.line_bytes for sample in samples)
    return Estimate(
        tuple(phases),
        max(peaks, default=None),
        max(on_gpu, default=None),
        round(line * sum(totals[phase.name] for phase in phases)),
    )


def at_a_time(plan: SearchPlan, cores: int) -> int:
    """Say how many candidates the workers score at a time: those on processor cores no more than there are cores here."""
    pool = plan.pool
    if pool.kind == "serial":
        return 1
    here = pool.address is None and not pool.gpus_per_worker
    return min(pool.workers, cores) if here else pool.workers


def _climbing(sample: Sample, keeps: Sequence[float]) -> float:
    """Give the expected seconds of a candidate on the ladder: what comes last is for the share that every rung lets through."""
    share, seconds = 1.0, 0.0
    for rung, keep in zip(sample.rungs, keeps, strict=False):
        seconds += share * rung.seconds
        share *= keep
    return seconds + share * sample.last.seconds


def _seconds(plan: SearchPlan, scorings: int, each: float, ask: float, parallel: int) -> float:
    """Give the seconds of a phase: in one process asks and scorings take turns, else the driver asks while workers score."""
    if plan.pool.kind == "serial":
        return scorings * (each + ask)
    return scorings * max(each / parallel, ask)
