"""Whole files, written so that a reader never sees half of one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from uninas.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write a file at once: beside its place first, then moved there. What was there before stays until then.

    Raises:
        InputError: the disk is full or refuses; nothing is left behind.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from None


def write_json(path: Path, data: Any) -> None:
    """Write JSON at once; NaN and infinities are refused, JSON has none."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def read_run_json(folder: Path, name: str, *, place: str, content: str) -> Any:
    """Read the JSON of a file that a run's folder holds.

    Args:
        folder: of the run.
        name: of the file in it.
        place: what the folder should be, for the message: "the folder of a training".
        content: what the file should hold, for the message: "the settings of a training".

    Raises:
        InputError: no such file, or no JSON in it.
    """
    path = folder / name
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: expected {place}, with a {name}; there is none") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected {content} (JSON); {error}") from None
