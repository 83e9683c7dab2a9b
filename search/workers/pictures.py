"""A real batch from a folder of images: one folder per class, balanced over the classes, drawn by a seed.

    batch, warnings = draw_batch(folder, count=64, classes=10, size=(32, 32), seed=0, statistics=STATISTICS["cifar10"])
    images, labels = read_batch(batch)

`draw_batch` chooses the images and says what is wrong with the folder. The batch is plain data that names them, so that whoever
has the folder reads the same batch, and notices where it has changed since. For who has not, see `search.workers.real_batches`.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from uninas.errors import InputError
from uninas.files.pictures import SUFFIXES, listing, of_other_kinds, read

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]
Pixels = NDArray[np.uint8]
"""Images as they were read and resized: (n, H, W, 3), or (H, W, 3) of one."""

STATISTICS: dict[str, Statistics] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet16_120": ((0.4811, 0.4575, 0.4078), (0.2605, 0.2533, 0.2683)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation of red, green and blue in [0, 1] that images are normalised by, as trainings on these data do."""


@dataclass(frozen=True)
class PictureBatch:
    """A batch by the names of its images.

    Attributes:
        folder: that holds one folder per class.
        files: path of each image below the folder, in the order of the batch.
        labels: class of each, its folder's place among the sorted folders.
        size: (H, W) in pixels that images are resized to (bilinear, without regard to their shape).
        mean: per channel, of values in [0, 1]; subtracted.
        std: per channel; divided by.
        digest: SHA-256 of the read batch.
    """

    folder: str
    files: tuple[str, ...]
    labels: tuple[int, ...]
    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> PictureBatch:
        """Read what `dataclasses.asdict` gave, also after a way through JSON."""
        sequences = ("files", "labels", "size", "mean", "std")
        return PictureBatch(**{**data, **{name: tuple(data[name]) for name in sequences}})


def draw_batch(
    folder: Path,
    *,
    count: int,
    classes: int,
    size: tuple[int, int],
    seed: int,
    statistics: Statistics,
) -> tuple[PictureBatch, list[str]]:
    """Choose `count` images: the classes take turns, each giving its own in a seeded order; see `draw_pixels`."""
    batch, _, warnings = draw_pixels(folder, count=count, classes=classes, size=size, seed=seed, statistics=statistics)
    return batch, warnings


def draw_pixels(
    folder: Path,
    *,
    count: int,
    classes: int,
    size: tuple[int, int],
    seed: int,
    statistics: Statistics,
) -> tuple[PictureBatch, Pixels, list[str]]:
    """Choose `count` images: the classes take turns, each giving its own in a seeded order.

    Returns:
        The batch, its pixels, and a warning for each thing that a person should know: files of other kinds, unreadable images
        that were skipped, classes without a folder, an unbalanced batch.

    Raises:
        InputError: no such folder, no class folders, more of them than classes, or too few images that can be read.
    """
    names = _class_folders(folder)
    if len(names) > classes:
        raise InputError(f"{folder}: expected at most {classes} class folders, one for each class; got {len(names)}")
    rng = random.Random(seed)
    found = [(name, *listing(folder / name)) for name in names]
    queues = [_shuffled(name, files, rng) for name, files, _ in found]
    files, labels, arrays, corrupt = list[str](), list[int](), list[Pixels](), list[str]()
    while len(files) < count and any(queues):
        for label, queue in enumerate(queues):
            array = None
            while queue and array is None and len(files) < count:
                name = queue.pop()
                array = _read_image(folder / name, size)
                if array is None:
                    corrupt.append(name)
            if array is not None:
                files.append(name)
                labels.append(label)
                arrays.append(array)
    if len(files) < count:
        kinds = ", ".join(SUFFIXES)
        raise InputError(
            f"{folder}: expected {count} readable images ({kinds}); got {len(files)}, and {len(corrupt)} unreadable ones"
        )
    warnings = []
    others = [f"{name}/{file}" for name, _, rest in found for file in rest]
    if others:
        warnings.append(f"{folder}: {of_other_kinds(len(others), others[0])}")
    if corrupt:
        warnings.append(f"{folder}: {len(corrupt)} unreadable images skipped, the first is {corrupt[0]}")
    if len(names) < classes:
        warnings.append(f"{folder}: {len(names)} class folders for {classes} classes: the others do not occur in the batch")
    shares = [labels.count(label) for label in range(len(names))]
    if max(shares) - min(shares) > 1:
        warnings.append(f"{folder}: an unbalanced batch, some classes have too few images: {min(shares)} to {max(shares)}")
    pixels = np.stack(arrays)
    digest = _digest(normalised(pixels, statistics), labels)
    batch = PictureBatch(str(folder.resolve()), tuple(files), tuple(labels), size, *statistics, digest)
    return batch, pixels, warnings


@functools.lru_cache(maxsize=4)
def read_batch(batch: PictureBatch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read a batch: images float32 (n, 3, H, W), labels int64 (n,). Not to be written to.

    Raises:
        InputError: the images are not those that were drawn.
    """
    arrays = []
    for name in batch.files:
        array = _read_image(Path(batch.folder) / name, batch.size)
        if array is None:
            raise InputError(f"{batch.folder}: expected the image {name}, which was drawn before; it cannot be read now")
        arrays.append(array)
    images = normalised(np.stack(arrays), (batch.mean, batch.std))
    if _digest(images, batch.labels) != batch.digest:
        raise InputError(f"{batch.folder}: expected the images that the run began with; they have changed since")
    labels = np.array(batch.labels, dtype=np.int64)
    images.setflags(write=False)
    labels.setflags(write=False)
    return images, labels


def _class_folders(folder: Path) -> list[str]:
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: expected a folder with one folder of images per class; {error.strerror}") from None
    if not names:
        raise InputError(f"{folder}: expected a folder with one folder of images per class; it holds no folders")
    return names


def _shuffled(name: str, files: list[str], rng: random.Random) -> list[str]:
    order = list(files)
    rng.shuffle(order)
    return [f"{name}/{file}" for file in order]


def normalised(pixels: Pixels, statistics: Statistics) -> NDArray[np.float32]:
    """Make what a network is fed: (n, 3, H, W), each channel less its mean and divided by its deviation."""
    mean, std = (np.array(values, dtype=np.float32) for values in statistics)
    scaled = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32)


def _read_image(path: Path, size: tuple[int, int]) -> Pixels | None:
    """Read one image as (H, W, 3); None where it cannot be."""
    try:
        return np.asarray(read(path).resize((size[1], size[0]), Image.Resampling.BILINEAR), dtype=np.uint8)
    except ValueError:
        return None


def _digest(images: NDArray[np.float32], labels: list[int] | tuple[int, ...]) -> str:
    return hashlib.sha256(images.tobytes() + bytes(str(list(labels)), "ascii")).hexdigest()
