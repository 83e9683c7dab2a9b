"""A line of a journal: a JSON object whose last key is a checksum of all before it.

    {"kind":"ask","phase":"search","index":0,"digest":"..","told":0,"crc":"5d70c1e2"}

"crc" is zlib.crc32 of the line's bytes without that key and without the newline, as eight hexadecimal digits: a flipped bit is
found wherever it is. Lines that were written before there was a checksum are read without; they all come before the first with
one, since a journal only grows. Kept apart from the records, so that `uninas diff` can read lines without numpy.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from uninas.errors import InputError

__all__ = ["JournalError", "LineReader", "sealed"]

_KEY, _END = b',"crc":"', b'"}\n'
_DECODE: Callable[[str], tuple[dict[str, Any], int]] = json.JSONDecoder().raw_decode
_TAIL = len(_KEY) + 8 + len(_END)


class JournalError(InputError):
    """The journal cannot be read, locked or written; the message says which file and line, and why."""


def sealed(data: Mapping[str, Any]) -> bytes:
    """Give a line with its checksum.

    Raises:
        ValueError: NaN or infinity, which JSON does not have.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).encode()
    return text[:-1] + _KEY + b"%08x" % zlib.crc32(text) + _END


@final
class LineReader:
    """Reads the lines of one journal in their order.

    Args:
        path: named in messages.

    Attributes:
        number: of the line that was read last, from 1 on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._summed = False  # a line with a checksum was read, so that all after it have one
        self.number = 0

    def read(self, line: bytes) -> dict[str, Any]:
        """Read the next line, newline included; what it says, without the checksum.

        Raises:
            JournalError: it is no JSON object with a kind, or not as it was written. The reader stays where it is.
        """
        where = f"{self._path}, line {self.number + 1}"
        try:
            text = line.decode()
            record, end = _DECODE(text)  # json.loads would first look for the encoding and for blanks: a fifth of its time
            if not text[end:].isspace():
                raise ValueError("more than one value")
            record["kind"]
        except (ValueError, TypeError, KeyError, RecursionError):
            shown = line[:40].decode("utf-8", "replace").strip()
            raise JournalError(f"{where}: expected a journal record (a JSON object); got {shown!r}") from None
        tail, digits = line[-_TAIL:], b"%08x" % zlib.crc32(line[:-_TAIL] + b"}")
        summed = tail.startswith(_KEY) or digits in tail  # a checksum that is right under another name: the name has changed
        if summed and tail != _KEY + digits + _END:
            raise JournalError(
                f"{where}: expected the line as it was written; its checksum says that it was changed since. {_CURE}"
            )
        if self._summed and not summed:
            raise JournalError(f"{where}: expected a line with a checksum, as those before it; it was changed since. {_CURE}")
        if summed:
            self._summed = True
            del record["crc"]
        self.number += 1
        return record


_CURE = "Bring back a copy of the file, or cut it before this line and resume the run"
