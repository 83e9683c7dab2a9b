"""Pictures in folders, one a class, for training and evaluation: unreadable ones are counted and skipped, never guessed.

DIR/train/<class>/*.jpg      DIR/val/<class>/*.jpg      (validation, test: the names that timm looks for, too)
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image
from timm.data import create_loader
from timm.data.readers import create_reader
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from uninas.errors import InputError

__all__ = ["Folder", "Pictures", "loader", "readable"]

SPLITS = {"train": ("train", "training"), "val": ("val", "validation", "valid", "test", "testing")}


@dataclass(frozen=True)
class Folder:
    """The folder of one split, and its classes in order: a class is its folder's place among the sorted names."""

    path: Path
    classes: tuple[str, ...]

    @staticmethod
    def of(data: Path, split: str) -> Folder:
        """Find a split ("train" or "val") of a data folder.

        Raises:
            InputError: no such folder, or no folders of classes in it.
        """
        path = next((data / name for name in SPLITS[split] if (data / name).is_dir()), None)
        if path is None:
            raise InputError(
                f"{data}: expected a folder {' or '.join(SPLITS[split][:2])} with a folder of pictures a class; none"
            )
        classes = tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
        if not classes:
            raise InputError(f"{path}: expected one folder of pictures a class; it holds no folders")
        return Folder(path, classes)


class Pictures(Dataset[Any]):
    """The pictures of a folder.

    An unreadable one comes as a blank picture with the class -(1 + its number): no answer counts, see `readable`.

    What a transform draws hangs on `seeds` (of the run, of the epoch) and the picture's number alone: neither on how many
    processes read, nor on the order.

    Args:
        folder: of the split.
        class_names: classes in their order; a split's folders must be among them.
        part: (r, n): only every n-th picture from the r-th on.

    Raises:
        InputError: no pictures, or a folder that is no class.
    """

    def __init__(self, folder: Folder, class_names: Sequence[str], *, part: tuple[int, int] = (0, 1)) -> None:
        unknown = sorted(set(folder.classes) - set(class_names))
        if unknown:
            raise InputError(
                f"{folder.path}: expected folders named by the {len(class_names)} classes of the training; "
                f"{len(unknown)} are not, the first is {unknown[0]}"
            )
        places = {name: place for place, name in enumerate(class_names)}
        try:
            self.reader = create_reader("", root=str(folder.path), class_map=places)
        except RuntimeError as error:  # timm: nothing found
            raise InputError(f"{folder.path}: expected pictures; {error}") from None
        self._indices = range(part[0], len(self.reader), part[1])
        self.transform: Any = None
        self.seeds: tuple[int, ...] = (0,)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        index = self._indices[place]
        stream, target = self.reader[index]
        try:
            with stream, Image.open(stream) as image:
                picture = image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises over harmed files
            picture, target = Image.new("RGB", (64, 64)), -1 - index
        with _own_draws(*self.seeds, index):
            return self.transform(picture), target

    def name(self, number: int) -> str:
        """The file of a picture's number."""
        found: str = self.reader.filename(number)
        return found


def readable(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Split what the classes of a batch say: which pictures count, (B,) boolean, and the numbers of those that do not."""
    there = targets >= 0
    return there, -1 - targets[~there]


def loader(
    pictures: Pictures,
    *,
    batch: int,
    size: tuple[int, int],
    training: bool,
    augment: str,
    mean: Sequence[float],
    std: Sequence[float],
    workers: int,
    distributed: bool,
    device: torch.device,
) -> Any:
    """timm's loader: random crops, flips and augmentation for training; resize and centre crop else.

    Args:
        pictures: what to load; its transform is set.
        batch: pictures at a time, of this process.
        size: (H, W) that comes out.
        training: shuffled and augmented, the last incomplete batch left out.
        augment: such as "rand-m15-n2-mstd0.5", or "".
        mean, std: of red, green, blue in [0, 1].
        workers: processes that read.
        distributed: share the pictures among processes (training only: for evaluation see `Pictures`).
        device: where batches go.
    """
    if training and len(pictures) < batch:
        raise InputError(f"expected at least one batch of {batch} pictures to train on; got {len(pictures)}")
    return create_loader(
        pictures,  # type: ignore[arg-type]  # any dataset of pictures does
        input_size=(3, *size),
        batch_size=batch,
        is_training=training,
        auto_augment=augment or None,
        interpolation="random" if training else "bicubic",
        crop_pct=None if max(size) >= 128 else 1.0,
        mean=tuple(mean),
        std=tuple(std),
        num_workers=workers,
        distributed=distributed and training,
        device=device,
        use_prefetcher=device.type == "cuda",
        persistent_workers=False,  # new ones each epoch know its seeds
        pin_memory=device.type == "cuda",
    )


@contextmanager
def _own_draws(*seeds: int) -> Iterator[None]:
    """Draw from these seeds inside; in the process that trains, the other streams go on as if nothing had been drawn."""
    drawn = _drawn(seeds)
    if get_worker_info() is not None:
        _seed(drawn)
        yield
        return
    before = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    _seed(drawn)
    try:
        yield
    finally:
        random.setstate(before[0])
        numpy.random.set_state(before[1])
        torch.set_rng_state(before[2])


def seed_everything(*seeds: int) -> None:
    """Seed torch on all devices, numpy and Python from several numbers: a run's, an epoch's, a process's."""
    drawn = _drawn(seeds)
    _seed(drawn)
    torch.manual_seed(drawn >> 1)


def _drawn(seeds: Sequence[int]) -> int:
    return int(numpy.random.SeedSequence(seeds).generate_state(1, dtype=numpy.uint64)[0])


def _seed(drawn: int) -> None:
    random.seed(drawn)
    numpy.random.seed(drawn & 0xFFFFFFFF)
    torch.default_generator.manual_seed(drawn >> 1)
