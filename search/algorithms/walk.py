"""The walk of the UniNAS paper: one network, one edit, keep the better one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import final

from search.algorithms.asktell import Reported
from search.algorithms.candidate import Candidate, Rejected, Space, distinct_starts
from search.ranking.objective import Objective
from search.ranking.ranks import TIE, HistoryRanks


@final
class Walk:
    """A child replaces the walker when it ranks higher among all candidates reported so far; a tie keeps the walker.

    The starts are asked first. Until the first result, children are made of the first start.
    """

    def __init__(self, space: Space, objective: Objective) -> None:
        self._space = space
        self._starts = distinct_starts(space)
        self._history = HistoryRanks(len(objective.columns), objective.combine)
        self._walker: Reported | None = None

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """Give a start, then neighbours of the walker."""
        if index < len(self._starts):
            return self._starts[index]
        return self._space.mutate(self._walker.candidate if self._walker else self._starts[0], rng)

    def learn(self, reported: Reported) -> None:
        """Rank the newcomer against the walker within the history, both included."""
        self._history.add(reported.keys)
        if self._walker is None or self._history.score(reported.keys) > self._history.score(self._walker.keys) + TIE:
            self._walker = reported
