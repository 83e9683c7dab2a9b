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
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any

from matplotlib.figure import Figure
from rich.progress import Progress

from benchmarks.page import FOLDER, command, publish, setting, table
from benchmarks.virtual import PARTS, Calls, Clock, Numbers, Result, Times, simulate
from search import config
from search.objective import find
from search.report.svg import render_svg
from search.report.theme import AMBER, BLUE, PURPLE, SOFT, TEAL
from search.space import from_config

CONFIG = Path(__file__).parents[1] / "configs" / "search" / "uninas_30m_agg.yaml"
SIGMA = 0.3  # 50 candidates of configs/search/demo.yaml on a processor core: 0.31
COLOURS = (BLUE, TEAL, AMBER, PURPLE, "#b5475d", SOFT)
PER_SCORER = 20  # the rule's window in ask order, for stragglers of ten times
ONE, SIXTEEN = Calls(0.00076, 0.0, 1), Calls(0.00046, 0.0003, 16)
"""spec: 0.76 ms of the driver a call; with sixteen jobs a call at most 0.33 ms a job: 0.46 ms a call and 0.30 ms a job fit both."""


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


# --- the page --------------------------------------------------------------------------------------------------------------


def share(value: float) -> str:
    return f"{100 * max(value, 0.0):.1f}%"


def main_table(scenarios: dict[str, Scenario], results: dict[str, Result]) -> str:
    head = ["mean time, order", "scorers", "window", "jobs a call", "measured over, virtual s", "candidates per s", "busy",
            "idle: window", "idle: driver", "driver's time used"]  # fmt: skip
    rows = []
    for name, result in results.items():
        scenario = scenarios[name]
        rows.append([
            name, f"{scenario.scorers:,}", f"{scenario.window:,}", str(scenario.calls.batch), f"{result.seconds:,.1f}",
            f"{result.asks_per_s:,.1f}", share(result.busy), share(result.held), share(result.late),
            share(sum(result.driver.values())),
        ])  # fmt: skip
    return table(head, rows)


def parts_table(results: dict[str, Result]) -> str:
    rows = [
        [name, *(f"{result.each_ms[part]:.2f}" for part in PARTS), f"{sum(result.each_ms.values()):.2f}"]
        for name, result in results.items()
    ]
    return table(["milliseconds a candidate", *PARTS, "sum"], rows)


def windows_table(tried: dict[tuple[str, float, int], Result]) -> str:
    rows = []
    for (order, sigma, each), result in tried.items():
        estimate = share(Times(3.0, sigma).busy(1000 * each, 1000)) if order == "ask" else ""
        driver = "as measured" if sigma == SIGMA else "none"
        rows.append([order, f"{sigma:g}", driver, f"{each}", share(result.busy), estimate])
    return table(["order", "sigma", "driver's work", "window a scorer", "busy", "by the rule"], rows)


def limits_table(batches: dict[str, float]) -> str:
    """The shortest mean time of all candidates at which the driver alone would allow 95%."""
    rows = [
        [name, f"{1000 * seconds:.2f}", f"{1 / seconds:,.0f}", *(f"{0.95 * n * seconds:.2f}" for n in (100, 1000, 10_000))]
        for name, seconds in batches.items()
    ]
    head = ["driver", "ms a candidate", "candidates per s at most", *(f"s for {n} scorers" for n in ("100", "1,000", "10,000"))]
    return table(head, rows)


def picture(results: dict[str, Result], tried: dict[tuple[str, float, int], Result]) -> str:
    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
        rule = [each / 4 for each in range(4, 129)]
        times = Times(3.0, SIGMA)
        left.plot(
            rule, [times.busy(round(1000 * each), 1000) for each in rule], color=BLUE, linewidth=1, label="the rule, ask order"
        )
        for order, colour in (("ask", BLUE), ("completion", AMBER)):
            points = [(each, r.busy) for (o, sigma, each), r in tried.items() if o == order and sigma == SIGMA]
            left.plot(*zip(*points, strict=True), "o", color=colour, markersize=4, label=f"simulated, {order} order")
        left.axhline(0.95, color="#888888", linewidth=0.7, linestyle="--")
        left.set(
            xscale="log",
            xlabel="window a scorer",
            ylabel="busy",
            ylim=(0, 1.05),
            title="1,000 scorers of 3 s: busy share against window",
        )
        left.set_xticks([1, 2, 4, 8, 16, 32], labels=["1", "2", "4", "8", "16", "32"])
        left.legend(loc="lower right")
        names = list(reversed(results))
        start = [0.0] * len(names)
        for part, colour in zip(PARTS, COLOURS, strict=True):
            values = [results[name].driver[part] for name in names]
            right.barh(names, values, left=start, color=colour, label=part, height=0.6)
            start = [a + b for a, b in zip(start, values, strict=True)]
        right.set(xlim=(0, 1), xlabel="share of the driver's time; the rest is waiting", title="Where the driver's time goes")
        right.grid(visible=False, axis="y")
        right.legend(ncols=len(PARTS), loc="upper center", bbox_to_anchor=(0.4, -0.14), handlelength=1, columnspacing=1)

    return render_svg("simulator", "busy scorers against the window, and the driver's time", 3.6, draw, alone=True)


def page(scenarios: dict[str, Scenario], results: dict[str, Result], tried: dict[tuple[str, float, int], Result]) -> str:
    times = Times(3.0, SIGMA)
    loads = {
        "one job a call": sum(results["0.3 s, completion"].each_ms.values()) / 1000,
        "sixteen jobs a call": sum(results["0.3 s, completion, 16 a call"].each_ms.values()) / 1000,
    }
    cheap, batched = results["0.3 s, completion"], results["0.3 s, completion, 16 a call"]
    most = max(PARTS, key=lambda part: cheap.each_ms[part])
    return "\n".join([
        "# How busy many scorers are kept", "",
        "The real asks, tells, ranks, journal and loop of a search (`configs/search/uninas_30m_agg.yaml`: CoAtNet at 224 pixels,",
        "evolution with a population of 256, VKDNW_agg) on virtual time. The driver's work takes the processor time that it takes here;",
        f"a call to a scorer takes it {1000 * ONE.call_s:.2f} ms (measured with Ray 2.60), a call with sixteen jobs "
        f"{1000 * SIXTEEN.call_s:.2f} ms and {1000 * SIXTEEN.job_s:.2f} ms a job. Scorers are",
        f"simulated: lognormal times (sigma {SIGMA:g}; candidates of the demo have 0.31), 1% of the candidates ten times as long, 0.5% failed.",
        f"So the mean of all is {times.overall_s / times.mean_s:.2f} of the mean named here. Waiting for the disk (1.5 ms a second) and the way to the",
        "scorer are left out. Measured from the ask behind the first window (ask order; for what the driver bounds, from a steady state) to",
        "the last ask.", "",
        main_table(scenarios, results), "",
        "![busy scorers against the window; where the driver's time goes](simulator.svg)", "",
        parts_table(results), "",
        "In ask order the results that wait for an older one are learnt within the ask; in completion order within the tell.", "",
        "## How large a window", "",
        "In completion order a window of as many as there are workers is enough. In ask order W asks cannot pass in less time than the",
        "longest of W candidates takes, since an ask behind them waits for it; n workers work off n x longest / mean candidates in that",
        "time. So **W >= workers x longest / mean**. Where `pool.deadline_s` bounds the longest time, it is the longest. The longest of",
        "thousands with stragglers of ten times is about twenty times the mean at sigma 0.3:", "",
        table(["workers", "sigma 0.2", "sigma 0.3", "sigma 0.5"],
              [[f"{n:,}", *(f"{Times(3.0, s).window(n):,}" for s in (0.2, 0.3, 0.5))] for n in (8, 100, 1000, 10_000)]), "",
        "Simulated for 1,000 scorers of 3 s; the driver's work is what it was measured to be above, or nothing:", "",
        windows_table(tried), "",
        "The first W candidates are asked before any result is seen. A search of fewer than several W evaluations in ask order learns",
        "little: use completion order for it, where W is the number of workers.", "",
        "## The limit", "",
        f"At 0.3 s, 1,000 scorers are busy for {share(cheap.busy)} of their time: the driver, one process, serves {cheap.asks_per_s:,.0f} candidates a second",
        f"and {1000 / (0.3 * times.overall_s / times.mean_s):,.0f} would be needed. Most of its time goes to: {most}. With sixteen jobs a call: {share(batched.busy)}, {batched.asks_per_s:,.0f} a second.",
        "What the driver takes for a candidate bounds the mean time below which scorers cannot be kept 95% busy, whatever the window:", "",
        limits_table(loads), "",
        setting(), f"The machine was shared: load {os.getloadavg()[2]:.0f} on {os.cpu_count()} cores; processor times are longer then.", "", f"    {command()}",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of times, scores and search (default 0)")
    parser.add_argument("--scale", type=float, default=1.0, help="candidates measured, relative to the page's (default 1)")
    parser.add_argument("--processes", type=int, default=2, help="simulations side by side (default 2)")
    parser.add_argument("--write", action="store_true", help="keep the page and picture in docs/benchmarks")
    options = parser.parse_args()
    scenarios = real(options.scale)
    results = run_all(scenarios, options.seed, options.processes)
    costs = costs_of([results["3 s, ask"], results["3 s, completion"]])
    tried = run_all(windows(costs, options.scale), options.seed, options.processes)
    publish(page(scenarios, results, tried), "simulator", write=options.write)
    if options.write:
        (FOLDER / "simulator.svg").write_text(picture(results, tried) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
