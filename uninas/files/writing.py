"""Whole files, written so that a reader never sees half of one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uninas.errors import InputError
from uninas.files.paths import new_file

__all__ = ["check_place", "replacing", "write_json", "write_text"]


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
    beside = _beside(path)
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


def check_place(path: Path, cure: str) -> None:
    """See that a file can be written, before long work for it; `cure`: what to do else, for the message.

    Raises:
        InputError: it is a folder, or its folder is not there or not writable.
    """
    if path.is_dir():
        raise InputError(f"{path}: expected a file to write; it is a folder: {cure}")
    beside = _beside(path)
    try:
        new_file(beside)
        beside.unlink()
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror or error}: {cure}") from None


def write_text(path: Path, text: str) -> None:
    """Write a file at once in UTF-8, see `replacing`; bytes of a file's name that are not UTF-8 are spelled out.

    Raises:
        InputError: the disk is full, or the folder is not writable; nothing is left behind.
    """
    try:
        with replacing(path) as beside:
            beside.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from None


def write_json(path: Path, data: Any) -> None:
    """Write JSON at once. Raises ValueError for NaN and infinities, which JSON does not have; InputError as `write_text`."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")
