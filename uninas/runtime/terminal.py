"""What is printed to a terminal: text from files is shown as it is spelled, and does nothing to the terminal.

    ready()                          once, before a command prints: any encoding, and closed streams
    say("a line")                    to the standard output; say(.., err=True) to the standard error
    console().print(table)           by rich, whose own colours are the only ones

A reason in a journal, a file's name or a network's name may hold escape sequences, which move the cursor, hide text or retitle
the window, or rich's markup. Control characters are written as Python writes them, \\x1b for one, and markup is not read.

A terminal or pipe need not be UTF-8: ISO 8859-1 has no arrow, ASCII no multiplication sign. What the encoding lacks is written
in plain characters.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import select
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

__all__ = ["console", "printable", "ready", "say", "unread"]

# C0 but for tab and newline, C1, and what reorders or hides text: marks and overrides of direction, spaces without width. Also
# halves of a pair, which no encoding has: Python keeps the bytes of a file's name that are not UTF-8 as such.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")

_PLAIN = {
    **{"×": "x", "÷": "/", "·": ".", "−": "-", "–": "-", "—": "-", "→": ">", "←": "<", "≤": "<=", "≥": ">=", "±": "+-"},
    **{"’": "'", "‘": "'", "“": '"', "”": '"', "█": "#", "▲": "^", "τ": "tau", "ρ": "rho", "ℵ": "aleph"},
}
"""Stand-ins for what we print. What stands in columns has one character, so that the columns stay."""

_KEEPING = "uninas-plain"
"""How a stream encodes what its encoding lacks: by `_plain`."""

_ASCII = "uninas-ascii"
"""ASCII by another name: click takes a stream called ASCII for a mistake, and writes UTF-8 to it."""


def printable(text: str) -> str:
    """Give a text with its control characters spelled out, tabs and newlines excepted."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def ready() -> None:
    """Make the standard streams take whatever is printed.

    What the encoding of a stream lacks is replaced by plain characters. A closed stream leads nowhere, and its number is
    taken: the next file that is opened, a journal, would get it, and with it whatever a library prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            kind = "r" if name == "stdin" else "w"
            setattr(sys, name, open(nowhere, kind, encoding="utf-8", closefd=False))  # noqa: SIM115 for as long as the process
    codecs.register_error(_KEEPING, _plain)
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper) or stream.errors in ("ignore", "replace", "xmlcharrefreplace", "namereplace"):
            continue  # not the system's, or the user has said how
        ascii_only = codecs.lookup(stream.encoding).name == "ascii"
        if ascii_only:
            codecs.unregister(_ascii_by_another_name)
            codecs.register(_ascii_by_another_name)
        stream.reconfigure(encoding=_ASCII if ascii_only else None, errors=_KEEPING)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks, as a handler of `codecs`: by the table, by its parts (é by e), or as Python spells it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_stand_in, error.object[error.start : error.end])), error.end


def _stand_in(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    name = unicodedata.name(character, "")
    if name.startswith("BOX DRAWINGS"):
        return {True: "-", False: "|"}["HORIZONTAL" in name] if ("HORIZONTAL" in name) != ("VERTICAL" in name) else "+"
    parts = "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
    return parts if parts and parts.isascii() and parts.isprintable() else character.encode("unicode_escape").decode()


def _ascii_by_another_name(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != _ASCII:
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(
        known.encode,
        known.decode,
        name=_ASCII,
        incrementalencoder=known.incrementalencoder,
        incrementaldecoder=known.incrementaldecoder,
    )


def say(text: str, *, err: bool = False) -> None:
    """Print a line. Where nobody reads the standard error any more, the work goes on without it."""
    try:
        click.echo(printable(text), err=err)
    except BrokenPipeError:
        if not err:
            raise
        _lead_nowhere(sys.stderr)


@contextmanager
def unread() -> Iterator[None]:
    """Allow that the reader of the standard output leaves, as `head` does: what is inside then ends early, and that is no fault.

    A broken pipe to anything else is one.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not _has_no_reader(sys.stdout):
            raise
        _lead_nowhere(sys.stdout)  # for what is still buffered


def _has_no_reader(stream: TextIO) -> bool:
    watch = select.poll()
    try:
        watch.register(stream.fileno(), 0)
    except (OSError, ValueError):  # a stream without a file, as in a notebook
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))


def _lead_nowhere(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def console(**options: Any) -> Console:
    """Make a console of rich's; rich is imported here.

    Args:
        options: of `rich.console.Console`.
    """
    return _safe_console()(**{"highlight": False, **options, "markup": False, "emoji": False})


@cache
def _safe_console() -> type[Console]:
    """The class of such a console."""
    from rich.console import Console
    from rich.segment import Segment

    class Safe(Console):
        """Spells out control characters in whatever is rendered; rich's own are none of its text."""

        def on_broken_pipe(self) -> None:
            """Go on without a standard error that nobody reads; rich would end the process with status 1, a search with it."""
            if not self.stderr:
                raise BrokenPipeError
            self.quiet = True

        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

    return Safe
