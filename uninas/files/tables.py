"""Tables: CSV as we write it, and as other people's programs do."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uninas.files.reading import read_text
from uninas.files.writing import write_text

__all__ = ["Table", "csv_text", "read_numbers", "read_table", "write_csv"]

_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None) -> str:
    """Give rows as CSV with a header; a value that a row does not have is an empty cell.

    Args:
        rows: value by column.
        columns: to write, in order; None for all, in the order of their first use.
    """
    stream = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row) if columns is None else columns)
    table = csv.DictWriter(stream, names, restval="", extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return stream.getvalue()


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None) -> None:
    """Write rows as CSV at once, see `csv_text`. Raises InputError as `write_text`."""
    write_text(path, csv_text(rows, columns))


@dataclass(frozen=True)
class Table:
    """A table as a person's program wrote it.

    Attributes:
        text: of the file, without a byte-order mark.
        separator: of the cells: a comma, a semicolon or a tab.
        decimal: of numbers: a comma where cells have such numbers and another separator, else a point.
        names: of the columns.
        rows: the cells of each row, as many as there are columns.
    """

    text: str
    separator: str
    decimal: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_table(path: Path) -> Table:
    """Read CSV with commas, semicolons or tabs, with or without a byte-order mark.

    Raises:
        ValueError: no text, no header, a column or a row that would be lost.
        OSError: the file cannot be read.
    """
    text = read_text(path)
    head = text.lstrip().split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        lines = [(reader.line_num, tuple(row)) for row in reader if row]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not lines:
        raise ValueError("a header; the file is empty")
    names, rows = lines[0][1], lines[1:]
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise ValueError(f"each column once; got {twice[0]} twice")
    uneven = [(line, len(row)) for line, row in rows if len(row) != len(names)]
    if uneven:
        raise ValueError(
            f"{len(names)} cells in each row, as in the header; {len(uneven)} of {len(rows)} rows have others, the first is "
            f"line {uneven[0][0]} with {uneven[0][1]}"
        )
    commas = separator != "," and any(_COMMA.fullmatch(cell) for _, row in rows for cell in row)
    return Table(text, separator, "," if commas else ".", names, tuple(row for _, row in rows))


def read_numbers(path: Path) -> list[dict[str, float]]:
    """Read a CSV of numbers, without its empty cells.

    Raises:
        ValueError: as `read_table`; a cell that is not a number.
        OSError: the file cannot be read.
    """
    table = read_table(path)
    point = "." if table.decimal == "." else ","
    rows = [dict(zip(table.names, row, strict=True)) for row in table.rows]
    return [{name: float(cell.replace(point, ".")) for name, cell in row.items() if cell} for row in rows]
