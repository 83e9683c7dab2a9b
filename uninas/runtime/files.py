"""Whole files, written so that a reader never sees half of one."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uninas.errors import InputError
from uninas.runtime.paths import new_file
from uninas.runtime.reading import read_json, read_text

__all__ = ["csv_text", "odd", "read_numbers", "read_run_json", "replacing", "write_csv", "write_json", "write_text"]


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


def read_numbers(path: Path) -> list[dict[str, float]]:
    """Read a CSV of numbers, without its empty cells.

    Raises:
        ValueError: a cell that is not a number.
        OSError: the file cannot be read.
    """
    stream = io.StringIO(read_text(path), newline="")
    try:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(stream)]
    except (csv.Error, TypeError) as error:  # TypeError: a row with more cells than the header
        raise ValueError(f"no table of numbers; {error}") from None


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
