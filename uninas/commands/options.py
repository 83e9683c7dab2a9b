"""Option types that several commands share."""

from __future__ import annotations

import math
import re
from typing import Any

import click


class Size(click.ParamType):  # type: ignore[type-arg]
    """An input size: H, or HxW, in pixels."""

    name = "H[xW]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return (height, width); fail with what was expected and what was given."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", str(value))
        if match is None or not int(match[1]) or not int(match[2] or match[1]):
            self.fail(f"expected a size such as 224 or 800x1280 (height x width), got {str(value)[:40]!r}", param, ctx)
        return int(match[1]), int(match[2] or match[1])


class Number(click.FloatRange):
    """A finite number within a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fail with what was expected and what was given."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"expected a finite number, got {str(value)[:40]!r}", param, ctx)
        return number
