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
from search.bench.judging.aggregates import Comparison, objective
from search.bench.page import words
from search.ranking import correlation
from search.report.svg import render_svg
from search.report.theme import BLUE, INK, PAPER, SOFT

TITLE = "An aggregate beyond the papers"
MEAN = "timm, mean of families"


def make(choices: Sequence[Choice], notes: Mapping[str, Mapping[str, str]], command: str) -> Page:
    """The page of the choices: one section each, that from most networks first."""
    remarked = notes.get("aggregate", {})
    ordered = sorted(choices, key=lambda one: -one.settings["networks"])
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
    return Page("aggregate.md", TITLE, headline, "\n".join(lines) + "\n", pictures)


def _section(one: Choice, picture: str, notes: Mapping[str, str]) -> list[str]:
    settings, chosen = one.settings, one.chosen
    lines = [f"## {_named(chosen.components)}", "", one.explanation, ""]
    lines += [
        f"Chosen on {settings['chosen_on']:,} networks of NAS-Bench-201; on the other {settings['reported_on']:,}, which had"
        f" no part in the choice, {_verdict(chosen, settings['reference'])}",
        "",
    ]
    lines += _figures(chosen.second, settings["reference"])
    lines += [f"Value [95 % bootstrap interval]; nDCG at P = {settings['top']:,}.", ""]
    lines += [f"![Gain over the reference on each dataset, by each metric]({picture})", ""]
    remarks = [f"- `{name}`: {text}" for name, text in notes.items() if name in chosen.components]
    lines += [*remarks, *([""] if remarks else [])]
    lines += ["### How it was chosen", "", *_method(one), ""]
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


def _figures(found: Sequence[Comparison], reference: str, where: Mapping[str, str] = words.DATASET_NAMES) -> list[str]:
    return table(
        ["", "metric", "chosen", f"`{reference}`", "difference"],
        [
            [
                where.get(one.where, one.where),
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
    datasets = ", ".join(words.DATASET_NAMES.get(name, name) for name in settings["runs"])
    return [
        f"1. The {settings['networks']:,} networks that the runs on {datasets} share are split in two halves by seed"
        f" {settings['seed']}, the same on every dataset.",
        f"2. Candidates are all {settings['sets']:,} sets of 1 to {settings['largest']} of {len(settings['components'])} scores,"
        " their ranks within the half multiplied (VKDNW paper, eq. 15), missing scores lowest.",
        "3. On the first half, a quick look at Spearman’s ρ and nDCG of every set leaves"
        f" {settings['shortlist']:,} sets. Of these, the one counts as best whose smallest gain over `{settings['reference']}`,"
        " over all metrics and datasets, is largest. Gains count in standard errors of themselves (a bootstrap that draws the"
        f" same {settings['chosen_on']:,} networks for both, {settings['shortlist_resamples']} times): the metrics differ in"
        " scale and noise. Among the sets within one standard error of the best, the smallest is taken; if the best gains"
        " everywhere, so must this one.",
        f"4. The second half gives the figures above: {settings['resamples']:,} resamples, paired likewise.",
    ]


def _tried(one: Choice) -> list[str]:
    rows = []
    for tried in (one.chosen, *one.runners_up):
        name = f"**{_named(tried.components)}**" if tried is one.chosen else _named(tried.components)
        means = [_mean(tried.second, metric) for metric in correlation.METRICS]
        rows.append([name, words.number(tried.worst, 2), f"{tried.above} of {len(tried.second)}", str(tried.below), *means])
    titles = ["set", "smallest gain, errors", "significantly better", "significantly worse"]
    lines = [
        "The sets with the most certain gain on the first half, among them the best of each size.",
        "",
    ]
    lines += table([*titles, *(f"{words.METRIC_NAMES[metric]}, mean gain" for metric in correlation.METRICS)], rows)
    return [*lines, "Smallest gain: on the first half. All else: on the second.", ""]


def _mean(found: Sequence[Comparison], metric: str) -> str:
    gained = [one.difference.value for one in found if one.metric == metric]
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
    """A file: for each dataset the gain over the reference with its interval, and what it was on the half that chose."""
    before = {(found.where, found.metric): found.difference.value for found in one.chosen.first}
    places = [*dict.fromkeys(found.where for found in one.chosen.second), *(["mean"] if one.mean else [])]
    height = {where: len(places) - 1 - place for place, where in enumerate(places)}

    def plot(figure: Figure) -> None:
        grid: Any = figure.subplots(1, len(correlation.METRICS), sharey=True, squeeze=False)
        for axes, metric in zip(grid[0], correlation.METRICS, strict=True):
            axes.axvline(0, color=SOFT, linewidth=1)
            for found in (*one.chosen.second, *one.mean):
                if found.metric == metric and math.isfinite(found.difference.value):
                    _whisker(axes, found, height[found.where], before.get((found.where, metric)))
            axes.set_title(words.METRIC_NAMES[metric])
            axes.set_xlabel(f"gain over {one.settings['reference']}")
            axes.grid(axis="y", visible=False)
            axes.locator_params(axis="x", nbins=4)
        labels = [MEAN if where == "mean" else words.DATASET_NAMES.get(where, where) for where in reversed(places)]
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

    return render_svg("aggregate", "Gain over the reference by metric and dataset", 1.2 + 0.3 * len(places), plot, alone=True)


def _whisker(axes: Any, found: Comparison, height: float, before: float | None) -> None:
    if math.isfinite(found.difference.low):
        ends = [found.difference.low, found.difference.high]
        axes.plot(ends, [height, height], color=BLUE, linewidth=2.2, solid_capstyle="butt")
    axes.plot(found.difference.value, height, "o", color=BLUE, markersize=4.5)
    if before is not None and math.isfinite(before):
        axes.plot(before, height + 0.22, "o", color=SOFT, markersize=4.5, markerfacecolor=PAPER)
