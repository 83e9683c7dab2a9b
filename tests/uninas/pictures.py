"""An SVG picture held against what it must be: boxes that do not overlap, texts that stand within theirs.

Widths of texts are measured in DejaVu Sans, the widest of the fonts that a picture asks for; matplotlib brings it.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import combinations
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


def faults(svg: str) -> list[str]:
    """What is wrong with a picture, a line each: texts that leave their box or the page, boxes that overlap."""
    root = ElementTree.fromstring(svg)
    left, _, wide, _ = map(float, root.get("viewBox", "").split())
    found: list[str] = []
    boxes: list[tuple[str, float, float, float, float]] = []

    def visit(element: ElementTree.Element, dx: float, dy: float) -> None:
        rects = [child for child in element if child.tag == f"{SVG}rect"]
        groups = [child for child in element if child.tag == f"{SVG}g"]
        texts = [child for child in element if child.tag == f"{SVG}text"]
        widest = max(rects, key=lambda rect: float(rect.get("width", "0").strip("%")), default=None)
        frame = widest if not groups or (widest is not None and "un-panel" in widest.get("class", "")) else None
        for text in texts:
            start, end = _extent(text)
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
            visit(group, dx + float(move[1]), dy + float(move[2]))

    visit(root, 0.0, 0.0)
    for (one, x1, y1, x2, y2), (other, u1, v1, u2, v2) in combinations(boxes, 2):
        if min(x2, u2) - max(x1, u1) > _SLACK and min(y2, v2) - max(y1, v1) > _SLACK:
            found.append(f"{one!r} and {other!r} overlap")
    assert boxes
    return found
