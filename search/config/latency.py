"""Whether and how a configuration has each candidate's latency measured."""

from __future__ import annotations

import dataclasses

from search.algorithms import ALGORITHMS
from search.config.schema import SearchConfig
from search.ranking.objective import LATENCY
from search.workers.job import Timing


def objectives_of(config: SearchConfig) -> tuple[str, ...]:
    """Give the objectives of a multi-objective search, "score" among them; none for any other algorithm."""
    if config.objectives is not None or config.algorithm_file is not None:  # a run states those of one's own algorithm
        return tuple(config.objectives or ())
    return ALGORITHMS[config.algorithm].objectives


def timing_of(config: SearchConfig) -> Timing | None:
    """Say how each candidate is timed; None where latency is neither an objective nor has a budget."""
    limit = config.budget.latency_ms
    if LATENCY not in objectives_of(config) and limit is None:
        return None
    return Timing(**dataclasses.asdict(config.latency), limit_ms=limit)


def warnings(config: SearchConfig) -> list[str]:
    """Say what will disturb the measurements."""
    if timing_of(config) is not None and 0 < config.pool.gpus_per_worker < 1:
        return ["warning: workers share a GPU: a latency measured beside a busy neighbour is longer"]
    return []
