"""The layouts of COCO and ADE20K on disk: every image and every mask of labels is looked at before a training begins.

    notes = check_images(data / "train2017", found.pictures)
    notes = check_pairs(data / "images/training", data / "annotations/training", 150)

Annotations are of stored pixels, or of pixels as EXIF turns them: nobody can tell which, so images that EXIF turns are rejected.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from downstream.data.findings import Findings
from uninas.errors import InputError
from uninas.files.pictures import SUFFIXES, Header, is_image, load, of_other_kinds, open_image, probe

__all__ = ["check_images", "check_pairs", "pairs"]

LABELS = {"PNG": (".png",), "TIFF": (".tif", ".tiff"), "BMP": (".bmp",)}
"""Pillow's name of a format -> its suffixes: formats that keep labels. JPEG, WebP and GIF change values, PGM scales them."""

NONE = 255
"""The value of a pixel without a label, besides 0."""

_UPRIGHT = "images that EXIF does not turn, because their annotations may be of either"


def check_images(folder: Path, pictures: Sequence[tuple[str, int, int]]) -> tuple[str, ...]:
    """Check the images that a file of annotations names: file name, height, width.

    Returns:
        What the user should know, a line each.

    Raises:
        InputError: images that cannot be read, of another size, or turned by EXIF.
    """
    found = Findings(folder)
    paths = [folder / name for name, _, _ in pictures]
    for (name, height, width), header in zip(pictures, _readable(paths), strict=True):
        if (header.height, header.width) != (height, width):
            expected = "images of the size in the annotations, height x width"
            found.reject(expected, name, f"{header.height}x{header.width}, not {height}x{width}", text=True)
        if header.turned:
            found.reject(_UPRIGHT, name, "an EXIF orientation", text=True)
    named = {name for name, _, _ in pictures}
    for name in sorted(entry.name for entry in os.scandir(folder) if is_image(entry.name)):
        if name not in named:
            found.note("images are not in the annotations and left out", name)
    return found.settle()


def pairs(images: Path, labels: Path) -> tuple[list[tuple[Path, Path]], tuple[str, ...]]:
    """Find the images below a folder and the masks of the same names below another.

    Returns:
        (image, mask) sorted by image; and what is left out, a line each.

    Raises:
        InputError: no images, images without a mask, or two files of one name.
    """
    found = Findings(images)
    suffixes = [suffix for some in LABELS.values() for suffix in some]
    pictures, others = _by_stem(images, is_image)
    masks, strange = _by_stem(labels, lambda name: os.path.splitext(name)[1].lower() in suffixes)
    for where, files in ((images, pictures), (labels, masks)):
        for stem, paths in files.items():
            if len(paths) > 1:
                raise InputError(f"{where}: expected one file called {stem}; got {', '.join(path.name for path in paths)}")
    if not pictures:
        raise InputError(f"{images}: expected images ({', '.join(SUFFIXES)}); got none")
    for stem, paths in pictures.items():
        if stem not in masks:
            found.reject(f"a mask ({', '.join(suffixes)}) in {labels} for each image", paths[0].name, "none", text=True)
    for stem, paths in masks.items():
        if stem not in pictures:
            found.note(f"masks in {labels} have no image and are left out", paths[0].name)
    notes = [f"{where}: {of_other_kinds(len(some), some[0])}" for where, some in ((images, others), (labels, strange)) if some]
    notes += found.settle()
    return sorted((paths[0], masks[stem][0]) for stem, paths in pictures.items()), tuple(notes)


def check_pairs(images: Path, labels: Path, classes: int) -> tuple[str, ...]:
    """Check images and masks, whose values are 1 to `classes`, 0 or 255 for no label.

    Returns:
        What the user should know, a line each.

    Raises:
        InputError: as `pairs`; images that cannot be read or are turned by EXIF, masks that do not fit.
    """
    both, notes = pairs(images, labels)
    turned = Findings(images)
    headers = _readable([image for image, _ in both])
    for (image, _), header in zip(both, headers, strict=True):
        if header.turned:
            turned.reject(_UPRIGHT, image.name, "an EXIF orientation", text=True)
    turned.settle()
    looks = [(mask, (header.height, header.width), classes) for (_, mask), header in zip(both, headers, strict=True)]
    faults = [(look[0], fault) for look, fault in zip(looks, _each(_labels_fault, looks), strict=True) if fault]
    if faults:
        others = f"; {len(faults)} of {len(both)} masks do not fit" if len(faults) > 1 else ""
        raise InputError(f"{faults[0][0]}: {faults[0][1]}{others}")
    return notes


def _by_stem(folder: Path, wanted: Callable[[str], bool]) -> tuple[dict[str, list[Path]], list[str]]:
    """Give the wanted files below a folder by their path without a suffix, and the names of the others."""
    found, others = dict[str, list[Path]](), list[str]()
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(root, name)
            if wanted(name):
                found.setdefault(str(path.relative_to(folder).with_suffix("")), []).append(path)
            else:
                others.append(name)
    return found, others


def _readable(paths: Sequence[Path]) -> list[Header]:
    """Read all images once. Raises InputError: for those that cannot be."""
    found = _each(_probed, [(path,) for path in paths])
    bad = [(path, one) for path, one in zip(paths, found, strict=True) if isinstance(one, str)]
    if bad:
        others = f"; {len(bad)} of {len(paths)} images cannot" if len(bad) > 1 else ""
        raise InputError(f"{bad[0][0]}: expected an image; it cannot be read ({bad[0][1]}){others}")
    return found


def _each(look: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> list[Any]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow decodes outside of Python's lock
        return list(pool.map(lambda some: look(*some), arguments))


def _probed(path: Path) -> Header | str:
    try:
        return probe(path)
    except ValueError as error:
        return str(error)


def _labels_fault(path: Path, sides: tuple[int, int], classes: int) -> str | None:
    """Say what is wrong with a mask for an image of `sides`, (H, W); None where nothing is."""
    try:
        with open_image(path) as image:
            image.verify()  # the checksums of a PNG, which reading alone does not look at
        with open_image(path) as image:
            kept = image.format in LABELS and image.info.get("compression") not in ("jpeg", "webp")
            if not kept:
                kind = image.info.get("compression", image.format) if image.format in LABELS else image.format
                return f"expected labels in a format that keeps them ({', '.join(LABELS)}); got {kind}"
            if _scaled(path, image):
                return "expected labels of 8 or 16 bits; got fewer, which are scaled when they are read"
            turned, values = load(image), numpy.asarray(image)
    except Exception as error:  # for a damaged file Pillow raises nearly anything
        return (
            f"expected a mask of labels; it cannot be read ({error if isinstance(error, ValueError) else type(error).__name__})"
        )
    if turned:
        return "expected a mask that EXIF does not turn; got an EXIF orientation"
    if values.shape != sides:
        wanted, got = ("x".join(map(str, shape)) for shape in (sides, values.shape))
        return f"expected one class per pixel of its image, {wanted}; got {got}"
    if values.dtype.kind == "f":
        return "expected labels that are whole numbers; got fractions"
    smallest, largest = int(values.min()), int(values.max(where=values != NONE, initial=0))
    if smallest < 0 or largest > classes:
        wrong = smallest if smallest < 0 else largest
        return f"expected classes from 1 to {classes}, and 0 or {NONE} for none; got {wrong}"
    return None


def _scaled(path: Path, image: Image.Image) -> bool:
    """Whether Pillow scales the values to 8 bits: greys of 2 or 4 bits."""
    if image.format == "PNG":
        with path.open("rb") as file:
            depth, kind = file.read(26)[24:26]
        return kind == 0 and depth in (2, 4)
    bits = image.tag_v2.get(258, (8,)) if image.format == "TIFF" else (8,)  # type: ignore[attr-defined]
    return image.mode == "L" and bits[0] in (2, 4)
