"""Records of how a search ends: that its space has no more, who the finalists are, with whom they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from search.journal.values import mapping, phase_of


@final
@dataclass(frozen=True, slots=True)
class Exhausted:
    """A finite space was seen whole: a phase is complete with so many candidates, however many evaluations it was given."""

    phase: str
    candidates: int

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {"kind": "exhausted", "phase": self.phase, "candidates": self.candidates}

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Exhausted:
        """Read what `as_dict` gave."""
        return Exhausted(phase_of(data), data["candidates"])


@final
@dataclass(frozen=True, slots=True)
class Controls:
    """With whom the finalists are compared on held-out seeds, once a search has so many candidates.

    Attributes:
        candidates: of the search, when this was written; after an extension there is another such line.
        digests: by name ("start", "random", or a preset's) those of the networks.
        left_out: by name, why there is none.
        scorings: on held-out seeds, of all that is compared.
    """

    candidates: int
    digests: Mapping[str, str]
    left_out: Mapping[str, str]
    scorings: int

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        names = {"digests": dict(self.digests), "left_out": dict(self.left_out)}
        return {"kind": "controls", "candidates": self.candidates, **names, "scorings": self.scorings}

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Controls:
        """Read what `as_dict` gave."""
        return Controls(data["candidates"], mapping(data, "digests"), mapping(data, "left_out"), data["scorings"])


@final
@dataclass(frozen=True, slots=True)
class Finalists:
    """Who is scored on held-out seeds, where the algorithm's model chose some of them, once a search has so many candidates.

    Written before they are scored, so that a resume and a report need no model to know them.

    Attributes:
        candidates: of the search, when this was written; after an extension there is another such line.
        indices: of the finalists among them.
    """

    candidates: int
    indices: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {"kind": "finalists", "candidates": self.candidates, "indices": list(self.indices)}

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Finalists:
        """Read what `as_dict` gave."""
        return Finalists(data["candidates"], tuple(int(index) for index in data["indices"]))
