"""How busy 1,000 and 10,000 scorers are kept, and what bounds it: the real driver on virtual time (benchmarks/virtual.py).

    python -m benchmarks.simulator
    python -m benchmarks.simulator --scale 0.2

Asks, tells, ranks and journal are the real ones, in the space of configs/search/uninas_30m_agg.yaml, and take the processor time
that they take; a call to a scorer takes a constant; scorers take lognormal times, 1% of the candidates ten times as long, 0.5%
fail. Minutes on two quiet cores. What the driver's work was measured to take is then given to a space without work, to try many
windows.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any

from rich.progress import Progress

from benchmarks.page import FOLDER, publish
from benchmarks.virtual import PARTS, Calls, Clock, Numbers, Result, Times, simulate
from search import config
from search.objective import find
from search.space import from_config

CONFIG = Path(__file__).parents[1] / "configs" / "search" / "uninas_30m_agg.yaml"
SIGMA = 0.3  # 50 candidates of configs/search/demo.yaml on a processor core: 0.31
PER_SCORER = 20  # the rule's window in ask order, for stragglers of ten times
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
        settings = config.load(CONFIG)
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
        "3 s, ask": one(1000, 3.0, "ask", window, window, 10_000),
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


# --- running ---------------------------------------------------------------------------------------------------------------

_queue: Any = None


def _begin(queue: Any) -> None:
    global _queue
    _queue = queue


def _work(name: Any, scenario: Scenario, seed: int) -> tuple[Any, Result]:
    return name, scenario.run(seed, lambda done: _queue.put((name, done)))


def run_all(scenarios: dict[Any, Scenario], seed: int, processes: int) -> dict[Any, Result]:
    """Run scenarios side by side, the longest first, each in a process whose memory nothing else has filled."""
    context = get_context("spawn")
    queue = context.Queue()
    results: dict[Any, Result] = {}
    with (
        Progress() as bars,
        ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(queue,), max_tasks_per_child=1) as pool,
        _bars(bars, scenarios, queue) as show,
    ):
        order = sorted(scenarios, key=lambda name: -scenarios[name].evaluations)
        futures = [pool.submit(_work, name, scenarios[name], seed) for name in order]
        while not all(future.done() for future in futures):
            show()
        for future in futures:
            name, result = future.result()
            results[name] = result
    return {name: results[name] for name in scenarios}


@contextmanager
def _bars(bars: Progress, scenarios: dict[Any, Scenario], queue: Any) -> Iterator[Callable[[], None]]:
    tasks = {name: bars.add_task(str(name), total=scenario.evaluations) for name, scenario in scenarios.items()}

    def show() -> None:
        try:
            name, done = queue.get(timeout=0.5)
        except Empty:
            return
        bars.update(tasks[name], completed=done)

    yield show


# --- the command --------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of times, scores and search (default 0)")
    parser.add_argument("--scale", type=float, default=1.0, help="candidates measured, relative to the page's (default 1)")
    parser.add_argument("--processes", type=int, default=2, help="simulations side by side (default 2)")
    parser.add_argument("--without-windows", action="store_true", help="leave out the windows tried with constant work")
    parser.add_argument("--write", action="store_true", help="keep the page and picture in docs/benchmarks")
    options = parser.parse_args()
    scenarios = real(options.scale)
    results = run_all(scenarios, options.seed, options.processes)
    costs = costs_of([results["3 s, ask"], results["3 s, completion"]])
    tried = {} if options.without_windows else run_all(windows(costs, options.scale), options.seed, options.processes)
    from benchmarks.simulator_page import page, picture  # it knows this module's scenarios

    publish(page(scenarios, results, tried), "simulator", write=options.write)
    if options.write:
        (FOLDER / "simulator.svg").write_text(picture(results, tried) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
