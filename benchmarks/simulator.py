"""How busy 1,000 and 10,000 scorers are kept, and what bounds it: the real driver on virtual time.

    python -m benchmarks.simulator
    python -m benchmarks.simulator --scale 0.2

Asks, tells, ranks and journal are the real ones, in the space of configs/search/uninas_30m_agg.yaml, and take the processor time
that they take; a call to a scorer takes a constant; scorers take lognormal times, 1% of the candidates ten times as long, 0.5%
fail. Minutes on two quiet cores. What the driver's work was measured to take is then given to a space without work, to try many
windows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from queue import Empty
from typing import Any

from rich.progress import Progress

from benchmarks.page import FOLDER, publish
from benchmarks.simulated.page import page, picture
from benchmarks.simulated.scenarios import Scenario, costs_of, real, windows
from benchmarks.simulated.virtual import Result

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
    publish(page(scenarios, results, tried), "simulator", write=options.write)
    if options.write:
        (FOLDER / "simulator.svg").write_text(picture(results, tried) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
