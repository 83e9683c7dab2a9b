"""The report's section on several objectives: the Pareto front as charts and as a table; and how latency was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from search.engine.pareto_front import spread_over
from search.ranking.objective import LATENCY, SCORE
from search.ranking.ranks import DIGITS, HistoryRanks
from search.report.data import Entry, Run, column_name, raw_value
from search.report.svg import RASTER_FROM, quantities, readable_floor, render_svg
from search.report.theme import AMBER, BLUE, INK, PAPER, SOFT, TEAL
from uninas.drawing.labels import quantity

ROWS = 40  # of the table: a front of four objectives may have hundreds of members
NAMES = {
    "params": "parameters",
    "macs": "MACs",
    "layers": "layers",
    "attention_tokens": "largest attention map",
    LATENCY: "latency, ms",
}
"""What axes and columns call the costs."""


def section(run: Run, page_scores: Sequence[str]) -> dict[str, Any] | None:
    """What the page shows of the front; None where the search has one objective, or no candidate has a score yet."""
    if not run.front:
        return None
    return {
        "size": len(run.front),
        "objectives": _sentence(run),
        "chart": Markup(charts(run)),
        "height_note": (
            "Height: the raw score."
            if len(run.objective.columns) == 1
            else f"Height: the share of the search’s candidates that rank lower by {run.objective.name}."
        ),
        "latency": latency_note(run),
        "table": _table(run, page_scores),
        "shown": min(ROWS, len(run.front)),
    }


def latency_note(run: Run) -> str:
    """How latency was measured and on which device; empty where it was not."""
    if not run.devices:
        return ""
    how = run.config.latency
    text = f"Latency: the median of {how.runs} passes at batch {how.batch} in {how.precision}, measured on {run.devices[0]}"
    if len(run.devices) == 1:
        return f"{text}."
    others = ", ".join(run.devices[1:])
    return f"{text} and also on {others}: latencies of different device models are not comparable."


def _sentence(run: Run) -> str:
    costs = [NAMES[name].partition(",")[0] for name in run.objectives if name != SCORE]
    listed = costs[0] if len(costs) == 1 else f"{', '.join(costs[:-1])} and {costs[-1]}"
    return f"highest {run.objective.name}, least {listed}"


def charts(run: Run) -> str:
    """The score over each cost: every candidate, the random search's, the front, finalists and the best."""
    costs = [name for name in run.objectives if name != SCORE]
    across = min(len(costs), 3)
    down = math.ceil(len(costs) / across)

    def plot(figure: Figure) -> None:
        height, label = _heights(run)
        grid: Any = figure.subplots(down, across, sharey=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place < len(costs):
                _plot_cost(axes, run, costs[place], height)
            else:
                axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel(label)
        below = [value for value in height.values() if value < (floor := readable_floor(list(height.values())))]
        if below:
            top = max(height.values())
            grid[0][0].set_ylim(bottom=floor, top=top + 0.06 * (top - floor))
            grid[0][0].annotate(
                f"{len(below)} lower", (0.99, 0.02), xycoords="axes fraction", ha="right", color=SOFT, fontsize=7.5
            )
        quantities(grid[0][0].yaxis)
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=6)

    return render_svg("front", "Score over each cost, with the Pareto front", 0.5 + 3.7 * down, plot)


def _heights(run: Run) -> tuple[dict[tuple[str, int], float], str]:
    """How high each scored candidate stands, by (phase, index), and what the axis is called.

    An objective of one column stands at its raw score. A population rank has no value of its own: a candidate stands at the
    share of the search's candidates below it, one of the random search at the rank that it would have had.
    """
    columns, scored = run.objective.columns, run.scored
    if len(columns) == 1:
        return {(one.phase, one.index): raw_value(columns[0], one.scores) for one in scored}, column_name(columns[0])
    history = HistoryRanks(len(columns), run.objective.combine)
    for one in run.entries:
        history.add(run.objective.keys(one.scores))
    values = {(one.phase, one.index): round(history.score(run.objective.keys(one.scores)), DIGITS) for one in scored}
    order = HistoryRanks(1)
    for one in run.entries:
        order.add([(round(history.score(run.objective.keys(one.scores)), DIGITS), 0.0)])
    share = 100.0 / max(len(run.entries), 1)
    return {place: share * (order.ranks([(value, 0.0)])[0] - 0.5) for place, value in values.items()}, "% that rank lower"


def _plot_cost(axes: Axes, run: Run, cost: str, height: Mapping[tuple[str, int], float]) -> None:
    def points(entries: Sequence[Entry]) -> tuple[list[float], list[float]]:
        kept = [one for one in entries if (one.phase, one.index) in height and one.costs([cost])]
        return [one.costs([cost])[cost] for one in kept], [height[one.phase, one.index] for one in kept]

    size = 16 if len(run.entries) < 1000 else 7
    if run.baseline:
        axes.scatter(
            *points(run.baseline),
            s=size,
            marker="x",
            color=AMBER,
            linewidths=0.7,
            alpha=0.4,
            label="random",
            rasterized=len(run.baseline) > RASTER_FROM,
        )
    every = points(run.entries)
    axes.scatter(*every, s=size, color=BLUE, linewidths=0, alpha=0.22, label="search", rasterized=len(run.entries) > RASTER_FROM)
    axes.step(*_envelope(*every), where="post", color=TEAL, linewidth=1.1, alpha=0.8, label="best at a cost")
    by_digest = {one.digest: one for one in run.entries}
    marked = [by_digest[member.entry.digest] for member in run.front]
    axes.scatter(*points(marked), s=24, color=TEAL, edgecolors=PAPER, linewidths=0.5, zorder=4, label="front")
    rings = [by_digest[one.entry.digest] for one in run.finalists]
    if rings:
        axes.scatter(*points(rings), s=62, facecolors="none", edgecolors=INK, linewidths=0.9, zorder=5, label="finalist")
    if run.best is not None and run.best.digest in by_digest:
        axes.scatter(
            *points([by_digest[run.best.digest]]),
            s=150,
            marker="*",
            color=AMBER,
            edgecolors=INK,
            linewidths=0.8,
            zorder=6,
            label="best",
        )
    _cut(axes, [*every[0], *points(run.baseline)[0]], points(marked)[0])
    axes.set_xlabel(NAMES[cost])
    axes.locator_params(axis="x", nbins=5)
    quantities(axes.xaxis)


def _cut(axes: Axes, costs: Sequence[float], front: Sequence[float]) -> None:
    """End the axis of costs where 97% and the whole front are on it: a few huge networks would press all others into one line."""
    least, greatest = min(costs), max(costs)
    end = max(float(np.percentile(costs, 97)), *front)
    if least < end and end + 0.25 * (end - least) < greatest:
        beyond = sum(cost > end for cost in costs)
        axes.set_xlim(least - 0.05 * (end - least), end + 0.05 * (end - least))
        axes.annotate(
            f"{beyond} farther right", (0.99, 0.97), xycoords="axes fraction", ha="right", va="top", color=SOFT, fontsize=7.5
        )


def _envelope(costs: Sequence[float], heights: Sequence[float]) -> tuple[list[float], list[float]]:
    """The best height at or below each cost, as the corners of a staircase."""
    steps: list[tuple[float, float]] = []
    for cost, height in sorted(zip(costs, heights, strict=True), key=lambda pair: (pair[0], -pair[1])):
        if not steps or height > steps[-1][1]:
            steps.append((cost, height))
    if steps:
        steps.append((max(costs), steps[-1][1]))
    return [cost for cost, _ in steps], [height for _, height in steps]


def _table(run: Run, scores: Sequence[str]) -> dict[str, Any]:
    """One row per member, best score first; of a large front, members that are spread over it."""
    costs = [name for name in run.objectives if name != SCORE]
    told = run.info.get("front")
    files = {
        str(row.get("digest")): row.get("file") for row in (told if isinstance(told, list) else []) if isinstance(row, Mapping)
    }
    finalists = {one.entry.digest for one in run.finalists}
    several = len(run.devices) > 1
    rows = []
    for member in sorted(spread_over(run.front, ROWS), key=lambda member: (member.place, member.entry.index)):
        entry = member.entry
        digest = entry.digest
        role = "best" if run.best is not None and digest == run.best.digest else "finalist" if digest in finalists else ""
        cells = [f"{member.place:,}", *(_cost(name, entry.costs[name]) for name in costs)]
        cells += [_score(entry.scores[name]) if name in entry.scores else "–" for name in scores]
        rows.append(
            {
                "digest": digest,
                "role": role,
                "index": f"{entry.index:,}",
                "cells": cells,
                "file": str(files.get(digest) or "–").removeprefix("front/"),
                "device": entry.device if several else None,
            }
        )
    return {"columns": ["rank", *(NAMES[name] for name in costs), *scores], "rows": rows, "devices": several}


def _score(value: float) -> str:
    return quantity(value) if value >= 10_000 else f"{value:.4g}"


def _cost(name: str, value: float) -> str:
    return f"{value:.3f}" if name == LATENCY else quantity(value)
