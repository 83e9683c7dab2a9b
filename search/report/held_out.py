"""The head of a report: the verdict in plain words, and how finalists and controls scored on held-out seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from search.config.trained import TOP1
from search.engine.finals.finalists import Standing
from search.report.data import Run, column_name, raw_value
from search.report.refined import winner
from search.report.svg import quantities, render_svg
from search.report.theme import AMBER, BLUE, INK, SOFT


def verdict(run: Run) -> list[str]:
    """Say what the search was good for, sentence by sentence; empty until its finalists have been scored again."""
    if not run.chosen:
        return []
    return [f"{text[0].upper()}{text[1:]}." for text in (*run.verdict, _trained(run)) if text]


def _trained(run: Run) -> str:
    """Say what is known of trained accuracy."""
    if run.refined is not None and (said := winner(run.refined)) is not None:
        return said
    if run.objective.name == TOP1 and run.finalists:
        mean, seeds = run.finalists[0].mean.get(TOP1), len(run.finalists[0].values)
        under = "one held-out seed" if seeds == 1 else f"{seeds} held-out seeds, in the mean"
        return "" if mean is None else f"trained accuracy of the pick: {mean:.2f}% of the held-out images under {under}"
    beside = f" --with {','.join(one.name for one in run.controls)}" if run.controls else ""
    return f"trained accuracy: none measured; uninas refine {run.name} --data DATA{beside} measures it"


def chart(run: Run) -> str:
    """Scores of finalists and controls on held-out seeds: a tick per seed, mean, one standard deviation; a ring: the search's.

    Finalists that were trained longer than candidates have no ring: the two do not compare.
    """
    columns, alike = run.objective.columns, not run.config.finalists.longer
    found: list[tuple[str, Standing, Mapping[str, float], str]] = [
        (one.entry.digest[:8], one, one.entry.scores if alike else {}, BLUE) for one in run.finalists
    ]
    found += [(one.name, one, {}, AMBER) for one in run.controls]
    rows = sorted(found, key=lambda row: row[1].place)
    names = [f"{name}   rank {one.place}" for name, one, _, _ in rows]

    def plot(figure: Figure) -> None:
        grid: Any = figure.subplots(1, len(columns), sharey=True, squeeze=False)
        for axes, column in zip(grid[0], columns, strict=True):
            for row, (_, one, before, colour) in enumerate(rows):
                _plot_spread(axes, one, before, column, len(rows) - 1 - row, colour)
            axes.set_title(column_name(column) if len(columns) < 3 else " then ".join(column))
            axes.locator_params(axis="x", nbins=3 if len(columns) > 2 else 6)
            quantities(axes.xaxis)
            axes.grid(axis="y", visible=False)
        grid[0][0].set_yticks(range(len(rows)), labels=names[::-1])
        grid[0][0].set_ylim(-0.7, len(rows) - 0.3)
        for label in grid[0][0].get_yticklabels():
            label.set_color(INK)

    return render_svg("finalists", "Finalists and controls on held-out seeds", 0.9 + 0.3 * len(rows), plot)


def _plot_spread(
    axes: Axes, one: Standing, before: Mapping[str, float], column: Sequence[str], height: float, colour: str
) -> None:
    wanted = set(column)
    fresh = [raw_value(column, rescore.scores) for rescore in one.rescores if wanted <= rescore.scores.keys()]
    if wanted <= before.keys():
        axes.plot(raw_value(column, before), height, "o", markersize=5, markerfacecolor="none", color=SOFT)
    if fresh:
        spread = float(np.std(fresh, ddof=1)) if len(fresh) > 1 else 0.0
        axes.errorbar(np.mean(fresh), height, xerr=spread, fmt="o", markersize=4, color=colour, capsize=3, linewidth=1.3)
        axes.plot(fresh, [height - 0.22] * len(fresh), "|", markersize=5, color=colour, alpha=0.7)
