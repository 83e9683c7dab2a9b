"""What is printed to a terminal: text from files is shown as it is spelled, and does nothing to the terminal.

    say("a line")                    to the standard output; say(.., err=True) to the standard error
    console().print(table)           by rich, whose own colours are the only ones

A reason in a journal, a file's name or a network's name may hold escape sequences, which move the cursor, hide text or retitle
the window, or rich's markup. Control characters are written as Python writes them, \\x1b for one, and markup is not read.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

__all__ = ["console", "printable", "say"]

# C0 but for tab and newline, C1, and what reorders or hides text: marks and overrides of direction, spaces without width.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def printable(text: str) -> str:
    """Give a text with its control characters spelled out, tabs and newlines excepted."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(text: str, *, err: bool = False) -> None:
    """Print a line."""
    click.echo(printable(text), err=err)


def console(**options: Any) -> Console:
    """Make a console of rich's; rich is imported here.

    Args:
        options: of `rich.console.Console`.
    """
    return safe_console()(**{"highlight": False, **options, "markup": False, "emoji": False})


@cache
def safe_console() -> type[Console]:
    """The class of such a console."""
    from rich.console import Console
    from rich.segment import Segment

    class Safe(Console):
        """Spells out control characters in whatever is rendered; rich's own are none of its text."""

        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

    return Safe
