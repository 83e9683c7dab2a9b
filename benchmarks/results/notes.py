"""Remarks that people write beside the results: why a figure of ours differs from the papers'.

One file, `notes.toml` in the folder of the pages, is the only part of them written by hand:

    [nasbench201]            # the page
    grasp = "..."            # a proxy of its tables, or the key "page" for the page as a whole

    [ablations.fim_size]     # an ablation
    page = "..."
    "256" = "..."            # a row's label
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uninas.errors import InputError

FILE = "notes.toml"
WHOLE = "page"


def read_notes(folder: Path) -> dict[str, dict[str, str]]:
    """Give the remarks of each page ("nasbench201", "timm", "ablations.fim_size"): name -> text. Empty without the file.

    Raises:
        InputError: not TOML, or not tables of texts; the message says where.
    """
    path = folder / FILE
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected TOML; {error}") from None
    found: dict[str, dict[str, str]] = {}
    for page, remarks in data.items():
        _collect(found, page, remarks, path)
    return found


def _collect(found: dict[str, dict[str, str]], page: str, remarks: Any, path: Path) -> None:
    if not isinstance(remarks, Mapping):
        raise InputError(f"{path}: expected a table of remarks under {page!r}; got {remarks!r}")
    for name, text in remarks.items():
        if isinstance(text, Mapping):
            _collect(found, f"{page}.{name}", text, path)
        elif isinstance(text, str):
            found.setdefault(page, {})[name] = " ".join(text.split())
        else:
            raise InputError(f"{path}: expected a text under {page}.{name}; got {text!r}")
