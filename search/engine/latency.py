"""Latency in a search: when it is measured, how, and what a run says about it. The measuring itself is the worker's.

It is a raw quantity of a candidate, wall-clock time and so not reproducible: the journal holds each one with the model of its
device, and a resumed run takes it from there and never measures it again.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from search.engine.phase import Entry
from search.ranking.objective import LATENCY
from search.workers.job import Outcome, Timing, too_slow


def reusable(entries: Iterable[Entry], scores: Sequence[str], limit_ms: float | None) -> dict[str, Outcome]:
    """Give what another phase need not find again, by digest: all these raw scores are there, or it is over the budget."""
    known = {}
    for entry in entries:
        latency, device = entry.costs.get(LATENCY), entry.device
        if all(name in entry.scores for name in scores):
            known[entry.digest] = Outcome(dict(entry.scores), latency_ms=latency, device=device)
        elif limit_ms is not None and latency is not None and device is not None and latency > limit_ms:
            known[entry.digest] = too_slow(latency, device, limit_ms, {})
    return known


def described(timing: Timing | None, entries: Iterable[Entry]) -> dict[str, Any]:
    """Give run.json's `latency`: how it was measured, and how many candidates on which device model; nothing without it."""
    if timing is None:
        return {}
    how = {name: value for name, value in dataclasses.asdict(timing).items() if name != "limit_ms"}
    devices = Counter(entry.device for entry in entries if entry.device is not None)
    return {"latency": {**how, "devices": dict(sorted(devices.items()))}}


def mixed(entries: Iterable[Entry]) -> list[str]:
    """Say that latencies of several device models stand in one journal, where they do."""
    models = sorted({entry.device for entry in entries if entry.device is not None})
    if len(models) < 2:
        return []
    return [f"warning: latencies of {len(models)} device models are in this run and not comparable: {', '.join(models)}"]
