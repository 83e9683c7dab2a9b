"""Which pieces a file needs: their source, as it stands in `downstream.export.source.pieces`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable
from functools import cache
from types import ModuleType

from downstream.export.source.pieces import attention, files, layers, maps

__all__ = ["IMPORTS", "copied", "imports", "pieces"]

IMPORTS = {
    "json": "import json",
    "math": "import math",
    "struct": "import struct",
    "Path": "from pathlib import Path",
    "Any": "from typing import Any",
    "torch": "import torch",
    "Tensor": "from torch import Tensor",
    "nn": "from torch import nn",
    "F": "from torch.nn import functional as F",
}
"""Name that a piece, or what is written around them, may use -> what provides it; the standard library first."""


def copied(code: str) -> list[str]:
    """Return the source of every piece that code names, and of those that these name: functions first, then layers."""
    known = pieces()
    wanted: dict[str, None] = {}
    waiting = _names_of(code)
    while waiting:
        name = waiting.pop()
        if name in known and name not in wanted:
            wanted[name] = None
            waiting |= _names_of(known[name])
    return [source for name, source in known.items() if name in wanted]


def imports(code: str) -> list[str]:
    """Return the lines that import what code names of `IMPORTS`."""
    used = _names_of(code)
    standard = [line for name, line in IMPORTS.items() if name in used and "torch" not in line]
    of_torch = ", ".join(name for name in ("Tensor", "nn") if name in used)
    third = [IMPORTS["torch"], f"from torch import {of_torch}", *([IMPORTS["F"]] if "F" in used else [])]
    return [*standard, "", *third]


def _names_of(code: str) -> set[str]:
    """Return every name that code reads."""
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


@cache
def pieces() -> dict[str, str]:
    """Name -> source of every piece."""
    found: dict[str, str] = {}
    for module in (files, maps, attention, layers):
        found |= dict(_defined(module))
    return found


def _defined(module: ModuleType) -> Iterable[tuple[str, str]]:
    text = inspect.getsource(module)
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name, "\n".join(lines[node.lineno - 1 : node.end_lineno])
