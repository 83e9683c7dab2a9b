"""Who is told of a search while it runs: of every record that the journal gets, and of the figures on the way.

An observer changes nothing: the same search without one leaves the same journal. Ray's metrics are one
(`search.distributed.ray_metrics`); a search on another pool has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol, final

from search.monitor.progress import State


class Observer(Protocol):
    """Told by the driver, in its own thread; returns soon and never raises."""

    def recorded(self, record: Mapping[str, Any]) -> None:
        """Take in a record of a candidate or of a rescored finalist that the journal has just got."""
        ...

    def updated(self, state: State) -> None:
        """Take in the figures of the running phase, whenever they may have changed: several times a second."""
        ...


@final
class Nobody:
    """The observer that is not there."""

    def recorded(self, record: Mapping[str, Any]) -> None:
        """Do nothing."""

    def updated(self, state: State) -> None:
        """Do nothing."""


NOBODY = Nobody()

CAUSES = ("out of memory", "deadline", "quarantined", "not finite", "error", "no score")
"""Into what `cause` sorts the reasons of failures."""


def cause(reason: str) -> str:
    """Sort a failure's reason, which is free text, into one of `CAUSES`, so that failures can be counted by it.

    "error" is anything that Python raised; "no score" is what every proxy refused, each with its own words.
    """
    if "out of memory" in reason:
        return "out of memory"
    for name in ("deadline", "quarantined"):
        if reason.startswith(name):
            return name
    if "non-finite value" in reason:
        return "not finite"
    return "error" if re.match(r"\w*(Error|Exception)\b", reason) else "no score"
