"""Charts by matplotlib as SVG whose text stays text: inline and in the page's colours, or as a file of its own."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter

from search.report.theme import INK, PAPER, RULE, SOFT, VARIABLES
from uninas.drawing.labels import quantity

WIDTH = 10.4  # inches; the page shows a chart 1080 pixels wide, so 8.5 points read as 12 pixels
RASTER_FROM = 4000  # points above which a cloud becomes a picture inside the SVG: ten thousand circles slow a browser down
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": SOFT,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


def render_svg(
    name: str, title: str, height: float, plot: Callable[[Figure], None], *, width: float = WIDTH, alone: bool = False
) -> str:
    """Plot a figure and give its SVG.

    Args:
        name: prefix of the SVG's ids, which share one space on a page.
        title: what the chart shows, for those who do not see it.
        height, width: in inches.
        plot: plots on the empty figure.
        alone: for a file of its own, on white and in the light colours; else for a page, whose variables give the colours.
    """
    style: Any = {**_STYLE, "svg.hashsalt": name, **({"savefig.facecolor": PAPER} if alone else {})}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=144)
        FigureCanvasSVG(figure)
        plot(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    pixels = f'width="{1080 * width / WIDTH:.0f}"'
    if alone:
        svg = svg.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    else:
        svg = re.sub(r'\bid="', f'id="{name}-', svg)
        svg = re.sub(r"url\(#", f"url(#{name}-", svg)
        svg = re.sub(r'href="#', f'href="#{name}-', svg)
        svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)  # the page's own
        for colour, variable in VARIABLES.items():
            svg = svg.replace(colour, variable)
    svg = re.sub(r"<svg ", f'<svg role="img" aria-label="{title}" ', svg, count=1)
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', pixels, svg, count=1)


def tick_labels(values: Sequence[float]) -> list[str]:
    """Labels of an axis, with as many digits as tell its ticks apart and one unit for all: 12.15 M, 12.20 M; -8.015, -8.010."""
    largest = max((abs(value) for value in values), default=0.0)
    unit, letter = next(((u, x) for u, x in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if largest >= u), (1.0, ""))
    steps = [abs(b - a) / unit for a, b in pairwise(sorted(values)) if b != a]
    # A step of 0.05 needs two digits; rounding guards against 0.049999.
    digits = max(0, -math.floor(math.log10(min(steps)) + 1e-9)) if steps else 0
    while digits < 6 and any(abs(round(step, digits) - step) > 1e-3 * step for step in steps):
        digits += 1
    end = f"\u2009{letter}" if letter else ""
    return [f"{value / unit:.{digits}f}{end}" if value else "0" for value in values]


class _Quantities(Formatter):
    """Formats all ticks of an axis together."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return quantity(x).replace(" ", "\u2009")

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        return tick_labels(values)


def quantities(axis: Any) -> None:
    """Let an axis write its ticks as quantities."""
    axis.set_major_formatter(_Quantities())


def readable_floor(values: Sequence[float]) -> float:
    """Where an axis of scores may begin: the least score, or four times the way from the best to the median below the median.

    Scores are to be maximised and have long tails below: a few hopeless networks would press all others into one line.
    """
    best, middle, least = max(values), float(np.median(values)), min(values)
    return max(least, middle - 4 * (best - middle)) if best > middle else least
