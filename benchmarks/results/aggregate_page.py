"""docs/results/aggregate.md: the aggregate that was chosen on one half of the networks, and what it is worth on the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.results.markdown import Page, head, table
from benchmarks.results.notes import WHOLE
from search.bench.choosing.choice import Choice, Tried, often
from search.bench.choosing.criterion import ALL
from search.bench.judging.aggregates import METRICS, Comparison, objective
from search.bench.judging.judge import AT_BUDGET
from search.bench.page import words
from search.report.svg import render_svg
from search.report.theme import BLUE, INK, PAPER, SOFT

TITLE = "An aggregate beyond the papers"
MEAN = "timm, mean of families"


def make(choices: Sequence[Choice], notes: Mapping[str, Mapping[str, str]], command: str) -> Page:
    """The page of the choices: one section each, that from most networks first."""
    remarked = notes.get("aggregate", {})
    ordered = sorted(choices, key=lambda one: -sum(one.settings["networks"].values()))
    lines = head(TITLE, command)
    if WHOLE in remarked:
        lines += [remarked[WHOLE], ""]
    pictures: dict[str, str] = {}
    for place, one in enumerate(ordered):
        picture = f"aggregate_{place}.svg" if place else "aggregate.svg"
        pictures[picture] = gains(one)
        lines += _section(one, picture, remarked)
    best = ordered[0]
    headline = f"{_named(best.chosen.components)}: {_verdict(best.chosen, best.settings['reference'])}"
    if best.chosen.cost is not None:
        headline += f" It takes {_cost(best.chosen)}."
    return Page("aggregate.md", TITLE, headline, "\n".join(lines) + "\n", pictures)


def _section(one: Choice, picture: str, notes: Mapping[str, str]) -> list[str]:
    settings, chosen = one.settings, one.chosen
    lines = [f"## {_named(chosen.components)}", "", one.explanation, ""]
    lines += [
        f"Chosen on half of the networks ({_networks(settings['chosen_on'])}); on the other half"
        f" ({_networks(settings['reported_on'])}), which had no part in the choice, {_verdict(chosen, settings['reference'])}",
        "",
    ]
    lines += _figures(chosen.second, settings["reference"])
    lines += [f"Value [95 % bootstrap interval]; nDCG at P = {_tops(settings['top'])}.", ""]
    if any(found.metric == AT_BUDGET for found in chosen.second):
        lines += [words.BUDGET_NOTE, ""]
    lines += [f"![Gain over the reference by each referee and metric]({picture})", ""]
    remarks = [f"- `{name}`: {text}" for name, text in notes.items() if name in chosen.components]
    lines += [*remarks, *([""] if remarks else [])]
    lines += ["### How it was chosen", "", *_method(one), ""]
    lines += ["### What it costs", "", *_costs(one)]
    lines += ["### What was tried", "", *_tried(one)]
    lines += ["### How much it depends on the split", "", *_stability(one)]
    lines += ["### On the families of timm", "", *_families(one)]
    lines += ["### To use it", "", f"Columns of an objective: `{objective(chosen.components).columns!r}`", ""]
    return [*lines, "### Settings", "", *_settings(one)]


def _named(components: Iterable[str]) -> str:
    return " × ".join(f"`{name}`" for name in components)


def _verdict(one: Tried, reference: str) -> str:
    return (
        f"it is better than `{reference}` with 95 % confidence on {one.above} of {len(one.second)} figures and worse on"
        f" {one.below}; the difference is positive on {sum(found.difference.value > 0 for found in one.second)}."
    )


def _networks(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{count:,} of {words.referee(name)}" for name, count in counts.items())


def _tops(tops: Mapping[str, int]) -> str:
    if len(set(tops.values())) == 1:
        return f"{next(iter(tops.values())):,}"
    return ", ".join(f"{top:,} ({words.referee(name)})" for name, top in tops.items())


def _cost(one: Tried) -> str:
    return "an unknown time" if one.cost is None else f"at most {one.cost:.2g} CPU-seconds a network where it is dearest"


def _figures(found: Sequence[Comparison], reference: str, where: Mapping[str, str] | None = None) -> list[str]:
    return table(
        ["", "metric", "chosen", f"`{reference}`", "difference"],
        [
            [
                words.referee(one.where) if where is None else where.get(one.where, one.where),
                words.METRIC_NAMES[one.metric],
                *map(words.estimate, (one.ours, one.reference)),
                _sure(one),
            ]
            for one in found
        ],
    )


def _sure(one: Comparison) -> str:
    """The difference, in bold where its interval is above or below 0."""
    text = words.estimate(one.difference)
    return f"**{text}**" if one.difference.low > 0 or one.difference.high < 0 else text


def _method(one: Choice) -> list[str]:
    settings = one.settings
    sets = "; ".join(
        f"{words.referee(name)} ({settings['networks'][name]:,} networks"
        + (f", {len(referees)} data sets" if len(referees) > 1 else "")
        + ")"
        for name, referees in settings["sets"].items()
    )
    metrics = ", ".join(words.METRIC_NAMES[metric] for metric in settings["deciding"])
    limit = (
        "" if settings["cost"] is None else f" Those that cost more than {settings['cost']:g} CPU-seconds a network are left out."
    )
    lines = [
        f"1. Sets of networks: {sets}. Each is split in two halves by seed {settings['seed']}, the same on all of its data sets.",
        f"2. Candidates are all {settings['candidates']:,} sets of 1 to {settings['largest']} of {len(settings['components'])}"
        f" scores, their ranks within the half multiplied (VKDNW paper, eq. 15), missing scores lowest.{limit}",
        f"3. On the first halves a candidate has a gain over `{settings['reference']}` by each of {metrics}:"
        " the mean over the data sets of a set of networks, then over these sets, weighted by 1 / (error² + spread²). The error"
        " is the bootstrap’s of a typical candidate, the spread is by how much a candidate’s gain differs between sets, beyond"
        " what they have in common there. Its value is the average of these over the metrics, each in errors of the mean.",
        f"4. A quick look without Kendall’s τ leaves {settings['shortlist']:,} sets, which are judged exactly. Of those that the"
        " best does not surpass by more than one standard error of the difference (the same resamples for both,"
        f" {settings['shortlist_resamples']} of them), neither over all sets of networks nor on one, the smallest is taken; if"
        " the best gains, so must this one.",
        f"5. The second halves give the figures above: {settings['resamples']:,} resamples, paired likewise.",
    ]
    if len(settings["sets"]) > 1:
        rows = [
            [words.METRIC_NAMES[metric], words.number(settings["spread"][metric]), *(f"{share:.0%}" for share in shares.values())]
            for metric, shares in settings["weights"].items()
        ]
        lines += ["", *table(["weights", "spread", *map(words.referee, settings["sets"])], rows)]
    return lines


def _costs(one: Choice) -> list[str]:
    if not one.frontier:
        return ["Not measured: no run has the seconds of its scores.", ""]
    lines = [
        f"The chosen set takes {_cost(one.chosen)}, the best single score, `{one.single.components[0]}`, {_cost(one.single)}. A"
        " search of 10,000 networks takes 10,000 times that, and what building a network takes. The figure is of the runs’ own"
        " clocks: scores share passes, and a pass counts once, whole as the run measured it, so the bound is on the wide side.",
        "",
    ]
    spent = [[words.referee(name), f"{seconds:.2g}"] for name, seconds in one.chosen.costs.items()]
    lines += table(["chosen set", "CPU-seconds a network, at most"], spent)
    for title, sets in (
        ("The best of each size:", one.sizes),
        ("The best for their cost, each worth more than all cheaper ones:", one.frontier),
    ):
        lines += [title, ""]
        lines += table(
            ["set", "CPU-seconds", "value", "significantly better", "significantly worse"],
            [
                [
                    _named(tried.components),
                    "" if tried.cost is None else f"{tried.cost:.2g}",
                    words.number(tried.value, 2),
                    f"{tried.above} of {len(tried.second)}",
                    str(tried.below),
                ]
                for tried in sets
            ],
        )
    return [*lines, "Value: on the halves that chose. Better and worse: figures of the halves that report.", ""]


def _tried(one: Choice) -> list[str]:
    rows = []
    for tried in (one.chosen, *(other for other in one.runners_up if other.components != one.chosen.components)):
        name = f"**{_named(tried.components)}**" if tried is one.chosen else _named(tried.components)
        means = [_mean(tried.second, metric) for metric in METRICS]
        rows.append([name, words.number(tried.value, 2), f"{tried.above} of {len(tried.second)}", str(tried.below), *means])
    titles = ["set", "value", "significantly better", "significantly worse"]
    lines = ["The sets with the largest value on the halves that chose.", ""]
    lines += table([*titles, *(f"{words.METRIC_NAMES[metric]}, mean gain" for metric in METRICS)], rows)
    return [*lines, "Value: on the first halves. All else: on the second; mean gains are over all referees alike.", ""]


def _mean(found: Sequence[Comparison], metric: str) -> str:
    gained = [one.difference.value for one in found if one.metric == metric and one.where != ALL]
    return words.number(math.fsum(gained) / len(gained) if gained else math.nan)


def _stability(one: Choice) -> list[str]:
    if not one.splits:
        return ["Not measured: no further splits were asked for.", ""]
    rows = [(one.settings["seed"], one.chosen), *((split.seed, split.chosen) for split in one.splits)]
    lines = ["The same with other halves; they are reported and had no influence on the choice.", ""]
    lines += table(
        ["split by seed", "chosen", "significantly better", "significantly worse"],
        [
            [str(seed), _named(tried.components), f"{tried.above} of {len(tried.second)}", str(tried.below)]
            for seed, tried in rows
        ],
    )
    counted = ", ".join(f"`{name}` {times}" for name, times in often(one).items())
    return [*lines, f"Number of splits, of {len(rows)}, that chose each component: {counted}.", ""]


def _families(one: Choice) -> list[str]:
    if not one.families:
        return ["Not measured: no run of timm was given.", ""]
    names = {family: f"{family} ({networks})" for family, networks in one.families.items()}
    lines = [
        "Networks and accuracies that had no part in the choice. Ranks are within a family; every family has the same weight.",
        "",
    ]
    return [*lines, *_figures([*one.mean, *one.within], one.settings["reference"], {"mean": "mean of families", **names})]


def _settings(one: Choice) -> list[str]:
    shown: dict[str, Any] = {**one.settings, **one.environment}
    pairs = [(name, value) for name, value in words.flat(shown)]
    return ["<details><summary>Of this choice</summary>", "", *table(["setting", "value"], pairs, right=False), "</details>", ""]


def gains(one: Choice) -> str:
    """A file: for each referee the gain over the reference with its interval, and what it was on the half that chose."""
    before = {(found.where, found.metric): found.difference.value for found in one.chosen.first}
    places = [*dict.fromkeys(found.where for found in one.chosen.second), *(["mean"] if one.mean else [])]
    metrics = [metric for metric in METRICS if any(found.metric == metric for found in one.chosen.second)]
    height = {where: len(places) - 1 - place for place, where in enumerate(places)}

    def plot(figure: Figure) -> None:
        grid: Any = figure.subplots(1, len(metrics), sharey=True, squeeze=False)
        for axes, metric in zip(grid[0], metrics, strict=True):
            axes.axvline(0, color=SOFT, linewidth=1)
            for found in (*one.chosen.second, *one.mean):
                if found.metric == metric and math.isfinite(found.difference.value):
                    _whisker(axes, found, height[found.where], before.get((found.where, metric)))
            axes.set_title(words.METRIC_NAMES[metric])
            axes.set_xlabel(f"gain over {one.settings['reference']}")
            axes.grid(axis="y", visible=False)
            axes.locator_params(axis="x", nbins=4)
        labels = [MEAN if where == "mean" else words.referee(where) for where in reversed(places)]
        grid[0][0].set_yticks(range(len(places)), labels=labels)
        grid[0][0].set_ylim(-0.6, len(places) - 0.4)
        for label in grid[0][0].get_yticklabels():
            label.set_color(INK)
        handles = [
            Line2D(
                [],
                [],
                color=BLUE,
                marker="o",
                markersize=4.5,
                linewidth=2.2,
                label="held-out networks, 95 % interval",
            ),
            Line2D(
                [], [], color=SOFT, marker="o", markersize=4.5, linestyle="", markerfacecolor=PAPER, label="networks that chose"
            ),
        ]
        figure.legend(handles=handles, ncols=2, loc="outside upper right")

    return render_svg("aggregate", "Gain over the reference by metric and referee", 1.2 + 0.3 * len(places), plot, alone=True)


def _whisker(axes: Any, found: Comparison, height: float, before: float | None) -> None:
    if math.isfinite(found.difference.low):
        ends = [found.difference.low, found.difference.high]
        axes.plot(ends, [height, height], color=BLUE, linewidth=2.2, solid_capstyle="butt")
    axes.plot(found.difference.value, height, "o", color=BLUE, markersize=4.5)
    if before is not None and math.isfinite(before):
        axes.plot(before, height + 0.22, "o", color=SOFT, markersize=4.5, markerfacecolor=PAPER)
