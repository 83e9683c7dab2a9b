"""Attributes of operations: their values, how they are printed, and readers that check them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from uninas.errors import InputError

Value = int | bool | str | float | Fraction


@dataclass(frozen=True)
class Attribute:
    """One attribute of an operation: its name, default (None: required), reader from text.

    `since` is the version of the file format from which on another value than the default can be written.
    """

    name: str
    default: Value | None
    read: Callable[[str], Value]
    since: int = 1


def print_value(value: Value) -> str:
    """Return the text of a value, as the readers read it: a float as its shortest plain decimals, never with an exponent."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"{Decimal(text):f}" if isinstance(value, float) and "e" in text else text


def integer_reader(low: int, high: int) -> Callable[[str], Value]:
    """Make a reader of an integer within bounds."""

    def read(text: str) -> Value:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise InputError(f"expected an integer from {low} to {high}, got {text[:40]!r}")
        return int(text)

    return read


def read_boolean(text: str) -> Value:
    """Read true or false."""
    if text not in ("true", "false"):
        raise InputError(f"expected true or false, got {text[:40]!r}")
    return text == "true"


def read_ratio(text: str) -> Value:
    """Read a positive ratio such as 4 or 1/4."""
    if not re.fullmatch(r"[1-9][0-9]{0,6}(/[1-9][0-9]{0,6})?", text):
        raise InputError(f"expected a positive ratio such as 4 or 1/4, got {text[:40]!r}")
    return Fraction(text)


def read_groups(text: str) -> Value:
    """Read a number of groups, or depthwise."""
    return "depthwise" if text == "depthwise" else integer_reader(1, 65536)(text)


def read_padding(text: str) -> Value:
    """Read a number of pixels, below zero for a window that begins inside of the map, or same."""
    if text == "same":
        return text
    if re.fullmatch(r"-[1-9][0-9]?", text) and int(text) > -64:
        return int(text)
    return integer_reader(0, 500)(text)


def choice_reader(*known: str) -> Callable[[str], Value]:
    """Make a reader of one of some words."""

    def read(text: str) -> Value:
        if text not in known:
            raise InputError(f"expected one of {', '.join(known)}, got {text[:40]!r}")
        return text

    return read


def read_probability(text: str) -> Value:
    """Read a probability from 0 to below 1, of up to 24 decimals."""
    # Of seventeen nines and more the nearest float is 1.
    if not re.fullmatch(r"0(\.[0-9]{1,24})?", text) or float(text) >= 1:
        raise InputError(f"expected a probability from 0 to below 1, as up to 24 plain decimals, got {text[:40]!r}")
    return float(text)
