"""Whole files, written so that a reader never sees half of one."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uninas.errors import InputError
from uninas.runtime.paths import new_file
from uninas.runtime.reading import read_json, read_text

__all__ = [
    "Table",
    "csv_text",
    "odd",
    "read_numbers",
    "read_run_json",
    "read_table",
    "replacing",
    "write_csv",
    "write_json",
    "write_text",
]

_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a path beside `path` to write a file to, which replaces `path` at the end. What was there before stays until then.

    Args:
        path: of the file.
        durable: wait until the file is on disk; else a crash of the machine may leave half of it under the final name.

    A link that has the neighbour's name, as in a folder of somebody else's making, is removed and not followed.

    Raises:
        OSError: of writing. After any error nothing is left beside `path`.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        new_file(beside)
        yield beside
        if beside.is_symlink():  # put there meanwhile
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(beside))
        if durable:
            with beside.open("rb") as file:
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file at once, see `replacing`.

    Raises:
        InputError: the disk is full, or the folder is not writable; nothing is left behind.
    """
    try:
        with replacing(path) as beside:
            beside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from None


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


def write_json(path: Path, data: Any) -> None:
    """Write JSON at once. Raises ValueError for NaN and infinities, which JSON does not have; InputError as `write_text`."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


@contextmanager
def odd(path: Path) -> Iterator[None]:
    """Say in one line that a file of a run, JSON, does not say what its kind does, where its values are used.

    Raises:
        InputError: for a value that is missing, or of another type.
    """
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: expected what a run writes; {type(error).__name__}: {error}") from None


def read_run_json(folder: Path, name: str, *, place: str, content: str) -> Any:
    """Read a JSON file of a run's folder.

    Args:
        folder: of the run.
        name: of the file in it.
        place: what the folder should be, for the message: "the folder of a training".
        content: what the file should contain, for the message: "the settings of a training".

    Raises:
        InputError: no such file, or it is not JSON.
    """
    path = folder / name
    try:
        return read_json(path)
    except FileNotFoundError:
        raise InputError(f"{folder}: expected {place}, with a {name}; there is none") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected {content} (JSON); {error}") from None
