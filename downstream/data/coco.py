"""COCO annotations, checked as a whole before OpenMMLab reads them.

    found = check_annotations(Path("instances_train2017.json"), training=True)
    if found.repaired:
        write_repaired(Path("instances_train2017.json"), Path("runs/found.annotations/instances_train2017.json"))

What would make results wrong is rejected, with all its kinds, their counts and the first entries. What is only missing is
repaired, in a copy: `iscrowd` is 0, `bbox` and `area` are those of the mask, annotations get numbers where theirs cannot serve as
ids (nothing refers to them), and pieces of polygons that cover nothing are left out. What OpenMMLab leaves out without a word is
counted and said.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from downstream.data.findings import Findings
from downstream.data.masks import is_number, measure, overlap
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.writing import replacing

__all__ = ["Annotations", "check_annotations", "write_repaired"]

_MOST_BYTES = 4 << 30  # those of COCO itself have 0.5

_PARTS = ("images", "annotations", "categories")
_SMALLEST = 32  # pixels; OpenMMLab's configuration leaves smaller images out of training
_AGREE = 0.5
"""Intersection over union below which a box is not that of its mask."""

_ID = "a whole number from 0 as id of each of"
_AROUND = "boxes [left, top, width, height] around their masks"
_UNTRAINED = "is not trained on, and scored as in COCO"


@dataclass(frozen=True)
class Annotations:
    """A file of annotations that can be used.

    Attributes:
        classes: names, in the order of the file.
        pictures: file name, height and width of each image.
        notes: what was repaired, what is left out, what is in doubt; a line each.
        repaired: whether OpenMMLab needs the copy, see `write_repaired`.
    """

    classes: tuple[str, ...]
    pictures: tuple[tuple[str, int, int], ...]
    notes: tuple[str, ...]
    repaired: bool


def check_annotations(path: Path, *, training: bool) -> Annotations:
    """Check a file, once for each of its states.

    Args:
        path: of the file.
        training: whether it is trained on; else only scored with.

    Raises:
        InputError: no such file, not COCO's format, or entries that make results wrong.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path}: expected COCO annotations; {error.strerror}") from None
    return _checked(path, training, (state.st_mtime_ns, state.st_size))


def write_repaired(path: Path, to: Path) -> None:
    """Write a copy of a file that was checked, with its repairs.

    Raises:
        InputError: the copy cannot be written.
    """
    document = _read(path)
    _Check(path, document, training=True).run()
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with replacing(to) as beside, beside.open("w", encoding="utf-8") as file:
            json.dump(document, file)
    except OSError as error:
        raise InputError(f"{to}: cannot write: {error.strerror or error}") from None


@lru_cache(maxsize=8)
def _checked(path: Path, training: bool, state: tuple[int, int]) -> Annotations:
    return _Check(path, _read(path), training=training).run()


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        document = read_json(path, _MOST_BYTES)
        lacking = [part for part in _PARTS if not isinstance(document, dict) or not isinstance(document.get(part), list)]
        if lacking:
            raise ValueError(f"it has no list of {', '.join(lacking)}")
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: expected COCO annotations with {', '.join(_PARTS)}; {said}") from None
    found: dict[str, list[Any]] = document
    return found


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63  # what numpy holds, in which COCO's scoring keeps ids


def _is_side(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**20


class _Check:
    """One pass over a document, which is repaired in place."""

    def __init__(self, path: Path, document: dict[str, list[Any]], *, training: bool) -> None:
        self._path, self._document, self._training = path, document, training
        self._found = Findings(path)
        self._sizes: dict[int, tuple[int, int] | None] = {}
        self._categories: set[int] = set()
        self._seen: set[int] = set()  # images with annotations
        self._empty: list[dict[str, Any]] = []  # annotations whose mask covers nothing
        self._repaired = path.read_bytes()[:3] == b"\xef\xbb\xbf"  # a byte-order mark, at which OpenMMLab's reader stops
        self._counted, self._boxes, self._apart = 0, 0, 0
        self._first_apart: tuple[str, Any] = ("", None)

    def run(self) -> Annotations:
        images, annotations, categories = (self._document[part] for part in _PARTS)
        names = self._names(categories)
        pictures = self._pictures(images)
        for number, one in enumerate(annotations, 1):
            if isinstance(one, dict):
                self._object(f"annotation number {number}", one)
            else:
                self._found.reject("an object of JSON as each of annotations", f"annotation number {number}", one)
        self._numbers(annotations)
        if self._empty:
            empty = {id(one) for one in self._empty}
            annotations[:] = [one for one in annotations if id(one) not in empty]
        if 2 * self._apart > self._boxes:
            self._found.reject(_AROUND, *self._first_apart)
        if self._training:
            for place, (key, size) in enumerate(self._sizes.items(), 1):
                if key not in self._seen:
                    self._found.note("images without objects are not trained on", f"number {place}")
                elif size is not None and min(size) < _SMALLEST:
                    self._found.note(f"images with a side under {_SMALLEST} pixels are not trained on", f"number {place}")
        notes = self._found.settle()
        if not self._counted:  # crowds are neither trained on nor scored
            raise InputError(f"{self._path}: expected objects that are not crowds; got none")
        return Annotations(tuple(names), tuple(pictures), notes, self._repaired)

    def _names(self, categories: Sequence[Any]) -> list[str]:
        names, found = list[str](), self._found
        for number, one in enumerate(categories, 1):
            place = f"category number {number}"
            entry: dict[str, Any] = one if isinstance(one, dict) else {}
            name: Any = entry.get("name")
            key: Any = entry.get("id")
            if not isinstance(name, str) or not name:
                found.reject("a name in each of categories", place, name)
            elif name in names:
                found.reject("each name of a category once", place, name)
            else:
                names.append(name)
            if not _is_id(key):
                found.reject(f"{_ID} categories", place, key)
            elif key in self._categories:
                found.reject("each id of a category once", place, key)
            else:
                self._categories.add(key)
        return names

    def _pictures(self, images: Sequence[Any]) -> list[tuple[str, int, int]]:
        pictures, files, found = list[tuple[str, int, int]](), set[str](), self._found
        for number, one in enumerate(images, 1):
            place = f"image number {number}"
            entry: dict[str, Any] = one if isinstance(one, dict) else {}
            name: Any = entry.get("file_name")
            key: Any = entry.get("id")
            sides: tuple[Any, Any] = entry.get("height"), entry.get("width")
            fits = all(map(_is_side, sides))
            if not isinstance(name, str) or not name or "\0" in name:
                found.reject("a file_name in each of images", place, name)
            elif name in files:
                found.reject("each file_name once", place, name)
            else:
                files.add(name)
                if fits:
                    pictures.append((name, *sides))
            for title, side in zip(("height", "width"), sides, strict=True):
                if not _is_side(side):
                    found.reject(f"{title} in pixels in each of images", place, side)
            if not _is_id(key):
                found.reject(f"{_ID} images", place, key)
            elif key in self._sizes:
                found.reject("each id of an image once", place, key)
            else:
                self._sizes[key] = sides if fits else None
        return pictures

    def _object(self, place: str, one: dict[str, Any]) -> None:
        found = self._found
        image: Any = one.get("image_id")
        known = _is_id(image) and image in self._sizes
        if not known:
            found.reject("an image_id that is the id of an image", place, image)
        if not (_is_id(one.get("category_id")) and one["category_id"] in self._categories):
            found.reject("a category_id that is the id of a category", place, one.get("category_id"))
        crowd = one.get("iscrowd")
        if crowd is None:
            one["iscrowd"] = crowd = 0
            self._repair("annotations have no iscrowd; it is taken for 0", place)
        elif not (isinstance(crowd, int | float) and crowd in (0, 1)):
            found.reject("iscrowd 0 or 1", place, crowd)
        size = self._sizes[image] if known else None
        if size is None:
            return
        self._seen.add(image)
        height, width = size
        mask = one.get("segmentation")
        if mask in (None, [], {}):
            found.reject("segmentation in each of annotations", place, mask)
            return
        try:
            measured = measure(mask, height, width)
        except ValueError as error:
            found.reject(str(error), place, mask)
            return
        box = one.get("bbox")
        if box is None:
            one["bbox"] = box = list(measured.box)
            self._repair("annotations have no bbox; it is that of the mask", place)
        if one.get("area") is None:
            one["area"] = measured.area
            self._repair("annotations have no area; it is that of the mask", place)
        if not self._box_fits(place, box, width, height):
            return
        if not is_number(one["area"]):
            found.reject("area as a number", place, one["area"])
            return
        if measured.short:
            if isinstance(mask, list) and measured.short < len(mask):
                one["segmentation"] = [piece for piece in mask if len(piece) >= 6]
                self._repair("masks have pieces of fewer than three points, which are left out", place)
            else:  # OpenMMLab's training leaves it out, its scoring takes four numbers for a box
                self._empty.append(one)
                self._repair("objects have a mask of fewer than three points and are left out", place)
                return
        self._counts(place, one, box, size)
        self._boxes += not crowd
        if not crowd and overlap(tuple(box), measured.box) < _AGREE:
            self._first_apart = self._first_apart if self._apart else (place, box)
            self._apart += 1
            found.note(f"boxes are not around their masks (intersection over union under {_AGREE})", place)

    def _box_fits(self, place: str, box: Any, width: int, height: int) -> bool:
        found = self._found
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            found.reject("bbox of four numbers", place, box)
        elif box[2] < 0 or box[3] < 0:
            found.reject("bbox [left, top, width, height] of no negative size", place, box)
        elif min(box) >= 0 and max(box) <= 1 < max(width, height) and box[2] > 0 and box[3] > 0:
            found.reject("bbox in pixels, not in shares of the image", place, box)
        else:
            if min(box[:2]) < -1 or box[0] + box[2] > width + 1 or box[1] + box[3] > height + 1:
                found.note("boxes leave their image", place)
            return True
        return False

    def _counts(self, place: str, one: dict[str, Any], box: Sequence[float], size: tuple[int, int]) -> None:
        """Say which objects OpenMMLab does not train on, by its own rule, and count the others."""
        height, width = size
        across = min(box[0] + box[2], width) - max(box[0], 0)
        down = min(box[1] + box[3], height) - max(box[1], 0)
        if one.get("ignore"):
            self._found.note(f"objects have ignore: each {_UNTRAINED}", place)
        elif across <= 0 or down <= 0 or one["area"] <= 0:
            self._found.note(f"objects have no area within their image: each {_UNTRAINED}", place)
        elif box[2] < 1 or box[3] < 1:
            self._found.note(f"objects have a side under a pixel: each {_UNTRAINED}", place)
        else:
            self._counted += not one["iscrowd"]

    def _numbers(self, annotations: Sequence[Any]) -> None:
        """Check the ids of annotations. COCO's scoring takes 0 for no match, and nothing refers to them."""
        entries = [one for one in annotations if isinstance(one, dict)]
        seen, unfit = set[int | str](), False
        for number, one in enumerate(entries, 1):
            key = one.get("id")
            if isinstance(key, int | str) and not isinstance(key, bool):
                if key in seen:
                    self._found.reject("each id of an annotation once", f"annotation number {number}", key)
                seen.add(key)
            if not _is_id(key) or key == 0:
                unfit = True
                self._repair(
                    "annotations have an id that COCO's scoring does not take; all are numbered anew", f"number {number}"
                )
        if unfit:
            for number, one in enumerate(entries, 1):
                one["id"] = number

    def _repair(self, text: str, place: str) -> None:
        self._repaired = True
        self._found.note(text, place)
