"""The report's charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from search.report.data import Entry, Run, column_name, raw_value
from search.report.spectra import BEST, Spectra
from search.report.svg import RASTER_FROM, quantities, readable_floor, render_svg
from search.report.theme import AMBER, BLUE, INK, PAPER, PURPLE, RANK_COLOURS, SOFT, TEAL
from uninas.drawing.labels import quantity


def scores_over_time(run: Run) -> str:
    """Scores of every candidate in the order of the search, the best so far, and the random search of equal budget.

    An objective of one column shows its raw score. One of several shows the rank in the final population, which is what the
    search compares, and the raw scores of every column below.
    """
    columns = run.objective.columns
    if len(columns) == 1:
        return render_svg("scores", "Scores over time", 3.9, lambda figure: _plot_column(figure.subplots(), run, columns[0]))

    def plot(figure: Figure) -> None:
        rows = math.ceil(len(columns) / 2)
        grid = figure.add_gridspec(rows + 1, 2, height_ratios=[1.7] + [1.0] * rows)
        _plot_places(figure.add_subplot(grid[0, :]), run)
        for index, column in enumerate(columns):
            _plot_column(figure.add_subplot(grid[1 + index // 2, index % 2]), run, column, small=True)

    return render_svg("scores", "Scores over time", 3.3 + 1.9 * math.ceil(len(columns) / 2), plot)


def _plot_column(axes: Axes, run: Run, column: Sequence[str], small: bool = False) -> None:
    values: list[float] = []
    for entries, colour, marker, _ in _phases(run):
        scored = [(entry.index, scores) for entry in entries if {*column} <= (scores := entry.scores).keys()]
        raw = [raw_value(column, scores) for _, scores in scored]
        _plot_progress(axes, [index for index, _ in scored], raw, colour, marker)
        values += raw
    floor = readable_floor(values) if values else 0.0
    if below := sum(value < floor for value in values):
        axes.set_ylim(bottom=floor, top=max(values) + 0.06 * (max(values) - floor))
        axes.annotate(f"{below} lower", (0.99, 0.04), xycoords="axes fraction", ha="right", color=SOFT, fontsize=7.5)
    axes.set_title(column_name(column))
    quantities(axes.yaxis)
    if not small:
        axes.set_xlabel("candidate")
        _legend(axes, run)


def _legend(axes: Axes, run: Run) -> None:
    """What dots and lines mean, above the axes, where nothing is drawn."""
    handles = []
    for _, colour, marker, name in _phases(run):
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4, label=name))
        handles.append(
            Line2D([], [], color=colour, linestyle="--" if marker == "x" else "-", linewidth=1.8, label=f"{name}, best so far")
        )
    axes.legend(handles=handles, ncols=4, loc="lower right", bbox_to_anchor=(1.0, 0.99), borderaxespad=0)


def _plot_places(axes: Axes, run: Run) -> None:
    count = len(run.places)
    for entries, colour, marker, _ in _phases(run):
        scored = [entry for entry in entries if (entry.phase, entry.index) in run.places]
        values = [100.0 * (count - run.places[entry.phase, entry.index] + 1) / count for entry in scored]
        _plot_progress(axes, [entry.index for entry in scored], values, colour, marker)
    axes.set_title("Rank in the final population (100: first, 0: last)")
    axes.set_xlabel("candidate")
    _legend(axes, run)


def _phases(run: Run) -> list[tuple[tuple[Entry, ...], str, str, str]]:
    phases = [(run.baseline, AMBER, "x", "random"), (run.entries, BLUE, "o", "search")]
    return [phase for phase in phases if phase[0]]


def _plot_progress(axes: Axes, indices: Sequence[int], values: Sequence[float], colour: str, marker: str) -> None:
    """A cloud of values over candidate numbers, and the best so far as a line."""
    if not indices:
        return
    steps, heights = np.array(indices), np.array(values)  # of lists matplotlib would look at each number several times
    size = 18 if len(steps) < 200 else 9 if len(steps) < 1000 else 4
    axes.scatter(
        steps,
        heights,
        s=size,
        color=colour,
        marker=marker,
        linewidths=0.7 if marker == "x" else 0,
        alpha=0.45,
        rasterized=len(steps) > RASTER_FROM,
    )
    style = "--" if marker == "x" else "-"
    best = np.maximum.accumulate(heights)
    axes.step(steps, best, where="post", color=colour, linewidth=1.8, linestyle=style)


def population(run: Run) -> str:
    """Every scored candidate in the plane of parameters and MACs, coloured by final rank, with the budget's lines."""
    places = run.places

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        colours = LinearSegmentedColormap.from_list("rank", RANK_COLOURS)
        cloud = None
        for phase, marker, size, name in (("random", "x", 15, "random"), ("search", "o", 13, "search")):
            entries = [entry for entry in run.scored if entry.phase == phase]
            if not entries:
                continue
            entries.sort(key=lambda entry: -places[entry.phase, entry.index])  # the best are drawn last, on top
            shades = [1.0 - (places[entry.phase, entry.index] - 1) / max(len(places) - 1, 1) for entry in entries]
            cloud = axes.scatter(
                np.array([entry.cost["params"] for entry in entries]),
                np.array([entry.cost["macs"] for entry in entries]),
                c=np.array(shades),
                cmap=colours,
                vmin=0,
                vmax=1,
                s=size,
                marker=marker,
                linewidths=0.9 if marker == "x" else 0.0,
                alpha=0.85,
                rasterized=len(entries) > RASTER_FROM,
                label=name,
            )
        _plot_budget(axes, run)
        _mark(axes, run)
        axes.set_xlabel("parameters")
        axes.set_ylabel("MACs")
        quantities(axes.xaxis)
        quantities(axes.yaxis)
        axes.legend(loc="lower right", ncols=4, bbox_to_anchor=(1.0, 0.99), borderaxespad=0)
        if cloud is not None:
            bar = figure.colorbar(cloud, ax=axes, pad=0.015, aspect=36, ticks=[0, 0.5, 1])
            bar.ax.set_yticklabels(["last", "middle", "first"])
            bar.outline.set_visible(False)
            bar.ax.tick_params(length=0)

    return render_svg("population", "Population in the plane of parameters and MACs", 5.2, plot)


def _plot_budget(axes: Axes, run: Run) -> None:
    dashes, budget = (0, (4, 3)), run.config.budget
    common: dict[str, Any] = {"textcoords": "offset points", "color": INK, "fontsize": 7.5}
    if budget.params is not None:
        axes.axvline(budget.params, color=INK, linewidth=1, linestyle=dashes)
        text = f"budget {quantity(budget.params)}"
        axes.annotate(text, (budget.params, 0.02), xycoords=("data", "axes fraction"), xytext=(-4, 0), ha="right", **common)
    if budget.macs is not None:
        axes.axhline(budget.macs, color=INK, linewidth=1, linestyle=dashes)
        text = f"budget {quantity(budget.macs)}"
        axes.annotate(text, (0.005, budget.macs), xycoords=("axes fraction", "data"), xytext=(0, 3), ha="left", **common)


def _mark(axes: Axes, run: Run) -> None:
    """The start as a square, the best as a star."""
    start = next((entry for entry in run.entries if entry.parent is None), None)
    best = next((entry for entry in run.entries if run.best is not None and entry.digest == run.best.digest), None)
    square: dict[str, Any] = {"s": 55, "marker": "s", "color": PAPER, "linewidths": 1.3, "zorder": 5, "label": "start"}
    star: dict[str, Any] = {"s": 170, "marker": "*", "color": AMBER, "linewidths": 0.8, "zorder": 6, "label": "best"}
    for entry, look in ((start, square), (best, star)):
        if entry is not None:
            axes.scatter(entry.cost["params"], entry.cost["macs"], edgecolors=INK, **look)


_PRESET_COLOURS = {"resnet": TEAL, "efficientnet": AMBER, "vit": PURPLE, "coatnet": SOFT}


def spectra(found: Spectra) -> str:
    """Sorted eigenvalues of every network's Fisher matrix over their quantile, on a logarithmic axis, and the deciles."""

    def plot(figure: Figure) -> None:
        axes, lower = figure.subplots(1, 2, width_ratios=[1.6, 1])
        for name, spectrum in found.of.items():
            colour = BLUE if name == BEST else _PRESET_COLOURS.get(name, SOFT)
            width, order = (2.2, 4) if name == BEST else (1.1, 3)
            values = np.asarray(spectrum.eigenvalues)
            quantiles = np.linspace(0, 1, 401)
            curve = np.quantile(values, quantiles)  # linear between eigenvalues, as the deciles are
            shown = curve > values.max() * 1e-16  # below is rounding
            axes.plot(quantiles[shown], curve[shown], color=colour, linewidth=width, zorder=order, label=name)
            deciles = np.asarray(spectrum.deciles)
            kept = deciles > values.max() * 1e-16
            axes.plot(np.arange(1, 10)[kept] / 10, deciles[kept], ".", color=colour, markersize=5, zorder=order)
            shares = deciles / deciles.sum()
            label = f"{name}  {spectrum.entropy:.3f}"
            lower.plot(np.arange(1, 10), shares, color=colour, linewidth=width, marker=".", zorder=order, label=label)
        axes.set_yscale("log")
        axes.set_title("Eigenvalues (dots: deciles)")
        axes.set_xlabel("quantile")
        axes.legend(loc="lower right")
        lower.set_title("Deciles as shares (number: VKDNW)")
        lower.set_xlabel("decile")
        lower.set_xticks(range(1, 10))
        lower.legend(loc="upper left")

    return render_svg("spectra", "Fisher spectra of the best network and of the presets", 4.1, plot)
