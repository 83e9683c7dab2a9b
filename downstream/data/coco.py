"""COCO's annotations, looked through once before the stack reads them: what they lack is said with the file's name."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from uninas.errors import InputError

__all__ = ["read_annotations"]

_NEEDED = {
    "images": ("id", "file_name", "height", "width"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "segmentation"),
    "categories": ("id", "name"),
}
"""List of the file -> what MMDetection, or COCO's own scoring, reads of each of its entries."""


@cache
def read_annotations(path: Path) -> tuple[str, ...]:
    """Give the names of the classes, in their order in the file.

    Raises:
        InputError: no such file, none of COCO's, an entry that lacks what is read of it, or no object that counts.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        entries = {part: list(document[part]) for part in _NEEDED}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the annotations of COCO, with {', '.join(_NEEDED)}; {error}") from None
    for part, keys in _NEEDED.items():
        for number, entry in enumerate(entries[part], 1):
            lacking = next((key for key in keys if not isinstance(entry, dict) or entry.get(key) in (None, [], {})), None)
            if lacking is not None:
                raise InputError(f"{path}: expected {lacking} in each of {part}; number {number} has none")
    if all(entry.get("iscrowd") for entry in entries["annotations"]):  # crowds are neither learnt nor scored
        raise InputError(f"{path}: expected objects to find; there are none")
    return tuple(entry["name"] for entry in entries["categories"])
