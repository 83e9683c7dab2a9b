"""The walk of the UniNAS paper: one network, one edit, keep the better one; at a local optimum, go on from the next best."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import final

from search.algorithms.asktell import Reported
from search.algorithms.candidate import Candidate, Rejected, Space, distinct_starts
from search.ranking.objective import Objective
from search.ranking.ranks import TIE, BoundedRanks, HistoryRanks

KEPT = 1024
"""So many of the best candidates reported so far may be gone on from."""

DUPLICATES = 100
TRIES = 2_000
"""A candidate whose tries gave so many known networks in one ask, or so many tries of any kind, has no new neighbour left: of 24
neighbours, as a cell of NAS-Bench-201 has, a hundred known ones show all but with a chance of 0.3."""


@final
class Walk:
    """A child replaces the walker when it ranks higher among all candidates reported so far; a tie keeps the walker.

    The starts are asked first. Until the first result, children are made of the first start. Where all neighbours of the walker
    are known, children are made of the best candidate that has unknown ones, as local search does (White et al., 2021,
    arXiv 2004.08996, continues likewise), until one of them replaces the walker.
    """

    def __init__(self, space: Space, objective: Objective) -> None:
        self._space = space
        self._starts = distinct_starts(space)
        self._history = HistoryRanks(len(objective.columns), objective.combine)
        self._walker: Reported | None = None
        self._best = BoundedRanks(len(objective.columns), KEPT + 1, objective.combine)
        self._kept: dict[int, Candidate] = {}
        self._spent: set[str] = set()  # digests without a new neighbour
        self._ask, self._duplicates, self._tries = -1, 0, 0  # of the present ask, since its parent was chosen
        self._parent: Candidate | None = None

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """Give a start, then neighbours of the walker, or of the best candidate that has new ones; then samples."""
        if index < len(self._starts):
            return self._starts[index]
        if index != self._ask:
            self._begin(index)
        elif self._parent is not None and (self._duplicates >= DUPLICATES or self._tries >= TRIES):
            self._spent.add(self._parent.digest)
            self._begin(index)
        child = self._space.sample(rng) if self._parent is None else self._space.mutate(self._parent, rng)
        self._tries += 1
        self._duplicates += isinstance(child, Candidate)  # asked for another try, it was a duplicate
        return child

    def _begin(self, index: int) -> None:
        self._ask, self._duplicates, self._tries = index, 0, 0
        walker = self._walker.candidate if self._walker else self._starts[0]
        self._parent = walker if walker.digest not in self._spent else self._next_best()

    def _next_best(self) -> Candidate | None:
        open_ones = [member for member in sorted(self._kept) if self._kept[member].digest not in self._spent]
        if not open_ones:
            return None
        values = self._best.scores(open_ones)
        best = float(values.max()) - TIE
        return self._kept[next(member for member, value in zip(open_ones, values, strict=True) if value >= best)]

    def learn(self, reported: Reported) -> None:
        """Rank the newcomer against the walker within the history, both included."""
        self._history.add(reported.keys)
        if self._walker is None or self._history.score(reported.keys) > self._history.score(self._walker.keys) + TIE:
            self._walker = reported
        if not reported.failed:
            self._best.add(reported.index, reported.keys)
            self._kept[reported.index] = reported.candidate
            if len(self._kept) > KEPT:
                worst = self._best.worst()
                self._best.remove(worst)
                del self._kept[worst]
