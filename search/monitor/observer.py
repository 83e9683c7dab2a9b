"""Observers of a running search: they are given every record that the journal gets, and the figures on the way.

An observer changes nothing: the same search without one leaves the same journal. Ray's metrics are one
(`search.distributed.ray_metrics`); a search on another pool has none.
"""

from __future__ import annotations

from typing import Protocol, final

from search.journal.records import Candidate, Rescore
from search.monitor.progress import State


class Observer(Protocol):
    """Called by the driver, in its own thread; returns soon and never raises."""

    def recorded(self, record: Candidate | Rescore) -> None:
        """Take in a record of a candidate or of a rescored finalist that was just appended to the journal."""
        ...

    def updated(self, state: State) -> None:
        """Take in the figures of the running phase, whenever they may have changed: several times a second."""
        ...


@final
class Nobody:
    """The observer that is not there."""

    def recorded(self, record: Candidate | Rescore) -> None:
        """Do nothing."""

    def updated(self, state: State) -> None:
        """Do nothing."""


NOBODY = Nobody()
