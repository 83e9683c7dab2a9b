"""Evolution with survivors (VKDNW paper): the best K candidates so far are the parents."""

from __future__ import annotations

import random
from typing import final

from search.algorithms.asktell import Told
from search.algorithms.unscored import Unscored
from search.candidate import Candidate, Rejected, Space, distinct_starts
from search.objective import Objective
from search.ranking import BoundedRanks


@final
class Evolution:
    """K survivors; the newcomer joins, all are ranked, the worst leaves, and between equals the older stays.

    A parent is drawn uniformly among the survivors; before there are any, among the starts, and with a window larger than K
    see `Unscored`. A candidate without any score never joins.
    """

    def __init__(self, space: Space, objective: Objective, *, population: int) -> None:
        self._space = space
        self._starts = distinct_starts(space)
        self._limit = population
        self._ranks = BoundedRanks(len(objective.columns), population + 1, objective.combine)
        self._survivors: dict[int, Candidate] = {}
        self._unscored = Unscored(population)

    def propose(self, index: int, rng: random.Random) -> Candidate | Rejected:
        """Give a start, then neighbours of survivors."""
        return self._unscored.noted(index, self._make(index, rng))

    def _make(self, index: int, rng: random.Random) -> Candidate | Rejected:
        unscored = self._unscored.parents(index)
        if index < len(self._starts):
            return self._starts[index]
        return self._space.mutate(rng.choice(list(self._survivors.values()) or unscored or self._starts), rng)

    def learn(self, told: Told) -> None:
        """Let the newcomer in and the worst out."""
        self._unscored.end()
        if told.failed:
            return
        self._ranks.add(told.index, told.keys)
        self._survivors[told.index] = told.candidate
        if len(self._survivors) > self._limit:
            worst = self._ranks.worst()
            self._ranks.remove(worst)
            del self._survivors[worst]
