"""What a check finds in the entries of a file or a folder: kinds of faults, each with its count and its first place."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

from uninas.errors import InputError

__all__ = ["Findings"]


class Findings:
    """The findings of one check.

    Args:
        where: the file or the folder that is checked, for the messages.
    """

    def __init__(self, where: Path) -> None:
        self._where = where
        self._wrong: dict[str, tuple[int, str]] = {}
        self._notes: dict[str, tuple[int, str]] = {}

    def reject(self, expected: str, place: str, got: Any, *, text: bool = False) -> None:
        """Add a fault that makes results wrong: what was expected, in which entry, and what it has; `text` says it in words."""
        count, first = self._wrong.get(expected) or (0, f"{place}: {got if text else reprlib.repr(got)}")
        self._wrong[expected] = count + 1, first

    def note(self, text: str, place: str) -> None:
        """Add something that the user should know: repaired, left out, or in doubt."""
        count, first = self._notes.get(text) or (0, place)
        self._notes[text] = count + 1, first

    def count(self, text: str) -> int:
        """Give how often a note was added."""
        return self._notes.get(text, (0, ""))[0]

    def settle(self) -> tuple[str, ...]:
        """Give the notes, a line each.

        Raises:
            InputError: something was rejected; all its kinds are in the message.
        """
        if self._wrong:
            kinds = (
                f"expected {expected}; {count} {'is' if count == 1 else 'are'} otherwise, the first is {first}"
                for expected, (count, first) in self._wrong.items()
            )
            raise InputError(f"{self._where}: {'; '.join(kinds)}")
        return tuple(f"{self._where}: {count} {text}, the first is {first}" for text, (count, first) in self._notes.items())
