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
    train, judged, notes = _read(str(folder.resolve()), classes, pixels, per_class, held_out)
    return ImageFolder(str(folder.resolve()), classes, pixels, per_class, _digest(train, judged), held_out), list(notes)


def load(spec: ImageFolder) -> tuple[Split, Split]:
    """Give the images to train on and those to judge by; they stay in the memory of this process, and are not to be written to.

    Raises:
        InputError: the folder is not the one that was described.
    """
    train, held, _ = _read(spec.folder, spec.classes, spec.pixels, spec.per_class, spec.held_out)
    if _digest(train, held) != spec.digest:
        raise InputError(f"{spec.folder}: expected the images that the run began with; they have changed since")
    return train, held


@functools.lru_cache(maxsize=2)
def _read(
    folder: str, classes: tuple[str, ...], pixels: int, per_class: int | None, held_out: int | None
) -> tuple[Split, Split, tuple[str, ...]]:
    found, notes = [], list[str]()
    for split, most in (("train", per_class), ("held", None)):
        images, labels, unreadable = list[Pixels](), list[int](), list[str]()
        root = _folder_of(Path(folder), "train" if held_out is not None else split)
        for label, name in enumerate(classes):
            names = _listed(root / name)
            if held_out is not None:
                if len(names) <= held_out:
                    raise InputError(
                        f"{root / name}: expected more images than the {held_out} that are held out; got {len(names)}"
                    )
                judge = set(random.Random(name).sample(range(len(names)), held_out))
                names = [file for place, file in enumerate(names) if (place in judge) == (split == "held")]
            if most is not None and len(names) > most:
                names = sorted(random.Random(name).sample(names, most))
            read_before = len(images)
            for file in names:
                pixels_of_it = _image(root / name / file, pixels)
                if pixels_of_it is None:
                    unreadable.append(f"{name}/{file}")
                else:
                    images.append(pixels_of_it)
                    labels.append(label)
            if len(images) == read_before:
                raise InputError(f"{root / name}: expected images that can be read; got none among {len(names)} files")
        if unreadable:
            notes.append(f"{root}: {len(unreadable)} images cannot be read and are left out, the first is {unreadable[0]}")
        found.append(Split(torch.from_numpy(np.stack(images)), torch.tensor(labels)))
    return found[0], found[1], tuple(notes)


def _folder_of(folder: Path, split: str) -> Path:
    places = [folder / name for name in SPLITS[split]]
    place = next((place for place in places if place.is_dir()), None)
    if place is None:
        raise InputError(
            f"{folder}: expected a folder {' or '.join(SPLITS[split])} with one folder of images per class; got none"
        )
    return place


def _classes(folder: Path, split: str) -> list[str]:
    place = _folder_of(folder, split)
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
