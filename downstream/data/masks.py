"""Masks of COCO's objects, measured as they are written: polygons, and run lengths column by column, also in COCO's text form.

`pycocotools` is not asked: it takes four numbers for a box, and damaged run lengths for memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Measured", "is_number", "measure", "overlap"]

Box = tuple[float, float, float, float]
LARGEST = 10**9
"""Pixels: what is larger is no coordinate, and may be too large for a float."""


@dataclass(frozen=True)
class Measured:
    """What a mask covers.

    Attributes:
        box: (left, top, width, height) around it.
        area: in pixels; of polygons the sum over the pieces.
        short: pieces of a polygon with fewer than three points, which cover nothing.
    """

    box: Box
    area: float
    short: int = 0


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number that may be a coordinate: neither text, true, NaN nor too large."""
    return type(value) in (int, float) and -LARGEST < value < LARGEST


def measure(mask: Any, height: int, width: int) -> Measured:
    """Measure the ``segmentation`` of an object on an image of this size.

    Raises:
        ValueError: no mask; says what was expected.
    """
    if isinstance(mask, dict):
        return _measured_runs(mask, height, width)
    if not isinstance(mask, list) or not mask or not all(isinstance(piece, list) for piece in mask):
        raise ValueError("a mask of polygons [[x1, y1, x2, y2, ...], ...] or of run lengths")
    for piece in mask:
        if len(piece) % 2 or not all(map(is_number, piece)):
            raise ValueError("polygons of numbers x1, y1, x2, y2, ...")
    pieces = [piece for piece in mask if len(piece) >= 6]
    if not pieces:
        if len(mask) >= 3 and all(len(piece) == 2 for piece in mask):
            raise ValueError("polygons of numbers x1, y1, x2, y2, ..., not of points")
        return Measured((0.0, 0.0, 0.0, 0.0), 0.0, len(mask))
    left, right = _ends(piece[0::2] for piece in pieces)
    top, bottom = _ends(piece[1::2] for piece in pieces)
    if left < -width or right > 2 * width or top < -height or bottom > 2 * height:
        raise ValueError("polygons within their image")
    if min(left, top) >= 0 and max(right, bottom) <= 1 < max(width, height):
        raise ValueError("polygons in pixels, not in shares of the image")
    return Measured((left, top, right - left, bottom - top), sum(map(_area, pieces)), len(mask) - len(pieces))


def overlap(one: Box, other: Box) -> float:
    """Give the intersection of two boxes divided by their union, 0 where neither has an area."""
    sides = [max(0.0, min(one[k] + one[k + 2], other[k] + other[k + 2]) - max(one[k], other[k])) for k in (0, 1)]
    shared = sides[0] * sides[1]
    union = one[2] * one[3] + other[2] * other[3] - shared
    return shared / union if union > 0 else 0.0


def _ends(values: Iterable[list[float]]) -> tuple[float, float]:
    ends = [(min(some), max(some)) for some in values]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _area(piece: list[float]) -> float:
    """The shoelace formula."""
    xs, ys = piece[0::2], piece[1::2]
    return abs(math.fsum(x * v - u * y for x, y, u, v in zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True))) / 2


def _measured_runs(mask: dict[str, Any], height: int, width: int) -> Measured:
    counts, size = mask.get("counts"), mask.get("size")
    if size != [height, width]:
        raise ValueError("run lengths with the size of their image, [height, width]")
    runs = list(_runs(counts)) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs) or sum(runs) != height * width:
        raise ValueError("run lengths that cover their image once")
    begin, area, boxes = 0, 0, list[tuple[int, int, int, int]]()
    for place, run in enumerate(runs):
        end = begin + run
        if place % 2 and run:  # every second run is of the object
            area += run
            first, last = begin // height, (end - 1) // height
            rows = (begin % height, (end - 1) % height) if first == last else (0, height - 1)
            boxes.append((first, rows[0], last, rows[1]))
        begin = end
    if not boxes:
        return Measured((0.0, 0.0, 0.0, 0.0), 0.0)
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes) + 1, max(box[3] for box in boxes) + 1
    return Measured((left, top, right - left, bottom - top), area)


def _runs(text: str) -> Iterator[int]:
    """Read COCO's text form: characters of five bits, lowest first, from the fourth number on as differences to the last but one.

    Raises:
        ValueError: other characters, or the text ends within a number.
    """
    before, value, shift = list[int](), 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError("run lengths in COCO's text form")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        if len(before) > 2:
            value += before[-2]
        before.append(value)
        value, shift = 0, 0
    if shift:
        raise ValueError("run lengths in COCO's text form")
    yield from before
