"""Read a bench run, write its page."""

from __future__ import annotations

from pathlib import Path

from search.bench.page.data import read_bench
from search.bench.page.render import render
from uninas.files.writing import write_text


def write_page(run_folder: Path) -> Path:
    """Write report.html into a bench run's folder: self-contained, without scripts or anything fetched from elsewhere.

    Args:
        run_folder: made by `uninas bench`; its results.json and scores.csv are only read. What they do not hold is called
            not measured.

    Returns:
        the path of the page.

    Raises:
        InputError: not a bench run, or a file in it cannot be read or written; the message says which.
    """
    path = run_folder / "report.html"
    write_text(path, render(read_bench(run_folder)))
    return path
