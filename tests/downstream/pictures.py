"""A small folder of images with classes that can be learnt: squares of a colour, a brighter channel a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("blue", "green", "red")


def make(folder: Path, *, train: int = 16, val: int = 8, side: int = 32) -> Path:
    """Write folder/train and folder/val with so many images a class; gives the folder."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for place, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 150, (side, side, 3), dtype=np.uint8)
                pixels[..., place] += 90
                Image.fromarray(pixels).save(folder / split / name / f"{number:02}.png")
    return folder
