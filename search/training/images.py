"""A folder of images in memory, for short trainings: every worker reads it once and trains many networks on it.

    spec, notes = describe(Path("cifar10"), pixels=32, per_class=None)
    train, held = load(spec)                       uint8 images (N, 3, H, W), labels (N,)

DIR/train/<class>/*.jpg, DIR/val/<class>/*.jpg (or validation, test)

What judges may also be taken from train/ (`held_out` images of a class): a search that chooses by them leaves the others alone.

What travels to a worker is the description. It holds the digest of all pixels, so that a worker, or a resume, notices where the
folder is another one.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from uninas.errors import InputError
from uninas.files.pictures import listing, read

Pixels = NDArray[np.uint8]

SPLITS = {"train": ("train", "training"), "held": ("val", "validation", "valid", "test", "testing")}
"""What the two folders may be called; the first that exists counts."""

TESTS = ("test", "testing")
"""Folders of images that are kept for the end, as a rule."""


class Split(NamedTuple):
    """Images, uint8 (N, 3, H, W), and their classes, int64 (N,)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class ImageFolder:
    """Which images, and that they are those.

    Attributes:
        folder: that holds the folders of the splits.
        classes: names of the class folders, sorted.
        pixels: side that images are resized to (bilinear, without regard to their shape).
        per_class: training images of a class, drawn once by their names; None for all.
        digest: SHA-256 of all images and labels of both splits.
        held_out: images of a class that are taken from train/ to judge by, drawn likewise; None for val/ or test/.
    """

    folder: str
    classes: tuple[str, ...]
    pixels: int
    per_class: int | None
    digest: str
    held_out: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give the description as JSON-able data."""
        return {**asdict(self), "classes": list(self.classes)}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> ImageFolder:
        """Read what `as_dict` gave."""
        return ImageFolder(**{**data, "classes": tuple(data["classes"])})


def describe(folder: Path, *, pixels: int, per_class: int | None, held_out: int | None = None) -> tuple[ImageFolder, list[str]]:
    """Read a folder of images and describe it; the arguments are `ImageFolder`'s.

    Returns:
        The description, and what a person should know: images that cannot be read, which are left out.

    Raises:
        InputError: a missing split, no class folders, other classes in one split than in the other, a class without images, or
            with none left to train on.
    """
    classes = tuple(_classes(folder, "train"))
    if held_out is None and (held := tuple(_classes(folder, "held"))) != classes:
        other = sorted({*classes} ^ {*held})
        raise InputError(f"{folder}: expected the same class folders to train on and to judge by; {', '.join(other[:4])} differ")
    found = _read(str(folder.resolve()), classes, pixels, per_class, held_out)
    return ImageFolder(str(folder.resolve()), classes, pixels, per_class, found.digest, held_out), list(found.notes)


def load(spec: ImageFolder) -> tuple[Split, Split]:
    """Give the images to train on and those to judge by; they stay in the memory of this process, and are not to be written to.

    Raises:
        InputError: the folder is not the one that was described.
    """
    found = _read(spec.folder, spec.classes, spec.pixels, spec.per_class, spec.held_out)
    if found.digest != spec.digest:
        raise InputError(f"{spec.folder}: expected the images that the run began with; they have changed since")
    return found.train, found.held


class _Read(NamedTuple):
    """What was read: the splits, what a person should know, SHA-256 of the splits."""

    train: Split
    held: Split
    notes: tuple[str, ...]
    digest: str


@functools.lru_cache(maxsize=8)  # a ladder has a shorter training on each rung, and every candidate climbs all of them
def _read(folder: str, classes: tuple[str, ...], pixels: int, per_class: int | None, held_out: int | None) -> _Read:
    notes = list[str]()
    train_root = folder_of(Path(folder), "train")
    held_root = train_root if held_out is not None else folder_of(Path(folder), "held")
    train = {name: _fewer(name, _apart(train_root / name, held_out, judge=False), per_class) for name in classes}
    held = {name: _apart(held_root / name, held_out, judge=True) for name in classes}
    splits = [_split(train_root, train, pixels, notes), _split(held_root, held, pixels, notes)]
    return _Read(splits[0], splits[1], tuple(notes), _digest(*splits))


def _apart(folder: Path, held_out: int | None, *, judge: bool) -> list[str]:
    """List the images of a class, in order: those that are held out of it, or the others; all where none are."""
    names = _listed(folder)
    if held_out is None:
        return names
    if len(names) <= held_out:
        raise InputError(f"{folder}: expected more images than the {held_out} that are held out; got {len(names)}")
    judges = set(random.Random(folder.name).sample(range(len(names)), held_out))
    return [file for place, file in enumerate(names) if (place in judges) == judge]


def _fewer(name: str, files: list[str], most: int | None) -> list[str]:
    """Draw so many of a class's images, by their names."""
    return files if most is None or len(files) <= most else sorted(random.Random(name).sample(files, most))


def _split(root: Path, files: Mapping[str, list[str]], pixels: int, notes: list[str]) -> Split:
    """Read the images of each class; what cannot be read is left out, and `notes` gets a word of it."""
    images = np.empty((sum(map(len, files.values())), 3, pixels, pixels), dtype=np.uint8)  # a list, stacked, would be there twice
    labels, unreadable = list[int](), list[str]()
    for label, (name, some) in enumerate(files.items()):
        read_before = len(labels)
        for file in some:
            image = _image(root / name / file, pixels)
            if image is None:
                unreadable.append(f"{name}/{file}")
            else:
                images[len(labels)] = image
                labels.append(label)
        if len(labels) == read_before:
            raise InputError(f"{root / name}: expected images that can be read; got none among {len(some)} files")
    if unreadable:
        notes.append(f"{root}: {len(unreadable)} images cannot be read and are left out, the first is {unreadable[0]}")
    return Split(torch.from_numpy(images[: len(labels)]), torch.tensor(labels))


def folder_of(folder: Path, split: str) -> Path:
    """Give the folder of a split, "train" or "held".

    Raises:
        InputError: there is none.
    """
    places = [folder / name for name in SPLITS[split]]
    place = next((place for place in places if place.is_dir()), None)
    if place is None:
        raise InputError(
            f"{folder}: expected a folder {' or '.join(SPLITS[split])} with one folder of images per class; got none"
        )
    return place


def _classes(folder: Path, split: str) -> list[str]:
    place = folder_of(folder, split)
    names = sorted(entry.name for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(names) < 2:
        raise InputError(f"{place}: expected two folders of images or more, one per class; got {len(names)}")
    return names


def _listed(folder: Path) -> list[str]:
    try:
        return listing(folder)[0]
    except OSError as error:
        raise InputError(f"{folder}: expected a folder of images; {error.strerror}") from None


def _image(path: Path, pixels: int) -> Pixels | None:
    """Read one image as uint8 (3, pixels, pixels); None where it cannot be."""
    try:
        image = read(path)
    except ValueError:
        return None
    if image.size != (pixels, pixels):
        image = image.resize((pixels, pixels), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


def _digest(*splits: Split) -> str:
    found = hashlib.sha256()
    for split in splits:
        found.update(split.images.numpy().data)
        found.update(split.labels.numpy().data)
    return found.hexdigest()
