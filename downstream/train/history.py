"""The log of a training: a table of the epochs and its curves.

RUN/log.csv       one row per epoch
RUN/curves.svg    loss, accuracy and learning rate over the epochs
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uninas.files.tables import read_numbers, write_csv
from uninas.files.writing import write_text

__all__ = ["read_history", "write_history"]

Row = Mapping[str, float]


def write_history(folder: Path, rows: Sequence[Row], panels: Mapping[str, Sequence[str]]) -> None:
    """Write the table and the curves, each atomically.

    Args:
        folder: of the run.
        rows: numbers by column, one row per epoch; the first column is the epoch. Columns may be missing from a row.
        panels: title -> the columns drawn in it.
    """
    write_csv(folder / "log.csv", [{name: _short(value) for name, value in row.items()} for row in rows])
    if rows:
        write_text(folder / "curves.svg", _curves(rows, panels))


def read_history(folder: Path) -> list[dict[str, float]]:
    """Read the table back; no rows where there is none yet."""
    path = folder / "log.csv"
    return read_numbers(path) if path.exists() else []


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def _curves(rows: Sequence[Row], panels: Mapping[str, Sequence[str]]) -> str:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(4.2 * len(panels), 3.2), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name in names:
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=name.replace("_", " "), marker="." if len(points) < 30 else None)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if len(names) > 1 and axes.lines:  # of two columns there may be none yet, as before the first evaluation
            axes.legend(frameon=False, fontsize=8)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
