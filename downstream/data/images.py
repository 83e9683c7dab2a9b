"""Images in folders, one per class, for training and evaluation: unreadable ones and other files are counted and skipped.

DIR/train/<class>/*.jpg      DIR/val/<class>/*.jpg      (or the other names that timm looks for: validation, test)

In training the next readable image replaces one that cannot be read, with its own class, so that a batch stays full of images
with their true classes. In evaluation an unreadable image does not count. A folder without any readable image is rejected.
"""

from __future__ import annotations

import os
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
from timm.utils import natural_key
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from downstream.data.fingerprint import of_files
from downstream.protocols import crop_share
from uninas.errors import InputError
from uninas.files.pictures import SUFFIXES, is_image, of_other_kinds, read

__all__ = [
    "Folder",
    "Images",
    "loader",
    "own_draws",
    "readable",
    "seed_everything",
    "true_classes",
]

SPLITS = {"train": ("train", "training"), "val": ("val", "validation", "valid", "test", "testing")}


@dataclass(frozen=True)
class Folder:
    """The folder of one split, and its classes: the names of its folders, sorted as in timm."""

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
                f"{data}: expected a folder {' or '.join(SPLITS[split][:2])} with one folder of images per class; there is none"
            )
        names = (entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        classes = tuple(sorted(names, key=natural_key))  # 2 before 10
        if not classes:
            raise InputError(f"{path}: expected one folder of images per class; it contains no folders")
        return Folder(path, classes)


class Images(Dataset[Any]):
    """The images of a folder: (image, class), where the class also encodes which image could not be read.

    In training an unreadable image is replaced by the next readable one, with its class + classes * (1 + number), see
    `true_classes`; in evaluation by a blank image with the class -(1 + number), see `readable`.

    The random numbers of a transform depend only on `seeds` (of the run, of the epoch) and the image's number: neither on the
    number of processes that read, nor on the order.

    Args:
        folder: of the split.
        class_names: classes in order; the folders of a split must be among them.
        training: see above.
        part: (r, n): only every n-th image, from the r-th.

    Attributes:
        left_out: says how many files are of kinds that are not read, with the first; "" where there are none.

    Raises:
        InputError: no images that can be read, a folder that is not a class, a folder inside a class; in training a class without
            images.
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
        others = list[str]()
        for name in folder.classes:
            with os.scandir(folder.path / name) as entries:
                rest = [entry for entry in entries if not entry.name.startswith(".") and not is_image(entry.name)]
                inner = next((entry.name for entry in rest if entry.is_dir()), None)
            if inner is not None:
                raise InputError(f"{folder.path / name}: expected only the images of a class; got a folder, {inner}")
            others += sorted(f"{name}/{entry.name}" for entry in rest)
        self.left_out = f"{folder.path}: {of_other_kinds(len(others), others[0])}" if others else ""
        places = {name: place for place, name in enumerate(class_names)}
        try:
            self.reader = create_reader("", root=str(folder.path), class_map=places, input_key=";".join(SUFFIXES))
        except RuntimeError as error:  # timm: nothing found
            raise InputError(f"{folder.path}: expected images; {error}") from None
        if training:
            there = {place for _, place in self.reader.samples}
            empty = [name for name in class_names if places[name] not in there]
            if empty:
                raise InputError(
                    f"{folder.path}: expected images of each of {len(class_names)} classes; {len(empty)} have none, "
                    f"the first is {empty[0]}"
                )
        self.reader.samples = [sample for sample in self.reader.samples if is_image(os.path.basename(sample[0]))]  # none hidden
        self._training, self._classes, self._path = training, len(class_names), folder.path
        if all(self._read(number) is None for number in range(len(self.reader))):  # the first one is read, as a rule
            raise InputError(f"{folder.path}: expected images; none of the {len(self.reader)} files can be read")
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
            with stream:
                return read(stream), target
        except (OSError, ValueError):
            return None

    def _instead(self, index: int) -> tuple[Any, int]:
        count = len(self.reader)
        following = (self._read((index + step) % count) for step in range(1, count))
        found = next((one for one in following if one is not None), None)
        if found is None:
            raise InputError(f"{self._path}: expected images; none of the {count} files can be read")
        return found[0], found[1] + self._classes * (1 + index)

    def described(self) -> dict[str, Any]:
        """Give what tells these images from others, see `downstream.data.fingerprint`: of the whole split, whatever the part."""
        before = len(str(self._path)) + 1
        return of_files(self._path, (path[before:] for path, _ in self.reader.samples))

    def name(self, number: int) -> str:
        """Give the file of an image by its number, with the folder of its split."""
        return f"{self._path.name}/{self.reader.filename(number)}"


def true_classes(targets: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Decode the targets of a training batch: the classes, (B,), and 1 + number of a replaced image, else 0, (B,)."""
    return targets % classes, targets.div(classes, rounding_mode="floor")


def readable(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Decode the targets of an evaluation batch: which images count, (B,) boolean, and the numbers of those that do not."""
    there = targets >= 0
    return there, -1 - targets[~there]


def loader(
    images: Images,
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
    """Make timm's loader: random crops, flips and augmentation for training, else resize and centre crop.

    Args:
        images: to load; their transform is set.
        batch: images per batch, of this process.
        size: (H, W) of the result.
        training: shuffle, augment, and drop the last incomplete batch.
        augment: such as "rand-m15-n2-mstd0.5", or "" for none.
        mean, std: of red, green, blue in [0, 1].
        workers: processes that read.
        device: of the batches.
        erase: probability of random erasing in training.
        processes: among which the images are distributed (training only; for evaluation see `Images`).
        seed: of that distribution.

    Raises:
        InputError: too few images to train on, or an unknown augmentation.
    """
    if training and len(images) < batch * processes:
        raise InputError(f"expected at least one batch of {batch * processes} images to train on; got {len(images)}")
    try:
        made = create_loader(
            images,  # type: ignore[arg-type]  # any dataset of images
            input_size=(3, *size),
            batch_size=batch,
            is_training=training,
            auto_augment=augment or None,
            color_jitter=0.4 if augment else None,  # type: ignore[arg-type]  # for the augmentations that use it
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
            persistent_workers=False,  # new workers know the seeds of their epoch
            pin_memory=device.type == "cuda",
        )
    except AssertionError:  # raised by timm for an unknown policy
        raise InputError(
            f"--augment: expected a policy of timm, such as rand-m9-mstd0.5, augmix-m3 or v0; got {augment}"
        ) from None
    if training and processes > 1:
        made.sampler.seed = seed
    return made


@contextmanager
def own_draws(*seeds: int) -> Iterator[None]:
    """Use random numbers of these seeds inside; in the training process, all other random numbers stay the same."""
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
    """Seed torch on all devices, numpy and Python from several numbers: of the run, the epoch, the process."""
    drawn = _drawn(seeds)
    _seed(drawn)
    torch.manual_seed(drawn >> 1)


def _drawn(seeds: Sequence[int]) -> int:
    return int(numpy.random.SeedSequence(seeds).generate_state(1, dtype=numpy.uint64)[0])


def _seed(drawn: int) -> None:
    random.seed(drawn)
    numpy.random.seed(drawn & 0xFFFFFFFF)
    torch.default_generator.manual_seed(drawn >> 1)
