"""Evolution with survivors (VKDNW paper): the best K candidates so far are the parents."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import final

from search.algorithms.asktell import Told
from search.candidate import Candidate, Rejected, Space, distinct_starts
from search.objective import Objective
from search.ranking import BoundedRanks


@final
class Evolution:
    """K survivors; the newcomer joins, all are ranked, the worst leaves, and between equals the older stays.

    A parent is drawn uniformly among the survivors; before there are any, among the starts, and once K candidates have been
    asked among all of those: just as an evolution that sees everything draws from all before it until it has K. So a window up
    to K never comes there. A candidate without any score never joins.
    """

    def __init__(self, space: Space, objective: Objective, *, population: int) -> None:
        self._space = space
        self._starts = distinct_starts(space)
        self._limit = population
        self._ranks = BoundedRanks(len(objective.columns), population + 1, objective.combine)
        self._survivors: dict[int, Candidate] = {}

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """Give a start, then neighbours of survivors."""
        if index < len(self._starts):
            return self._starts[index]
        blind = unscored if index >= self._limit else ()
        return self._space.mutate(rng.choice(list(self._survivors.values()) or blind or self._starts), rng)

    def learn(self, told: Told) -> None:
        """Let the newcomer in and the worst out."""
        if told.failed:
            return
        self._ranks.add(told.index, told.keys)
        self._survivors[told.index] = told.candidate
        if len(self._survivors) > self._limit:
            worst = self._ranks.worst()
            self._ranks.remove(worst)
            del self._survivors[worst]
