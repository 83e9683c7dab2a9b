"""Multi-objective evolution: NSGA-II (Deb, Pratap, Agarwal, Meyarivan, 2002) in its steady-state form.

One newcomer at a time joins and one member leaves, as in `evolution` (Durillo et al., 2009, compare this form with the
generational one), so that a result is of use to the next ask that may see it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import final

import numpy as np

from search.algorithms.asktell import Reported
from search.algorithms.candidate import Candidate, Rejected, Space, distinct_starts
from search.algorithms.offspring import Offspring
from search.ranking.dominance import crowding, fronts
from search.ranking.objective import SCORE, Objective
from search.ranking.ranks import DIGITS, BoundedRanks, Floats, ranks


@final
class Pareto:
    """K survivors; the newcomer joins, all are sorted, the most crowded of the last front leaves; of equals the younger.

    Sorted by the non-dominated front, then by crowding distance. Of the objectives, "score" is the candidate's rank by the
    configured objective among the members: a population rank such as vkdnw_agg has no value outside of a population, so two
    members may swap ranks as others come and go, and each newcomer has all ranked and sorted anew. Ranks, not raw values,
    also measure crowding along the score, whose tails are long. The other objectives are costs: they are minimised as they are.

    A parent is the winner of a binary tournament by the last sorting: the lower front, then the larger distance, then the
    older; before there are members, as in `Evolution`. A share of `crossover` of the children has two parents, see `Offspring`. A
    candidate without any score never joins.

    One result costs O(K^2 m + K c) for m objectives and c columns of the score: about 1 ms for K = 128, 25 ms for K = 1,024.

    Args:
        space: where candidates come from.
        objective: what "score" is.
        population: K.
        objectives: "score" and names of costs: keys of a candidate's cost, or of what is reported as measured ("latency_ms").
        crossover: share of children of two parents.
        largest_stride: most edits of a child of one parent, see `Offspring`.
    """

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        population: int,
        objectives: Sequence[str],
        crossover: float = 0.0,
        largest_stride: int = 1,
    ) -> None:
        self._offspring = Offspring(space, crossover, largest_stride)
        self._starts = distinct_starts(space)
        self._limit = population
        self._costs = tuple(name for name in objectives if name != SCORE)
        self._ranks = BoundedRanks(len(objective.columns), population + 1, objective.combine)
        self._survivors: dict[int, tuple[Candidate, tuple[float, ...]]] = {}
        self._order: dict[int, tuple[int, float, int]] = {}  # by member: what the tournament compares, lower is better

    @property
    def survivors(self) -> list[int]:
        """The asks whose candidates may become parents, oldest first."""
        return sorted(self._survivors)

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """Give a start, then neighbours of tournament winners."""
        if index < len(self._starts):
            return self._starts[index]
        if not self._survivors:
            blind = (unscored if index >= self._limit else ()) or self._starts
            return self._offspring.of(lambda: rng.choice(blind), rng)
        members = list(self._survivors)

        def winner() -> Candidate:
            return self._survivors[min(rng.choices(members, k=2), key=self._order.__getitem__)][0]

        return self._offspring.of(winner, rng)

    def learn(self, reported: Reported) -> None:
        """Let the newcomer in, sort, and let one out.

        Raises:
            ValueError: a score is reported without a cost that is an objective.
        """
        if reported.failed:
            return
        missing = [name for name in self._costs if name not in reported.costs]
        if missing:
            raise ValueError(f"tell {reported.index}: expected {', '.join(missing)} beside the score; got none")
        self._ranks.add(reported.index, reported.keys)
        self._survivors[reported.index] = (reported.candidate, tuple(float(reported.costs[name]) for name in self._costs))
        self._sort()
        if len(self._survivors) > self._limit:
            last = max(self._order.values())[2]
            self._ranks.remove(last)
            del self._survivors[last], self._order[last]

    def _sort(self) -> None:
        members = sorted(self._survivors)  # oldest first
        score = score_column(self._ranks.scores(members))
        points = np.column_stack([score, np.array([self._survivors[member][1] for member in members])])
        numbers = fronts(points)
        distances = crowding(points, numbers)
        self._order = {
            member: (int(number), -float(distance), member)
            for member, number, distance in zip(members, numbers, distances, strict=True)
        }


def score_column(values: Floats) -> Floats:
    """Turn n combined ranks, higher is better, into a column to minimise: minus the rank among them, ties averaged."""
    return -ranks(np.round(values, DIGITS))  # rank products differ in the last digits by the order of summation alone
