"""COCO annotations of three small images, and ways to damage them, for the checks and for what OpenMMLab makes of them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDES = (60, 90)


def document(pictures: int = 3) -> dict[str, Any]:
    """Two objects an image, a polygon and a crowd of run lengths on the last."""
    images = [
        {"id": number, "file_name": f"{number}.jpg", "height": SIDES[0], "width": SIDES[1]} for number in range(1, pictures + 1)
    ]
    objects = []
    for number in range(2 * pictures):
        x, y, w, h = 3 + 2 * number, 4 + number, 30, 20
        objects.append(
            {
                "id": number + 1,
                "image_id": 1 + number // 2,
                "category_id": (3, 7)[number % 2],
                "bbox": [x, y, w, h],
                "area": w * h,
                "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
                "iscrowd": 0,
            }
        )
    runs = {"size": list(SIDES), "counts": [60, 120, 60 * 87]}
    objects.append({**objects[-1], "id": 99, "segmentation": runs, "bbox": [1, 0, 2, 60], "area": 120, "iscrowd": 1})
    return {"images": images, "annotations": objects, "categories": [{"id": 3, "name": "red"}, {"id": 7, "name": "green"}]}


def written(found: Any, folder: Path, *, start: bytes = b"") -> Path:
    path = folder / f"{len(list(folder.iterdir()))}.json"
    path.write_bytes(start + json.dumps(found).encode())
    return path


def objects_of(path: Path) -> list[tuple[Any, ...]]:
    """What OpenMMLab trains on and COCO scores with, apart from ids."""
    found = json.loads(path.read_text())
    return [
        (one["image_id"], one["category_id"], tuple(one["bbox"]), one["iscrowd"], json.dumps(one["segmentation"]))
        for one in found["annotations"]
    ]


def images(folder: Path) -> None:
    """The images of the annotations."""
    for number in (1, 2, 3):
        Image.new("RGB", SIDES[::-1]).save(folder / f"{number}.jpg")


VALUES = (None, True, -1, 0, 1, 0.5, 10**30, float("nan"), float("inf"), "", "7", [], {}, [1, 2], "\ud800", [[]], [None] * 4)
OWN = {"name": (str,), "image_id": (int,), "iscrowd": (int, bool), "segmentation": (int, float), "bbox": (int, float)}
"""Key -> types of what may be there: another name, image or place of an object is no fault that a file shows."""


def mutated(found: dict[str, Any], stream: np.random.Generator) -> None:
    """Damage a value, a key or an entry, as converters, merges and hands do."""
    part = str(stream.choice(list(found)))
    place, kind = int(stream.integers(len(found[part]))), int(stream.integers(6))
    entry, value = found[part][place], VALUES[int(stream.integers(len(VALUES)))]
    if not isinstance(entry, dict) or not entry or kind == 0:
        found[part][place] = value
        return
    key = str(stream.choice(list(entry)))
    if kind == 1:
        found[part].append(copy.deepcopy(entry))
    elif kind == 2 and "height" in entry and "width" in entry:
        entry["height"], entry["width"] = entry["width"], entry["height"]
    elif kind == 3:
        del entry[key]
    elif type(value) in OWN.get(key, ()) and value in (-1, 0, 1, 0.5, "7", "\ud800"):
        mutated(found, stream)
    elif kind == 4 and isinstance(entry[key], list) and entry[key]:
        inner = entry[key][0] if isinstance(entry[key][0], list) and entry[key][0] else entry[key]
        inner[int(stream.integers(len(inner)))] = value
    else:
        entry[key] = value
