"""Pictures in folders, one a class, for training and evaluation: unreadable ones are counted and skipped, never guessed.

DIR/train/<class>/*.jpg      DIR/val/<class>/*.jpg      (validation, test: the names that timm looks for, too)

In training the next readable picture takes the place of one that cannot be read, with its own class: a batch stays a batch of
pictures with their true classes. In evaluation its place counts nothing.
"""

from __future__ import annotations

import os
import random
import re
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
from timm.utils import natural_key
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from uninas.errors import InputError

__all__ = [
    "Folder", "Pictures", "crop_share", "loader", "own_draws", "readable", "seed_everything", "told_plainly", "true_classes",
]  # fmt: skip

SPLITS = {"train": ("train", "training"), "val": ("val", "validation", "valid", "test", "testing")}


@dataclass(frozen=True)
class Folder:
    """The folder of one split, and its classes in order: a class is its folder's place among the names, sorted as timm does."""

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
        names = (entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        classes = tuple(sorted(names, key=natural_key))  # 2 before 10
        if not classes:
            raise InputError(f"{path}: expected one folder of pictures a class; it holds no folders")
        return Folder(path, classes)


class Pictures(Dataset[Any]):
    """The pictures of a folder: (picture, class), and where one cannot be read a sign of it in place of the class.

    In training that is the next picture that can be read, and its class + classes * (1 + number), see `true_classes`; else a
    blank picture with the class -(1 + number), see `readable`.

    What a transform draws hangs on `seeds` (of the run, of the epoch) and the picture's number alone: neither on how many
    processes read, nor on the order.

    Args:
        folder: of the split.
        class_names: classes in their order; a split's folders must be among them.
        training: see above.
        part: (r, n): only every n-th picture from the r-th on.

    Raises:
        InputError: no pictures, a folder that is no class, a folder within a class; in training a class without pictures.
    """

    def __init__(
        self, folder: Folder, class_names: Sequence[str], *, training: bool = False, part: tuple[int, int] = (0, 1)
    ) -> None:
        unknown = sorted(set(folder.classes) - set(class_names))
        if unknown:
            raise InputError(
                f"{folder.path}: expected folders named by the {len(class_names)} classes of the training; "
                f"{len(unknown)} are not, the first is {unknown[0]}"
            )
        for name in folder.classes:
            with os.scandir(folder.path / name) as entries:
                inner = next((entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")), None)
            if inner is not None:
                raise InputError(f"{folder.path / name}: expected the pictures of a class; it holds a folder, {inner}")
        places = {name: place for place, name in enumerate(class_names)}
        try:
            self.reader = create_reader("", root=str(folder.path), class_map=places)
        except RuntimeError as error:  # timm: nothing found
            raise InputError(f"{folder.path}: expected pictures; {error}") from None
        if training:
            there = {place for _, place in self.reader.samples}
            empty = [name for name in class_names if places[name] not in there]
            if empty:
                raise InputError(
                    f"{folder.path}: expected pictures of each of {len(class_names)} classes; {len(empty)} have none: {empty[0]}"
                )
        self._training, self._classes, self._path = training, len(class_names), folder.path
        self._indices = range(part[0], len(self.reader), part[1])
        self.transform: Any = None
        self.seeds: tuple[int, ...] = (0,)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        index = self._indices[place]
        found = self._read(index)
        if found is None:
            found = self._instead(index) if self._training else (Image.new("RGB", (64, 64)), -1 - index)
        with own_draws(*self.seeds, index):
            return self.transform(found[0]), found[1]

    def _read(self, index: int) -> tuple[Any, int] | None:
        try:
            stream, target = self.reader[index]
            with stream, Image.open(stream) as image:
                return image.convert("RGB"), target
        except Exception:  # over a harmed file Pillow raises nearly anything, over a lost one the system does
            return None

    def _instead(self, index: int) -> tuple[Any, int]:
        count = len(self.reader)
        following = (self._read((index + step) % count) for step in range(1, count))
        found = next((one for one in following if one is not None), None)
        if found is None:
            raise InputError(f"{self._path}: expected pictures; none of the {count} files can be read")
        return found[0], found[1] + self._classes * (1 + index)

    def name(self, number: int) -> str:
        """The file of a picture's number, with its split's folder."""
        return f"{self._path.name}/{self.reader.filename(number)}"


def true_classes(targets: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Split what a training batch says: the classes, (B,), and whose pictures could not be read: 1 + number, else 0, (B,)."""
    return targets % classes, targets.div(classes, rounding_mode="floor")


def readable(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Split what the classes of a batch say: which pictures count, (B,) boolean, and the numbers of those that do not."""
    there = targets >= 0
    return there, -1 - targets[~there]


def crop_share(size: tuple[int, int]) -> float:
    """Give the share of a picture's shorter side that evaluation looks at: all of small pictures, which seldom have a margin."""
    return 0.875 if max(size) >= 128 else 1.0


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
    device: torch.device,
    erase: float = 0.0,
    processes: int = 1,
    seed: int = 0,
) -> Any:
    """timm's loader: random crops, flips and augmentation for training; resize and centre crop else.

    Args:
        pictures: what to load; its transform is set.
        batch: pictures at a time, of this process.
        size: (H, W) that comes out.
        training: shuffled and augmented, the last incomplete batch left out.
        augment: such as "rand-m15-n2-mstd0.5", or "" for none.
        mean, std: of red, green, blue in [0, 1].
        workers: processes that read.
        device: where batches go.
        erase: probability that a training picture has a rectangle erased.
        processes: that share the pictures (training only: for evaluation see `Pictures`).
        seed: of how they share them.

    Raises:
        InputError: too few pictures to train on, or an augmentation that timm does not know.
    """
    if training and len(pictures) < batch * processes:
        raise InputError(f"expected at least one batch of {batch * processes} pictures to train on; got {len(pictures)}")
    try:
        made = create_loader(
            pictures,  # type: ignore[arg-type]  # any dataset of pictures does
            input_size=(3, *size),
            batch_size=batch,
            is_training=training,
            auto_augment=augment or None,
            color_jitter=0.4 if augment else None,  # type: ignore[arg-type]  # for the augmentations that want it
            re_prob=erase,
            re_mode="pixel",
            interpolation="random" if training else "bicubic",
            crop_pct=crop_share(size),
            mean=tuple(mean),
            std=tuple(std),
            num_workers=workers,
            distributed=training and processes > 1,
            device=device,
            use_prefetcher=device.type == "cuda",
            persistent_workers=False,  # new ones each epoch know its seeds
            pin_memory=device.type == "cuda",
        )
    except AssertionError:  # timm's word for a policy that it does not know
        raise InputError(f"--augment: expected one of timm's, such as rand-m9-mstd0.5, augmix-m3 or v0; got {augment}") from None
    if training and processes > 1:
        made.sampler.seed = seed
    return made


@contextmanager
def told_plainly() -> Iterator[None]:
    """Give what a process that reads pictures said, without the frames that the loader wraps it in."""
    try:
        yield
    except InputError as error:
        said = re.search(r"InputError: (.*)\s*$", str(error))
        raise (InputError(said[1]) if said else error) from None


@contextmanager
def own_draws(*seeds: int) -> Iterator[None]:
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
