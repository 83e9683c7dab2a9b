"""COCO annotations, checked once before OpenMMLab reads them, so that an error names the file and what is missing."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from uninas.errors import InputError
from uninas.runtime.reading import read_json

__all__ = ["read_annotations"]

_MOST_BYTES = 4 << 30  # those of COCO itself have 0.5

_NEEDED = {
    "images": ("id", "file_name", "height", "width"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "segmentation"),
    "categories": ("id", "name"),
}
"""List of the file -> keys that MMDetection, or COCO's evaluation, reads of each entry."""


@cache
def read_annotations(path: Path) -> tuple[str, ...]:
    """Give the names of the classes in the order of the file.

    Raises:
        InputError: no such file, not COCO's format, an entry without a needed key, or no object that counts.
    """
    try:
        document = read_json(path, _MOST_BYTES)
        entries = {part: list(document[part]) for part in _NEEDED}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected COCO annotations with {', '.join(_NEEDED)}; {error}") from None
    for part, keys in _NEEDED.items():
        for number, entry in enumerate(entries[part], 1):
            lacking = next((key for key in keys if not isinstance(entry, dict) or entry.get(key) in (None, [], {})), None)
            if lacking is not None:
                raise InputError(f"{path}: expected {lacking} in each of {part}; number {number} has none")
    if all(entry.get("iscrowd") for entry in entries["annotations"]):  # crowds are neither trained on nor evaluated
        raise InputError(f"{path}: expected objects that are not crowds; got none")
    return tuple(entry["name"] for entry in entries["categories"])
