"""Charts of the result pages alone, each a file of its own: intervals beside the papers' figures, and partial correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from search.bench.page.data import Bench, Row
from search.bench.page.derived import order_by_likeness
from search.bench.page.words import DATASET_NAMES, METRIC_NAMES, number
from search.report.svg import WIDTH, render_svg
from search.report.theme import AMBER, BLUE, INK, PAPER


def intervals(benches: Sequence[Bench], metric: str, names: Sequence[str]) -> str:
    """A file: for each proxy our interval on each dataset, and the papers' figure as a diamond."""

    def plot(figure: Figure) -> None:
        grid: Any = figure.subplots(1, len(benches), sharey=True, squeeze=False)
        for axes, bench in zip(grid[0], benches, strict=True):
            for place, name in enumerate(reversed(names)):
                row = bench.row(name)
                if row is not None:
                    _interval(axes, row, metric, place)
            axes.set_title(DATASET_NAMES.get(bench.dataset, bench.dataset))
            axes.set_xlabel(METRIC_NAMES[metric])
            axes.grid(axis="y", visible=False)
        grid[0][0].set_yticks(range(len(names)), labels=list(reversed(names)))
        grid[0][0].set_ylim(-0.8, len(names) - 0.2)
        for label in grid[0][0].get_yticklabels():
            label.set_color(INK)
        handles = [
            Line2D([], [], color=BLUE, marker="o", markersize=3.5, linewidth=2.2, label="ours, 95 % interval"),
            Line2D([], [], color=AMBER, marker="D", markersize=4.5, linestyle="", markeredgecolor=PAPER, label="the paper’s"),
        ]
        figure.legend(handles=handles, ncols=2, loc="outside upper right")

    title = f"{METRIC_NAMES[metric]} of each proxy with its interval, and the papers' figures"
    return render_svg(f"intervals-{metric}", title, 0.9 + 0.19 * len(names), plot, width=WIDTH, alone=True)


def _interval(axes: Axes, row: Row, metric: str, place: int) -> None:
    estimate = row.metrics.get(metric)
    if estimate is not None and math.isfinite(estimate.value):
        if math.isfinite(estimate.low):
            axes.plot([estimate.low, estimate.high], [place, place], color=BLUE, linewidth=2.2, solid_capstyle="butt")
        axes.plot(estimate.value, place, "o", color=BLUE, markersize=3.5)
    for figure in row.papers.get(metric, ())[:1]:
        axes.plot(figure.value, place, "D", color=AMBER, markersize=4.5, markeredgecolor=PAPER, markeredgewidth=0.6, zorder=5)


def heat(bench: Bench) -> str:
    """A file: proxy-against-proxy partial correlations with numbers, those alike beside each other."""
    order = order_by_likeness(bench.partial)
    table = np.array([[bench.partial[line][column] for column in order] for line in order])
    names = [bench.names[place] for place in order]
    shown = np.where(np.eye(len(names), dtype=bool), np.nan, table)
    title = "Partial correlation of every two proxies with the accuracy taken out"
    return heat_map("partial", title, names, names, shown)


def heat_map(name: str, title: str, rows: Sequence[str], columns: Sequence[str], values: Any) -> str:
    """A file: correlations with numbers, a colour for each sign; what is not finite is an empty cell.

    Args:
        name, title: as `search.report.svg.render_svg` takes them.
        rows, columns: what they are called.
        values: one list of numbers a row.
    """
    shown = np.array(values, dtype=float)

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        colours = LinearSegmentedColormap.from_list("sign", [AMBER, PAPER, BLUE])
        axes.imshow(shown, cmap=colours, vmin=-1.4, vmax=1.4, aspect="auto")  # else the labels would be cut
        for line, column in zip(*np.nonzero(np.isfinite(shown)), strict=True):
            axes.annotate(
                number(shown[line, column], 2).replace("0.", ".", 1),
                (column, line),
                ha="center",
                va="center",
                fontsize=6.2,
                color=INK,
            )
        axes.set_xticks(range(len(columns)), labels=columns, rotation=90)
        axes.set_yticks(range(len(rows)), labels=rows)
        axes.grid(visible=False)
        axes.tick_params(length=0, labelcolor=INK)

    longest = [0.078 * max(map(len, labels)) for labels in (columns, rows)]  # inches of the labels at the side and below
    height, width = 0.6 + longest[0] + 0.29 * len(rows), 0.6 + longest[1] + 0.29 * len(columns)
    return render_svg(name, title, height, plot, width=width, alone=True)
