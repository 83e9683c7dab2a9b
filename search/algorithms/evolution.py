"""Evolution with survivors (VKDNW paper): the best K candidates so far are the parents; in niches where diversity is wanted."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import final

from search.algorithms.asktell import Reported
from search.algorithms.candidate import Candidate, Described, Rejected, Space, distinct_starts
from search.algorithms.offspring import Offspring
from search.ranking.objective import Objective
from search.ranking.ranks import BoundedRanks

Niche = tuple[object, ...]

BINS_PER_OCTAVE = 2
"""How finely niches divide costs: a niche spans a factor of the square root of two."""


@final
class Evolution:
    """K survivors; the newcomer joins, all are ranked, the worst leaves, and between equals the older stays.

    A parent is drawn uniformly among the survivors; before there are any, among the starts, and once K candidates have been
    asked among all of those: just as an evolution that sees everything draws from all before it until it has K. So a window up
    to K never comes there. A share of `crossover` of the children has two parents, and with a `largest_stride` above 1 some are
    several edits from theirs, see `Offspring`. A candidate without any score never joins.

    With `max_per_niche` > 0 at most so many survivors are alike, that is of one family of networks (where the space tells
    families apart) and of about equal parameters and MACs: where a newcomer is one too many, the worst of its own niche leaves.
    It is what MAP-Elites (Mouret and Clune, arXiv 1504.04909) keeps, an elite in each cell, with K as the bound of all cells.
    """

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        population: int,
        crossover: float = 0.0,
        max_per_niche: int = 0,
        largest_stride: int = 1,
    ) -> None:
        self._space = space
        self._offspring = Offspring(space, crossover, largest_stride)
        self._starts = distinct_starts(space)
        self._limit = population
        self._most_alike = max_per_niche
        self._ranks = BoundedRanks(len(objective.columns), population + 1, objective.combine)
        self._survivors: dict[int, Candidate] = {}
        self._niches: dict[Niche, list[int]] = {}

    @property
    def survivors(self) -> list[Candidate]:
        """The candidates that may become parents, oldest first."""
        return list(self._survivors.values())

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """Give a start, then children of survivors."""
        if index < len(self._starts):
            return self._starts[index]
        blind = unscored if index >= self._limit else ()
        parents = list(self._survivors.values()) or blind or self._starts
        return self._offspring.of(lambda: rng.choice(parents), rng)

    def learn(self, reported: Reported) -> None:
        """Let the newcomer in, and one out where there are too many: of its niche, or of all."""
        if reported.failed:
            return
        self._ranks.add(reported.index, reported.keys)
        self._survivors[reported.index] = reported.candidate
        if self._most_alike:
            alike = self._niches.setdefault(self._niche(reported.candidate), [])
            alike.append(reported.index)
            if len(alike) > self._most_alike:
                self._leave(self._ranks.worst(alike))
        if len(self._survivors) > self._limit:
            self._leave(self._ranks.worst())

    def _leave(self, member: int) -> None:
        self._ranks.remove(member)
        candidate = self._survivors.pop(member)
        if self._most_alike:
            niche = self._niche(candidate)
            self._niches[niche].remove(member)
            if not self._niches[niche]:
                del self._niches[niche]

    def _niche(self, candidate: Candidate) -> Niche:
        """What makes candidates alike: the family, and the bins of their parameters and MACs on a logarithmic scale."""
        family = self._space.family(candidate) if isinstance(self._space, Described) else None
        sizes = [math.floor(BINS_PER_OCTAVE * math.log2(candidate.cost.get(name) or 1)) for name in ("params", "macs")]
        return (family, *sizes)
