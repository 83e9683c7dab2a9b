"""A resume goes on with the code that scored the run, or is told to go on with another; the journal keeps which scored what.

The header of a journal says by which code its candidates are scored, and a record of kind "code" by which those behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from search.journal.journal import Journal
from search.journal.records import Header
from search.workers.scoring_code import ScoringCode
from uninas.errors import InputError

__all__ = ["ScoredBy", "said_of"]

ABOUT = "code"
"""The key of a journal's header."""

CURE = "resume with the version that began it, or begin a new run"
"""What to do about other code, beside accepting it."""


def said_of(record: Header | ScoringCode) -> ScoringCode | None:
    """Give what a record says of the code that scores the candidates behind it; None of a header from before it was recorded."""
    if isinstance(record, ScoringCode):
        return record
    said = record.about.get(ABOUT)
    return None if said is None else ScoringCode.parse(said)


@final
class ScoredBy:
    """What the journal of a run says of the code that scored it, and whether that is the code of now.

    Args:
        now: the code of this process.
        accepted: whether to go on with it whatever scored the run.
    """

    def __init__(self, now: ScoringCode, *, accepted: bool) -> None:
        self._now = now
        self._accepted = accepted
        self._before: ScoringCode | None = now  # of a journal that begins now

    @property
    def about(self) -> dict[str, Any]:
        """Give what the header of a new journal has."""
        return {ABOUT: self._now.about()}

    def read(self, record: Header | ScoringCode) -> None:
        """Take in what the journal says."""
        self._before = said_of(record)

    def settle(self, journal: Journal, *, where: object, scored: bool, note: Callable[[str], None], cure: str = CURE) -> None:
        """Compare, before anything is scored, and write down what scores from here on.

        Args:
            journal: of the run.
            where: what a person calls the run.
            scored: whether the run has scores that are kept beside the new ones.
            cure: what to do other than accept, for the message.
            note: called with what a person should know.

        Raises:
            InputError: the code is another, and that is not accepted.
        """
        before, now = self._before, self._now
        if before == now:
            return
        changes = [] if before is None or not scored else now.changes(before)
        if changes and not self._accepted:
            raise InputError(
                f"{where}: expected the code that scored this run, for scores of another are not comparable; "
                f"{'; '.join(changes)}: {cure}, or go on all the same with --accept-changes"
            )
        if changes:
            note(f"warning: {'; '.join(changes)}: scores from here on may differ from those before")
        elif before is None and scored:
            note(f"{where}: was begun before the scoring code was recorded, so it cannot be checked; recorded from here on")
        elif before is not None and before.version != now.version:
            note(f"uninas is {now.version} now and was {before.version}; what decides these scores is the same")
        journal.append(now)
        self._before = now
