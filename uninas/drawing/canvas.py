"""A sheet to draw on: SVG elements with escaped text, and the styles of every drawing in light and dark.

Colours are written as plain values in classes, and once more under a media query, so that a viewer without CSS
variables or media queries still shows the light drawing. Blue, amber, purple and green of different lightness stay
apart for colour-blind readers, and every box carries its name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"

_BOXES = {  # family: light fill, light stroke, dark fill, dark stroke
    "convolution": ("#dce9f7", "#2a6cb0", "#16324f", "#6fb1ea"),
    "normalisation": ("#e9e9e4", "#84847a", "#2f302d", "#9d9d92"),
    "activation": ("#fdeecb", "#b97f10", "#43320f", "#e3ae45"),
    "attention": ("#ecdff3", "#8548a0", "#3a2646", "#c593dc"),
    "pooling": ("#d6efe5", "#16805f", "#103b2f", "#55c6a4"),
    "merge": ("#ffffff", "#3d4450", "#1d2127", "#c6cad1"),
    "structure": ("#f3f4f6", "#8b919b", "#22262c", "#8b919b"),
}

_MARKS = {  # what a comparison says of a box: light fill, light stroke, dark fill, dark stroke
    "added": ("#cdeed3", "#1a7f37", "#12361d", "#4ac26b"),
    "removed": ("#ffd7d5", "#c0312b", "#4a1816", "#ff7b72"),
    "changed": ("#e2dcff", "#6746d1", "#2b2159", "#a991ff"),
}

_PLAIN = {  # class: property, light, dark
    "un-paper": ("fill", "#ffffff", "#14171b"),
    "un-panel": ("fill", "#fafaf8", "#191d22"),
    "un-ink": ("fill", "#1c2128", "#e6e8eb"),
    "un-soft": ("fill", "#59616c", "#a3abb6"),
    "un-edge": ("stroke", "#6b7380", "#8d96a3"),
    "un-tip": ("fill", "#6b7380", "#8d96a3"),
    "un-rule": ("stroke", "#d8dbe0", "#333a43"),
    "un-track": ("fill", "#e6e8ec", "#2c323a"),
    "un-bar-a": ("fill", "#2a6cb0", "#6fb1ea"),
    "un-bar-b": ("fill", "#b97f10", "#e3ae45"),
    "un-halo": ("stroke", "#fafaf8", "#191d22"),
}


def _style() -> str:
    light, dark = [], []
    for name, (prop, bright, dim) in _PLAIN.items():
        light.append(f".{name}{{{prop}:{bright}}}")
        dark.append(f".{name}{{{prop}:{dim}}}")
    for family, (fill, stroke, dark_fill, dark_stroke) in {**_BOXES, **_MARKS}.items():
        light.append(f".un-{family}{{fill:{fill};stroke:{stroke}}}.un-on-{family}{{fill:{stroke}}}")
        dark.append(f".un-{family}{{fill:{dark_fill};stroke:{dark_stroke}}}.un-on-{family}{{fill:{dark_stroke}}}")
    shapes = (
        f".un-drawing text{{font-family:{FONT};font-variant-numeric:tabular-nums}}"
        f".un-drawing .un-mono{{font-family:{MONO}}}"
        ".un-panel{stroke-width:1}.un-edge{fill:none;stroke-width:1.25}.un-halo{stroke-width:3;paint-order:stroke}"
        ".un-mark{stroke-width:2}"
        ".un-region{fill-opacity:.28;stroke-opacity:.55;stroke-dasharray:3 3}"
    )
    return f"<style>{''.join(light)}{shapes}@media screen and (prefers-color-scheme:dark){{{''.join(dark)}}}</style>"


STYLE = _style()

_UNREPRESENTABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Canvas:
    """Collects SVG elements. Coordinates are pixels from the upper left corner; y grows downward."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, style: str, *, radius: float = 4) -> None:
        """Draw a rectangle with rounded corners, of one or more classes."""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" rx="{radius:g}"'
            f' class="{style}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        style: str = "un-ink",
        *,
        size: float = 12,
        anchor: str = "start",
        bold: int = 0,
    ) -> None:
        """Draw a line of text; `y` is its baseline, `anchor` one of start, middle, end, `bold` a font weight or 0."""
        weight = f' font-weight="{bold}"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}"{weight} class="{style}">'
            f"{escape(clean(text))}</text>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draw a straight line."""
        self._parts.append(f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" class="{style}"/>')

    def edge(self, points: Sequence[tuple[float, float]], *, arrow: bool = True) -> None:
        """Draw a smooth line through points that run downward, with an arrow's tip at the end."""
        (x, y), *rest = points
        path = [f"M{x:.1f} {y:.1f}"]
        for next_x, next_y in rest:
            if abs(next_x - x) < 0.05:
                path.append(f"V{next_y:.1f}")
            else:
                half = (y + next_y) / 2
                path.append(f"C{x:.1f} {half:.1f} {next_x:.1f} {half:.1f} {next_x:.1f} {next_y:.1f}")
            x, y = next_x, next_y
        self._parts.append(f'<path d="{"".join(path)}" class="un-edge"/>')
        if arrow:
            self._parts.append(f'<path d="M{x:.1f} {y:.1f}l-3.2 -5.5h6.4z" class="un-tip"/>')

    def open_group(self, x: float, y: float, title: str = "") -> None:
        """Start a group moved to (x, y), with a tooltip; close it with `close_group`."""
        self._parts.append(f'<g transform="translate({x:.1f} {y:.1f})">')
        if title:
            self._parts.append(f"<title>{escape(clean(title))}</title>")

    def close_group(self) -> None:
        """End the group that was opened last."""
        self._parts.append("</g>")

    def to_svg(self, width: float, height: float, title: str, *, left: float = 0.0) -> str:
        """Return the whole drawing, from x = `left` on, as one SVG document without a reference to anything outside it."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:g} 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
            f' height="{height:.0f}" class="un-drawing" role="img" aria-label={quoteattr(clean(title))}>'
            f"<title>{escape(clean(title))}</title>{STYLE}"
            f'<rect x="{left:g}" width="100%" height="100%" class="un-paper"/>{"".join(self._parts)}</svg>\n'
        )


def clean(text: str) -> str:
    """Return the text without characters that XML 1.0 cannot hold, each replaced by U+FFFD."""
    return _UNREPRESENTABLE.sub("\ufffd", text)


_WIDTHS = {  # of DejaVu Sans, the widest of the fonts in FONT, in units of the size; others are about 0.62
    **dict.fromkeys("ijlI.,|'·:;!", 0.34),
    **dict.fromkeys("frt()[]-/ ", 0.41),
    **dict.fromkeys("ABCDEFHJKLNPRSTUVXYZ&", 0.71),
    **dict.fromkeys("GOQ", 0.79),
    **dict.fromkeys("w+×÷−=<>~→←≤", 0.84),
    **dict.fromkeys("MWm%@…", 0.98),
}


def text_width(text: str, size: float = 12) -> float:
    """Estimate a line's width in pixels, for any sans-serif font; bold letters are a tenth wider."""
    return size * sum(_WIDTHS.get(letter, 0.62) for letter in text)


def wrap(text: str, width: float, size: float, lines: int) -> list[str]:
    """Break a text at spaces into at most `lines` lines of about `width` pixels; an ellipsis stands for the rest."""
    result: list[str] = []
    for word in text.split():
        if result and text_width(f"{result[-1]} {word}", size) <= width:
            result[-1] += f" {word}"
        else:
            result.append(word)
    if len(result) > lines:
        result = result[:lines]
        result[-1] = result[-1].rstrip(" ,") + " …"
    return result
