"""Small data in the true layouts of COCO and ADE20K: rectangles of a colour a class, on noise, in images of odd sizes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("red", "green", "blue")
SIDES = ((97, 131), (128, 96), (111, 113))


def _scene(rng: np.random.Generator, sides: tuple[int, int]) -> tuple[np.ndarray, list[tuple[int, tuple[int, int, int, int]]]]:
    """An image, and its rectangles: (class, (left, top, width, height))."""
    height, width = sides
    pixels = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
    found = []
    for kind in rng.permutation(3)[:2].tolist():
        w, h = (int(value) for value in rng.integers(34, 48, 2))
        left, top = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        pixels[top : top + h, left : left + w, kind] += 150
        found.append((kind, (left, top, w, h)))
    return pixels, found


def make_coco(folder: Path, *, train: int = 6, val: int = 2) -> Path:
    """annotations/instances_{train,val}2017.json, train2017/, val2017/; gives the folder."""
    rng = np.random.default_rng(0)
    (folder / "annotations").mkdir(parents=True)
    for split, count in (("train", train), ("val", val)):
        (folder / f"{split}2017").mkdir()
        images, annotations = [], []
        for number in range(1, count + 1):
            height, width = sides = SIDES[number % len(SIDES)]
            pixels, rectangles = _scene(rng, sides)
            name = f"{number:012}.jpg"
            Image.fromarray(pixels).save(folder / f"{split}2017" / name)
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            for kind, (left, top, w, h) in rectangles:
                corners = [left, top, left + w, top, left + w, top + h, left, top + h]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": kind + 1,
                        "bbox": [left, top, w, h],
                        "area": w * h,
                        "segmentation": [corners],
                        "iscrowd": 0,
                    }
                )
        categories = [{"id": place + 1, "name": name} for place, name in enumerate(CLASSES)]
        (folder / "annotations" / f"instances_{split}2017.json").write_text(
            json.dumps({"images": images, "annotations": annotations, "categories": categories})
        )
    return folder


def make_ade(folder: Path, *, train: int = 6, val: int = 2) -> Path:
    """images/{training,validation}/*.jpg, annotations/{training,validation}/*.png (0: nothing); gives the folder."""
    rng = np.random.default_rng(0)
    for split, count in (("training", train), ("validation", val)):
        for kind in ("images", "annotations"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(1, count + 1):
            sides = SIDES[number % len(SIDES)]
            pixels, rectangles = _scene(rng, sides)
            labels = np.zeros(sides, dtype=np.uint8)
            for kind, (left, top, w, h) in rectangles:
                labels[top : top + h, left : left + w] = 1 + 40 * kind
            name = f"ADE_{split[:-3]}_{number:08}"
            Image.fromarray(pixels).save(folder / "images" / split / f"{name}.jpg")
            Image.fromarray(labels).save(folder / "annotations" / split / f"{name}.png")
    return folder
