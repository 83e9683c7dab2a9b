"""Aging evolution (Real et al., 2019, arXiv 1802.01548): the oldest leaves, whatever it scored."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import final

from search.algorithms.asktell import Reported
from search.algorithms.candidate import Candidate, Rejected, Space, distinct_starts
from search.algorithms.offspring import Offspring
from search.ranking.objective import Objective
from search.ranking.ranks import TIE, BoundedRanks


@final
class AgingEvolution:
    """A queue of P candidates; the parent is the best of S drawn from it; the newcomer pushes out the oldest.

    The first P candidates are the starts and random samples; while no result is visible then, parents are drawn among all
    asked, as in `Evolution`. A candidate without any score never joins. Members are compared by their combined rank within the
    queue; between equals the older wins. For `crossover` and `largest_stride` see `Offspring`.
    """

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        population: int,
        tournament: int,
        crossover: float = 0.0,
        largest_stride: int = 1,
    ) -> None:
        self._space = space
        self._offspring = Offspring(space, crossover, largest_stride)
        self._starts = distinct_starts(space)
        self._limit = population
        self._tournament = tournament
        self._ranks = BoundedRanks(len(objective.columns), population + 1, objective.combine)
        self._queue: dict[int, Candidate] = {}

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """Give a start, then samples until the queue may be full, then neighbours of tournament winners."""
        if index < len(self._starts):
            return self._starts[index]
        if unscored and index >= self._limit:
            return self._offspring.of(lambda: rng.choice(unscored), rng)
        if index < self._limit or not self._queue:
            return self._space.sample(rng)
        return self._offspring.of(lambda: self._queue[self._winner(rng)], rng)

    def _winner(self, rng: random.Random) -> int:
        drawn = sorted(set(rng.choices(list(self._queue), k=self._tournament)))
        winner, best = drawn[0], self._ranks.score(drawn[0])
        for member in drawn[1:]:
            if (score := self._ranks.score(member)) > best + TIE:
                winner, best = member, score
        return winner

    def learn(self, reported: Reported) -> None:
        """Let the newcomer in and the oldest out."""
        if reported.failed:
            return
        self._ranks.add(reported.index, reported.keys)
        self._queue[reported.index] = reported.candidate
        if len(self._queue) > self._limit:
            oldest = next(iter(self._queue))
            self._ranks.remove(oldest)
            del self._queue[oldest]
