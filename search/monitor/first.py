"""Whether the first candidates of a session all failed in one way: then so will the others, and a person should know soon."""

from __future__ import annotations

from typing import final

from search.journal.records import Candidate
from search.monitor.tally import whys


@final
class First:
    """Looks at so many records, the first of a session.

    Args:
        count: how many; none are looked at where it is 0.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._seen = 0
        self._common: set[str] | None = None
        self._reason = ""

    def add(self, record: Candidate) -> None:
        """Take in one record; those behind the first are passed over."""
        if self._seen < self._count:
            self._seen += 1
            found = set(whys(record)) if record.status == "failed" else set()
            self._common = found if self._common is None else self._common & found
            self._reason = self._reason or " ".join((record.reason or "").split())[:300]

    @property
    def hopeless(self) -> bool:
        """Whether all of them are seen, and share a reason why they failed."""
        return 0 < self._count == self._seen and bool(self._common)

    @property
    def said(self) -> str:
        """What to tell a person: how many, the reasons that all share, and the first one's in full."""
        shared = ", ".join(sorted(self._common or ()))
        return f"expected a score of at least one of the first {self._seen} candidates; all failed ({shared}): {self._reason}"
