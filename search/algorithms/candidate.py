"""What a search algorithm handles: a candidate, a rejection, and the space that makes both.

Nothing here knows what an architecture is. `Candidate.body` is whatever the space needs to mutate the candidate later;
the algorithms only compare digests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from uninas.rejections import Reason


@dataclass(frozen=True, slots=True)
class Candidate:
    """One architecture within the budget, not scored yet.

    Attributes:
        digest: hexadecimal SHA-256 of the canonical text; two candidates with one digest are the same network.
        body: the architecture itself, opaque to the algorithms.
        cost: exact integers of the architecture (params, macs, ...), as the space counts them.
        parent: digest of the candidate this one was made from; None for a start.
        edit: plain JSON data that, applied to the parent, gives this candidate again; None for a start.
        rejected: tries rejected while it was made, by reason, where making it takes several steps.
        alike: digest of what scores see of it; candidates of one such digest are one to a search. None: its own digest.
    """

    digest: str
    body: Any
    cost: Mapping[str, int] = field(default_factory=dict)
    parent: str | None = None
    edit: Mapping[str, Any] | None = None
    rejected: Mapping[str, int] = field(default_factory=dict)
    alike: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A try that gave no candidate: an impossible edit, or a network over the budget. `reason` is what is counted."""

    reason: Reason


class Space(Protocol):
    """Where candidates come from. Every method is a pure function of its arguments; `rng` is the only randomness."""

    def starts(self) -> Sequence[Candidate]:
        """Give the hand-made candidates a search begins with: at least one, each within the budget."""
        ...

    def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
        """Make one try at a neighbour of `parent`."""
        ...

    def sample(self, rng: random.Random) -> Candidate | Rejected:
        """Make one try at a candidate that depends on no other candidate than a start."""
        ...

    def text(self, candidate: Candidate) -> str:
        """Write the candidate as the text a worker builds it from."""
        ...

    def document(self, candidate: Candidate, metadata: Mapping[str, Any]) -> str:
        """Write the candidate as a file for people and other programs; `metadata` describes it and is no part of it."""
        ...

    def replay(self, parent: Candidate, edit: Mapping[str, Any]) -> Candidate:
        """Apply a stored edit to its parent: the same candidate again, without any randomness."""
        ...


@runtime_checkable
class Crossing(Protocol):
    """What a space that can combine two candidates offers beside `Space`; a space without it cannot."""

    def cross(self, parent: Candidate, donor: Candidate, rng: random.Random) -> Candidate | Rejected:
        """Make one try at a child of `parent` that has a part of `donor`.

        The child's edit carries that part: `replay` makes the child of `parent` alone.
        """
        ...


@runtime_checkable
class Striding(Protocol):
    """What a space that can go several edits at once offers beside `Space`."""

    def stride(self, parent: Candidate, rng: random.Random, edits: int) -> Candidate | Rejected:
        """Make one try at a candidate that is so many edits from `parent`, each step within the budget.

        Its parent is `parent`, and its edit leads there from it: what lies between is no candidate.
        """
        ...


@runtime_checkable
class Finite(Protocol):
    """What a space that may have few candidates offers beside `Space`."""

    def every(self) -> Iterator[Candidate | Rejected] | None:
        """Give every candidate of the space at least once, always in the same order; None where there are too many."""
        ...


@runtime_checkable
class Featured(Protocol):
    """What a space that describes its candidates by numbers offers beside `Space`; models learn from them."""

    def features(self, candidate: Candidate) -> NDArray[np.float64]:
        """Describe a candidate by finite numbers, equally many for every one of the space."""
        ...


@runtime_checkable
class Described(Protocol):
    """What a space that tells kinds of networks apart offers beside `Space`."""

    def family(self, candidate: Candidate) -> str:
        """Name the kind of network, one of a few dozen at most."""
        ...


def distinct_starts(space: Space) -> list[Candidate]:
    """Give the space's starts, each network once, in their order."""
    unique: dict[str, Candidate] = {}
    for start in space.starts():
        unique.setdefault(start.alike or start.digest, start)
    return list(unique.values())
