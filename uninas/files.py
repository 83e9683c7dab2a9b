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
