"""A folder of small images whose class is their colour, with some noise: a network learns it in a few steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 70), "red": (200, 50, 40)}


def make_images(folder: Path, *, train: int = 24, held: int = 12, side: int = 16) -> Path:
    """DIR/train/<colour>/NN.png and DIR/test/<colour>/NN.png."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", held)):
        for name, colour in COLOURS.items():
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = rng.normal(colour, 40, (side, side, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, not to be written to."""
    return make_images(tmp_path_factory.mktemp("images") / "colours")


@pytest.fixture
def made() -> Callable[..., Path]:
    """Makes such a folder that a test may spoil."""
    return make_images
