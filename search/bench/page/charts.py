"""The charts of a bench's pages: drawn once, for the HTML page in its colours or as a file for the Markdown pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.ndimage import gaussian_filter, map_coordinates

from search.bench.page.data import Bench
from search.bench.page.derived import ToyRanking
from search.bench.page.words import number
from search.ranking.correlation import TOY
from search.ranking.ranks import ranks
from search.report.svg import quantities, readable_floor, render_svg
from search.report.theme import AMBER, BLUE, INK, PURPLE, RANK_COLOURS, SOFT, TEAL

_COLUMNS = 4
_DENSITY = LinearSegmentedColormap.from_list("density", RANK_COLOURS)
_FAMILY_COLOURS = (BLUE, AMBER, TEAL, PURPLE, SOFT, INK)
_FAMILY_MARKERS = "os^Dv"
_Looks = dict[str, dict[str, Any]]
_VECTOR_UP_TO = 300  # networks; more circles than that in each of forty panels become one image per panel


def scatters(bench: Bench, names: Sequence[str], *, alone: bool = False, name: str = "scatter") -> str:
    """Score against accuracy, one panel per proxy, dots coloured by how many lie around them.

    A panel's axis is the raw score, its logarithm where it spans decades, or its rank where a few scores would press all
    others together; the panel says which.
    """
    assert bench.scores is not None
    accuracy = bench.scores["accuracy"].to_numpy(float)
    families = bench.scores["family"].astype(str).to_numpy() if "family" in bench.scores else None
    looks = {} if families is None else _looks(families)
    rows = math.ceil(len(names) / _COLUMNS)

    def plot(figure: Figure) -> None:
        grid: Any = figure.subplots(rows, _COLUMNS, squeeze=False, sharey=True)
        floor = readable_floor(accuracy.tolist())
        for place, axes in enumerate(grid.flat):
            if place >= len(names):
                axes.set_axis_off()
                continue
            column = bench.scores[names[place]].to_numpy(float)  # type: ignore[index]
            kept = np.isfinite(column)
            _scatter(axes, column[kept], accuracy[kept], None if families is None else families[kept], looks, floor)
            row = bench.row(names[place])
            tau = f"   τ {number(row.kendall)}" if row is not None and math.isfinite(row.kendall) else ""
            axes.set_title(f"{names[place]}{tau}", fontsize=8.5)
            if place % _COLUMNS == 0:
                axes.set_ylabel("accuracy, %")
        top = float(accuracy.max())
        if floor < top:
            grid.flat[0].set_ylim(floor - 0.02 * (top - floor), top + 0.04 * (top - floor))
        if families is not None:
            _family_legend(figure, looks)

    return render_svg(name, "Score against accuracy for each proxy", 0.3 + 1.95 * rows, plot, alone=alone)


def _scatter(axes: Axes, scores: Any, accuracy: Any, families: Any, looks: _Looks, floor: float) -> None:
    values, kind = _axis(scores)
    size = 12 if len(values) < 300 else 5 if len(values) < 3000 else 2.5
    if families is None:
        density = _crowd(np.log(values) if kind == "log" else values, np.maximum(accuracy, floor))
        order = np.argsort(density, kind="stable")  # the crowded ones on top
        axes.scatter(
            values[order],
            accuracy[order],
            c=density[order],
            cmap=_DENSITY,
            alpha=0.8,
            s=size,
            linewidths=0,
            rasterized=len(values) > _VECTOR_UP_TO,
        )
    else:
        for name, look in looks.items():
            here = families == name
            axes.scatter(values[here], accuracy[here], alpha=0.7, s=size, linewidths=0, **look)
    if kind == "log":
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.locator_params(axis="x", numticks=4)
    else:
        axes.locator_params(axis="x", nbins=4)
        quantities(axes.xaxis)
    if kind == "rank":
        axes.set_xlabel("rank", fontsize=7.5)
    below = int((accuracy < floor).sum())
    if below:
        axes.annotate(f"{below:,} lower", (0.98, 0.04), xycoords="axes fraction", ha="right", color=SOFT, fontsize=7)


def _axis(scores: Any) -> tuple[Any, str]:
    """What a panel shows of its scores: raw, log or rank."""
    if _spread(scores):
        return scores, "raw"
    if scores.min() > 0 and _spread(np.log(scores)):
        return scores, "log"
    return ranks(scores), "rank"


def _spread(values: Any) -> bool:
    """Whether the middle nine tenths of the values take at least a third of their axis."""
    low, high = np.quantile(values, [0.05, 0.95])
    return bool(high - low >= (values.max() - values.min()) / 3)


def _crowd(x: Any, y: Any) -> Any:
    """How crowded it is around each dot, on a logarithmic scale: a smoothed histogram, read between its cells."""
    bins = 48

    def place(values: Any) -> Any:
        span = values.max() - values.min()
        return np.zeros(len(values)) if span == 0 else (values - values.min()) / span * (bins - 1)

    places = np.stack([place(x), place(y)])
    cells = np.rint(places).astype(int)
    counts = np.bincount(cells[0] * bins + cells[1], minlength=bins * bins).reshape(bins, bins).astype(float)
    return np.log1p(map_coordinates(gaussian_filter(counts, 1.2), places, order=1))


def _looks(families: Any) -> _Looks:
    """Colour and marker of each family: thirty of them can be told apart."""
    colours = len(_FAMILY_COLOURS)
    return {
        name: {
            "color": _FAMILY_COLOURS[place % colours],
            "marker": _FAMILY_MARKERS[place // colours % len(_FAMILY_MARKERS)],
        }
        for place, name in enumerate(sorted(set(families)))
    }


def _family_legend(figure: Figure, looks: _Looks) -> None:
    handles = [Line2D([], [], linestyle="", markersize=4, markeredgewidth=0, label=name, **look) for name, look in looks.items()]
    figure.legend(handles=handles, ncols=min(6, len(handles)), loc="outside upper left")


def toy(rankings: Sequence[ToyRanking]) -> str:
    """Fig. 2 of the VKDNW paper: accuracies of ten networks in the order of two rankings, the first five counted by nDCG."""

    def plot(figure: Figure) -> None:
        grid: Any = figure.subplots(1, len(rankings), sharey=True, squeeze=False)
        for axes, ranking in zip(grid[0], rankings, strict=True):
            order = np.argsort(-np.array(ranking.places))
            ordered = np.array(TOY.accuracies)[order]
            colours = [BLUE if place < 5 else SOFT for place in range(len(ordered))]
            axes.bar(np.arange(1, len(ordered) + 1), ordered, color=colours, width=0.72)
            for place, value in enumerate(ordered, start=1):
                axes.annotate(
                    f"{value:g}", (place, value), xytext=(0, 2), textcoords="offset points", ha="center", color=INK, fontsize=7.5
                )
            values = ranking.values
            text = f"KT {values['kendall']:.3f}   SPR {values['spearman']:.3f}   nDCG₅ {values['ndcg']:.3f}"
            axes.set_title(f"{ranking.name}\n{text}")
            axes.set_xlabel("rank (1: best)")
            axes.set_xticks(range(1, len(ordered) + 1))
            axes.set_ylim(0, 112)
            axes.grid(axis="x", visible=False)
        grid[0][0].set_ylabel("accuracy, %")

    return render_svg("toy", "Two toy rankings of ten networks", 2.9, plot)
