"""Latency in a search: when it is measured, how, and what a run says about it. The measuring itself is the worker's.

It is a raw quantity of a candidate, wall-clock time and so not reproducible: the journal holds each one with the model of its
device, and a resumed run takes it from there and never measures it again.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

from search.algorithms import ALGORITHMS
from search.job import Outcome, Timing, too_slow
from search.objective import LATENCY
from search.phase import Entry
from search.schema import SearchConfig


def objectives_of(config: SearchConfig) -> tuple[str, ...]:
    """Give the objectives of a multi-objective search, "score" among them; none for any other algorithm."""
    return tuple(config.objectives or ALGORITHMS[config.algorithm].objectives)


def timing_of(config: SearchConfig) -> Timing | None:
    """Say how each candidate is timed; None where latency is neither an objective nor has a budget."""
    limit = config.budget.latency_ms
    if LATENCY not in objectives_of(config) and limit is None:
        return None
    return Timing(**dataclasses.asdict(config.latency), limit_ms=limit)


def reusable(entries: Iterable[Entry], scores: int, limit_ms: float | None) -> dict[str, Outcome]:
    """Give what another phase need not find again, by digest: all `scores` raw scores are there, or it is over the budget."""
    known = {}
    for entry in entries:
        latency, device = entry.costs.get(LATENCY), entry.device
        if len(entry.scores) == scores:
            known[entry.digest] = Outcome(dict(entry.scores), latency_ms=latency, device=device)
        elif limit_ms is not None and latency is not None and device is not None and latency > limit_ms:
            known[entry.digest] = too_slow(latency, device, limit_ms, {})
    return known


def described(config: SearchConfig, entries: Iterable[Entry]) -> dict[str, Any]:
    """Give run.json's `latency`: how it was measured, and how many candidates on which device model; nothing without it."""
    if timing_of(config) is None:
        return {}
    devices = Counter(entry.device for entry in entries if entry.device is not None)
    return {"latency": {**dataclasses.asdict(config.latency), "devices": dict(sorted(devices.items()))}}


def warnings(config: SearchConfig) -> list[str]:
    """Say what will disturb the measurements."""
    if timing_of(config) is not None and 0 < config.pool.gpus_per_worker < 1:
        return ["warning: workers share a GPU: a latency measured beside a busy neighbour is longer"]
    return []


def mixed(entries: Iterable[Entry]) -> list[str]:
    """Say that latencies of several device models stand in one journal, where they do."""
    models = sorted({entry.device for entry in entries if entry.device is not None})
    if len(models) < 2:
        return []
    return [f"warning: latencies of {len(models)} device models are in this run and not comparable: {', '.join(models)}"]
