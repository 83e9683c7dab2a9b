"""An SVG picture held against what it must be: boxes that do not overlap, texts that stand within theirs and clear of others.

Widths of texts are measured in DejaVu Sans, the widest of the fonts that a picture asks for; matplotlib brings it.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
from PIL import ImageFont

SVG = "{http://www.w3.org/2000/svg}"
_SLACK = 1.0  # pixels


@cache
def _font(bold: bool) -> Any:
    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), 100)


def _extent(text: ElementTree.Element) -> tuple[float, float]:
    """From where to where a text reaches."""
    x, size = float(text.get("x", 0)), float(text.get("font-size", 12))
    width = _font(int(text.get("font-weight", 400)) >= 600).getlength(text.text or "") * size / 100
    left = {"start": x, "middle": x - width / 2, "end": x - width}[text.get("text-anchor", "start")]
    return left, left + width


def _line(path: str) -> list[tuple[float, float]]:
    """Points of an edge, close to each other."""
    points: list[tuple[float, float]] = []
    for step, numbers in re.findall(r"([MVC])([^MVC]*)", path):
        values = [float(number) for number in numbers.split()]
        if step == "M":
            points.append((values[0], values[1]))
            continue
        x, y = points[-1]
        x1, y1, x2, y2, x3, y3 = (x, y, x, values[0], x, values[0]) if step == "V" else values
        for t in (n / 40 for n in range(1, 41)):
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            points.append((a * x + b * x1 + c * x2 + d * x3, a * y + b * y1 + c * y2 + d * y3))
    return points


def _apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two rectangles (left, top, right, bottom) do not overlap."""
    return min(one[2], other[2]) - max(one[0], other[0]) <= _SLACK or min(one[3], other[3]) - max(one[1], other[1]) <= _SLACK


def faults(svg: str) -> list[str]:
    """What is wrong with a picture, a line each.

    Texts that leave their box, their panel or the page, boxes that overlap; names of patterns and labels of edges that stand on
    each other or on a box, labels that stand on an edge.
    """
    root = ElementTree.fromstring(svg)
    left, _, wide, _ = map(float, root.get("viewBox", "").split())
    found: list[str] = []
    boxes: list[tuple[str, float, float, float, float]] = []
    free: list[tuple[str, float, float, float, float]] = []  # names and labels, which stand beside boxes
    labels: list[tuple[str, float, float, float, float]] = []
    edges: list[tuple[float, float]] = []

    def visit(element: ElementTree.Element, dx: float, dy: float, panel: tuple[float, float]) -> None:
        rects = [child for child in element if child.tag == f"{SVG}rect"]
        groups = [child for child in element if child.tag == f"{SVG}g"]
        texts = [child for child in element if child.tag == f"{SVG}text"]
        widest = max(rects, key=lambda rect: float(rect.get("width", "0").strip("%")), default=None)
        frame = widest if not groups or (widest is not None and "un-panel" in widest.get("class", "")) else None
        for path in element:
            if path.get("class") == "un-edge":
                edges.extend((x + dx, y + dy) for x, y in _line(path.get("d", "")))
        if frame is not None and "un-panel" in frame.get("class", ""):
            panel = float(frame.get("x", 0)) + dx, float(frame.get("x", 0)) + float(frame.get("width", 0)) + dx
        for text in texts:
            start, end = _extent(text)
            if start + dx < panel[0] - _SLACK or end + dx > panel[1] + _SLACK:
                found.append(f"{text.text!r} leaves its panel by {max(panel[0] - start - dx, end + dx - panel[1]):.1f} px")
            if "un-halo" in text.get("class", ""):
                y, size = float(text.get("y", 0)) + dy, float(text.get("font-size", 12))
                free.append((text.text or "", start + dx, y - 0.75 * size, end + dx, y + 0.2 * size))
                if "un-soft" in text.get("class", ""):
                    labels.append(free[-1])
            if start + dx < left - _SLACK or end + dx > left + wide + _SLACK:
                found.append(f"{text.text!r} leaves the page")
            if frame is not None and element is not root:
                x, width = float(frame.get("x", 0)), float(frame.get("width", 0))
                if start < x - _SLACK or end > x + width + _SLACK:
                    found.append(f"{text.text!r} leaves its box by {max(x - start, end - x - width):.1f} px")
        if frame is not None and not groups and element is not root:
            x, y, width, height = (float(frame.get(name, 0)) for name in ("x", "y", "width", "height"))
            boxes.append((" ".join(t.text or "" for t in texts), x + dx, y + dy, x + dx + width, y + dy + height))
        for group in groups:
            move = re.fullmatch(r"translate\((\S+) (\S+)\)", group.get("transform", ""))
            assert move is not None
            visit(group, dx + float(move[1]), dy + float(move[2]), panel)

    visit(root, 0.0, 0.0, (left, left + wide))
    for (one, *first), (other, *second) in [*combinations(boxes, 2), *combinations(free, 2), *product(free, boxes)]:
        if not _apart(tuple(first), tuple(second)):
            found.append(f"{one!r} and {other!r} overlap")
    for label, x1, y1, x2, y2 in labels:
        if any(x1 + _SLACK < x < x2 - _SLACK and y1 < y < y2 for x, y in edges):
            found.append(f"{label!r} stands on an edge")
    assert boxes
    return found
