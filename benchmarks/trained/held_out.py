"""A folder of images whose val/ is a part of the training images, so that a search by training leaves the test images alone.

    python -m benchmarks.trained.held_out cifar10 cifar10_split      500 images of each class are held out, the rest are train/

The images are links. Which ones are held out depends on the names of classes and files alone.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path


def split(source: Path, target: Path, count: int) -> None:
    """Link all images of `source`/train into `target`: `count` of each class into val/, the others into train/."""
    for folder in sorted(path for path in (source / "train").iterdir() if path.is_dir()):
        files = sorted(folder.iterdir())
        held = set(random.Random(folder.name).sample(range(len(files)), count))
        for number, file in enumerate(files):
            link = target / ("val" if number in held else "train") / folder.name / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with train/, a folder of images per class")
    parser.add_argument("target", type=Path, help="folder to make")
    parser.add_argument("--count", type=int, default=500, help="images of a class that are held out")
    options = parser.parse_args()
    split(options.source, options.target, options.count)


if __name__ == "__main__":
    main()
