"""Tables of commands: by rich on a terminal, plain lines elsewhere, which other programs can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from uninas.runtime.terminal import console, say

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_table"]


def show_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, styles: Sequence[str] = (), to: Console | None = None
) -> None:
    """Print a table to the standard output.

    Args:
        titles: of the columns.
        rows: cells, a row as long as the titles.
        styles: of rich, one for each row, "" for none; none at all for none.
        to: rich's console; None for one of the standard output.

    On a terminal a cell is broken into lines where it does not fit. Elsewhere each row is a line, nothing is cut, and columns are
    kept apart by two spaces or more.
    """
    out = to or console()
    if not out.is_terminal:
        widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
        for row in rows:
            say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*row, style=styles[number] if styles else "")
    out.print(table)
