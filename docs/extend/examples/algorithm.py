"""A search algorithm: a walk that starts again from a random network when it has not improved for a while.

uninas search docs/extend/examples/algorithm.yaml
"""

import random
from collections.abc import Sequence

from search.algorithms import register
from search.algorithms.asktell import Reported
from search.algorithms.candidate import Candidate, Rejected, Space
from search.ranking.objective import Objective
from search.ranking.ranks import HistoryRanks


@register("restarts", window=4, options={"patience": 8})
class Restarts:
    """A walk of which `patience` results without an improvement end the present leg."""

    def __init__(self, space: Space, objective: Objective, *, patience: int) -> None:
        self.space, self.patience = space, patience
        self.history = HistoryRanks(len(objective.columns), objective.combine)  # ranks among all results, as results come in
        self.walker: Reported | None = None
        self.stale = 0

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """Give a neighbour of the walker, or a sample where there is none."""
        if self.walker is None:
            return self.space.sample(rng)
        return self.space.mutate(self.walker.candidate, rng)

    def learn(self, reported: Reported) -> None:
        """Move to a better candidate; after `patience` results that are not better, forget where it was."""
        self.history.add(reported.keys)
        if self.walker is None or self.history.score(reported.keys) > self.history.score(self.walker.keys):
            self.walker, self.stale = reported, 0
            return
        self.stale += 1
        if self.stale >= self.patience:
            self.walker, self.stale = None, 0
