"""What benchmarks.simulator simulates: how many scorers, how quick, in which order, behind which window, under which driver."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.simulated.virtual import PARTS, Calls, Clock, Numbers, Result, Times, simulate
from search.config import loading
from search.ranking.objective import find
from search.spaces.from_config import from_config

CONFIG = Path(__file__).parents[2] / "configs" / "search" / "uninas_30m_agg.yaml"
SIGMA = 0.3  # 50 candidates of configs/search/demo.yaml on a processor core: 0.31
PER_SCORER = 32  # in ask order: the rule asks for 19 where stragglers take ten times as long; the rest is its margin
ONE, SIXTEEN = Calls(0.00076, 0.0, 1), Calls(0.00046, 0.0003, 16)
"""What calls cost the driver. Ray 2.60 took 0.76 ms of it a call, and 0.33 ms a job with sixteen jobs a call: 0.46 ms a call and
0.30 ms a job fit both."""


@dataclass(frozen=True)
class Scenario:
    scorers: int
    mean_s: float
    order: str
    window: int
    evaluations: int
    warm: int
    calls: Calls = ONE
    algorithm: str = "evolution"
    costs: tuple[float, ...] | None = None  # seconds of each part a candidate; None: the real work, measured
    sigma: float = SIGMA

    def run(self, seed: int, progress: Callable[[int], None]) -> Result:
        settings = loading.load(CONFIG)
        space: Any = Numbers() if self.costs else from_config(settings)
        algorithm = "random" if self.costs else self.algorithm
        clock = Clock(lambda: 0.0, dict(zip(PARTS, self.costs, strict=True))) if self.costs else Clock()
        result = simulate(
            space,
            find(settings.objective),
            algorithm=algorithm,
            options=settings.algorithm_options if algorithm == "evolution" else None,
            scorers=self.scorers,
            window=self.window,
            order=self.order,
            times=Times(self.mean_s, self.sigma, seed=seed),
            calls=replace(self.calls, call_s=0.0, job_s=0.0) if self.costs else self.calls,
            evaluations=self.evaluations,
            warm=self.warm,
            clock=clock,
            progress=progress,
        )
        return replace(result, tickets=[])


def real(scale: float) -> dict[str, Scenario]:
    """The scenarios in which the driver does its real work."""

    def of(asks: float) -> int:
        return max(500, round(asks * scale))

    def one(scorers: int, mean: float, order: str, window: int, warm: int, more: float, **rest: Any) -> Scenario:
        return Scenario(scorers, mean, order, window, warm + of(more), warm, **rest)

    window = PER_SCORER * 1000
    return {
        "3 s, ask": one(1000, 3.0, "ask", window, window, 20_000),
        "3 s, completion": one(1000, 3.0, "completion", 1000, 2000, 6000),
        "3 s, walk": one(1000, 3.0, "ask", 1, 1, 300, algorithm="walk"),
        "0.3 s, completion": one(1000, 0.3, "completion", 1000, 2000, 4000),
        "0.3 s, ask": one(1000, 0.3, "ask", 4000, 4000, 3000),
        "0.3 s, completion, 16 a call": one(1000, 0.3, "completion", 16_000, 2000, 6000, calls=SIXTEEN),
        "10,000 of 3 s, completion": one(10_000, 3.0, "completion", 10_000, 4000, 4000),
    }


def costs_of(results: Sequence[Result]) -> tuple[float, ...]:
    """Seconds that a candidate takes the driver, by part; what is not one call a candidate counts as telling."""
    mean = {part: statistics.mean(result.each_ms[part] for result in results) / 1000 for part in PARTS}
    return (mean["ask"], mean["text"], mean["tell"] + mean["journal"] + mean["rest"], 0.0, mean["calls"], 0.0)


def windows(costs: tuple[float, ...], scale: float) -> dict[tuple[str, float, int], Scenario]:
    """Windows tried with a driver whose work takes constants: by order, sigma and window a scorer."""
    free = (0.0,) * len(PARTS)
    found = {}
    for order, sigma, each in [
        *(("ask", SIGMA, each) for each in (1, 2, 4, 8, 12, 16, 20, 24, 32)),
        *(("completion", SIGMA, each) for each in (1, 2)),
        *(("ask", sigma, each) for sigma in (0.2, 0.5) for each in (16, 20, 32)),
    ]:
        window = 1000 * each
        warm = window if order == "ask" else 2000
        used = costs if sigma == SIGMA else free
        found[order, sigma, each] = Scenario(
            1000, 3.0, order, window, warm + round(20_000 * scale), warm, costs=used, sigma=sigma
        )
    return found
