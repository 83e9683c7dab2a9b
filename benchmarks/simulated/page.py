"""The page and the picture of benchmarks.simulator."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping

from matplotlib.figure import Figure

from benchmarks.page import command, setting, table
from benchmarks.simulated.scenarios import ONE, SIGMA, SIXTEEN, Scenario
from benchmarks.simulated.virtual import PARTS, Result, Times
from search.report.svg import render_svg
from search.report.theme import AMBER, BLUE, PURPLE, SOFT, TEAL

Tried = Mapping[tuple[str, float, int], Result]
COLOURS = (BLUE, TEAL, AMBER, PURPLE, "#b5475d", SOFT)

METHOD = """
The real asks, tells, ranks, journal and loop of a search (`configs/search/uninas_30m_agg.yaml`: CoAtNet at 224 pixels,
evolution with a population of 256, VKDNW_agg) on virtual time. The driver's work takes the processor time that it takes
here; a call to a scorer takes it {call:.2f} ms (measured with Ray 2.60), one with sixteen jobs {batch_call:.2f} ms and
{batch_job:.2f} ms a job. Scorers are simulated: lognormal times (sigma {sigma:g}; 50 candidates of the demo on a processor
core had 0.31), 1% of the candidates ten times as long, 0.5% failed, so that the mean of all is {overall:.2f} of the mean
that is named. Waiting for the disk (1.5 ms a second) and the way to the scorer are left out. At 3 s in ask order measured
from the first ask that has to wait for a result, else from a steady state, to the last ask.
"""

PARTS_READ = """
In ask order what was told is learnt within the ask that sees it, in completion order within the tell; and lines wait for the
oldest result, so that a stretch shorter than a straggler may see few of them written.
"""

RULE = """
In completion order a window of as many as there are workers is enough. In ask order W asks take at least as long as the
longest of W candidates, since an ask behind them waits for it; meanwhile n workers could work n x longest / mean candidates
off. So
"""

STRAGGLERS = """
Where `pool.deadline_s` bounds the longest time, it is the longest. With 1% stragglers of ten times, the longest of a window
is the longer, the larger the window and the spread:
"""

TRIED = "Simulated for 1,000 scorers of 3 s. The driver's work is a constant, as measured above, or nothing:"

LEARNING = """
The first W candidates are asked before any result is seen, and each later one sees nothing of the W before it. Where
`evaluations` is not several windows, use completion order: it keeps as many workers busy with a window of as many. Evolution
with a window beyond its population draws parents from candidates nobody has scored yet until the first result; with the
starts alone as parents, thirty tries of each ask around the 12,000th were duplicates, and an ask took 26 ms.
"""

LIMIT = """
At 0.3 s, 1,000 scorers are busy {busy} of their time. The driver is one process, at work all the time; it serves {rate:,.0f}
candidates a second where {wanted:,.0f} are wanted. The largest parts are {first} and {second}. Sixteen jobs a call make it
{batched_rate:,.0f} a second, {batched_busy} busy: calls then take {batched_calls:.2f} ms, and asking remains. No window changes
this. What a candidate takes the driver gives the mean time that candidates need for scorers to be 95% busy:
"""


def paragraph(text: str, **figures: object) -> str:
    """Fill a paragraph's figures in, and its lines up."""
    filled = text.format(**figures) if figures else text
    return textwrap.fill(" ".join(filled.split()), 128, break_long_words=False, break_on_hyphens=False)


def page(scenarios: Mapping[str, Scenario], results: Mapping[str, Result], tried: Tried) -> str:
    """The whole page."""
    times = Times(3.0, SIGMA)
    method = paragraph(
        METHOD,
        call=1000 * ONE.call_s,
        batch_call=1000 * SIXTEEN.call_s,
        batch_job=1000 * SIXTEEN.job_s,
        sigma=SIGMA,
        overall=times.overall_s / times.mean_s,
    )
    needed = [[f"{n:,}", *(f"{Times(3.0, sigma).window(n):,}" for sigma in (0.2, 0.3, 0.5))] for n in (8, 100, 1000, 10_000)]
    load = f"Load average {os.getloadavg()[2]:.0f} on {os.cpu_count()} cores; beyond their number, processor times lengthen."
    parts = [
        "# How busy many scorers are kept",
        method,
        main_table(scenarios, results),
        "![busy scorers against the window; where the driver's time goes](simulator.svg)",
        parts_table(results),
        paragraph(PARTS_READ),
        "## How large a window",
        paragraph(RULE),
        "    window >= workers x longest time / mean time",
        paragraph(STRAGGLERS),
        table(["workers", "sigma 0.2", "sigma 0.3", "sigma 0.5"], needed),
        *([TRIED, windows_table(tried)] if tried else []),
        paragraph(LEARNING),
        "## The limit",
        limit(results),
        limits_table(results),
        f"{setting()} {load}",
        f"    {command()}",
    ]
    return "\n\n".join(parts)


def share(value: float) -> str:
    """A share in percent."""
    return f"{100 * max(value, 0.0):.1f}%"


def main_table(scenarios: Mapping[str, Scenario], results: Mapping[str, Result]) -> str:
    """How busy, and where the rest went."""
    rows = []
    for name, result in results.items():
        scenario = scenarios[name]
        rows.append(
            [
                name,
                f"{scenario.scorers:,}",
                f"{scenario.window:,}",
                f"{result.seconds:,.1f}",
                f"{result.asks_per_s:,.1f}",
                share(result.busy),
                share(result.held),
                share(result.late),
                share(sum(result.driver.values())),
            ]
        )
    head = [
        "mean time, order",
        "scorers",
        "window",
        "virtual s measured",
        "candidates per s",
        "busy",
        "idle: held by the window",
        "idle: driver at work",
        "driver's time used",
    ]
    return table(head, rows)


def parts_table(results: Mapping[str, Result]) -> str:
    """What a candidate costs the driver."""
    rows = [
        [name, *(f"{result.each_ms[part]:.2f}" for part in PARTS), f"{sum(result.each_ms.values()):.2f}"]
        for name, result in results.items()
    ]
    return table(["milliseconds of the driver a candidate", *PARTS, "sum"], rows)


def windows_table(tried: Tried) -> str:
    """Windows tried, against the rule's estimate."""
    rows = []
    for (order, sigma, each), result in tried.items():
        estimate = share(Times(3.0, sigma).busy(1000 * each, 1000)) if order == "ask" else ""
        rows.append([order, f"{sigma:g}", "measured" if sigma == SIGMA else "nothing", f"{each}", share(result.busy), estimate])
    return table(["order", "sigma", "driver's work", "window a scorer", "busy", "estimate of the rule"], rows)


def limit(results: Mapping[str, Result]) -> str:
    """What bounds cheap candidates, in words."""
    cheap, batched = results["0.3 s, completion"], results["0.3 s, completion, 16 a call"]
    wanted = 1000 / Times(0.3, SIGMA).overall_s
    first, second = sorted(PARTS, key=lambda part: -cheap.each_ms[part])[:2]
    return paragraph(
        LIMIT,
        busy=share(cheap.busy),
        rate=cheap.asks_per_s,
        wanted=wanted,
        first=f"{first} ({cheap.each_ms[first]:.2f} ms)",
        second=f"{second} ({cheap.each_ms[second]:.2f} ms)",
        batched_rate=batched.asks_per_s,
        batched_busy=share(batched.busy),
        batched_calls=batched.each_ms["calls"],
    )


def limits_table(results: Mapping[str, Result]) -> str:
    """The shortest mean time of all candidates at which the driver alone allows 95%."""
    rows = []
    for called, name in (("one job a call", "0.3 s, completion"), ("sixteen jobs a call", "0.3 s, completion, 16 a call")):
        seconds = sum(results[name].each_ms.values()) / 1000
        means = [f"{0.95 * scorers * seconds:.2f} s" for scorers in (100, 1000, 10_000)]
        rows.append([called, f"{1000 * seconds:.2f}", f"{1 / seconds:,.0f}", *means])
    head = ["driver", "ms a candidate", "candidates per s at most", "mean time for 100 scorers", "for 1,000", "for 10,000"]
    return table(head, rows)


def picture(results: Mapping[str, Result], tried: Tried) -> str:
    """Busy share against the window, and the driver's time, as SVG."""

    def plot(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
        rule = [each / 4 for each in range(4, 129)]
        times = Times(3.0, SIGMA)
        estimate = [times.busy(round(1000 * each), 1000) for each in rule]
        left.plot(rule, estimate, color=BLUE, linewidth=1, label="estimate of the rule, ask order")
        for order, colour in (("ask", BLUE), ("completion", AMBER)):
            points = [(each, result.busy) for (o, sigma, each), result in tried.items() if o == order and sigma == SIGMA]
            if points:
                left.plot(*zip(*points, strict=True), "o", color=colour, markersize=4, label=f"simulated, {order} order")
        left.axhline(0.95, color=SOFT, linewidth=0.7, linestyle="--")
        left.set(xscale="log", xlabel="window a scorer", ylabel="busy", ylim=(0, 1.05))
        left.set_title("1,000 scorers of 3 s: busy share against window")
        left.set_xticks([1, 2, 4, 8, 16, 32], labels=["1", "2", "4", "8", "16", "32"])
        left.legend(loc="lower right")
        names = list(reversed(results))
        start = [0.0] * len(names)
        for part, colour in zip(PARTS, COLOURS, strict=True):
            values = [results[name].driver[part] for name in names]
            right.barh(names, values, left=start, color=colour, label=part, height=0.6)
            start = [a + b for a, b in zip(start, values, strict=True)]
        right.set(xlim=(0, 1), xlabel="share of the driver's time; the rest is waiting")
        right.set_title("Where the driver's time goes")
        right.grid(visible=False, axis="y")
        right.legend(ncols=len(PARTS), loc="upper center", bbox_to_anchor=(0.4, -0.16), handlelength=1, columnspacing=1)

    return render_svg("simulator", "busy scorers against the window, and the driver's time", 3.8, plot, alone=True)
