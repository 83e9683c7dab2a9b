"""Search by a model: many edits are looked at, by what those scored that are like them, for each one that is scored.

Bayesian optimisation with local proposals: the candidates are edits of the best so far, as in BANANAS (White et al., 2021,
arXiv 1910.11858), and a Gaussian process over features of the graph says which of them is worth a score (`Surrogate`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from search.algorithms.asktell import Reported
from search.algorithms.candidate import Candidate, Featured, Rejected, Space, distinct_starts
from search.algorithms.offspring import Offspring
from search.algorithms.surrogate import Surrogate, normal_scores
from search.ranking.objective import Objective
from search.ranking.ranks import DIGITS, Floats, combined, lexicographic_ranks
from uninas.errors import InputError

FRESH = 0.1
"""Share of samples among what is looked at: what no edit of the best leads to."""

NEWS = 1.04
"""The model is fitted again when so much more has been scored: at 25 results with each, at 10,000 every 400."""

GROWTH = 1.25
"""Its length and noise are chosen anew when so much more has been scored."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A candidate with its result, and the numbers that describe it."""

    reported: Reported
    features: Floats


@final
class Model:
    """Score `initial` samples; then, for each ask, the most promising of `looked_at` edits of the `parents` best.

    Promising is a high mean plus a multiple of the deviation (an upper confidence bound). The multiple is drawn anew for each
    ask, from the exponential distribution of mean 1: asks that see the same results then differ, as those of a window do. The
    best are those of highest mean: a candidate with one lucky score is no parent where its like score low.

    The model learns from at most `memory` candidates: the better half of them the best, the other half the latest. A candidate
    without any score is learnt as the lowest.

    Args:
        space: where candidates come from; it describes them.
        objective: orders what has been scored.
        initial: samples before the model is asked.
        looked_at: edits for each candidate that is scored.
        parents: of how many of the best.
        memory: what the model learns from.
        largest_stride: most edits between a parent and what is looked at, see `Offspring`.

    Raises:
        InputError: the space does not describe its candidates, or makes one edit at a time.
    """

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        initial: int,
        looked_at: int,
        parents: int,
        memory: int,
        largest_stride: int = 1,
    ) -> None:
        if not isinstance(space, Featured):
            raise InputError("algorithm model: expected a space that describes its candidates by numbers; this one does not")
        self._space = space
        self._features = space.features
        self._offspring = Offspring(space, 0.0, largest_stride)
        self._objective = objective
        self._starts = distinct_starts(space)
        self._initial, self._looked_at, self._parents, self._memory = initial, looked_at, parents, memory
        self._known: list[_Known] = []
        self._surrogate = Surrogate()
        self._fitted = 0  # results that the model has seen
        self._chosen_at = 0  # results when length and noise were chosen
        self._best: list[Candidate] = []
        self._ask, self._ranked = -1, list[Candidate]()

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """Give a start, then samples, then what the model finds most promising."""
        if index < len(self._starts):
            return self._starts[index]
        if index < self._initial or len(self._known) < 2:
            return self._space.sample(rng)
        if index != self._ask or not self._ranked:
            self._fit()
            self._ask, self._ranked = index, self._look(rng)
        return self._ranked.pop() if self._ranked else self._space.sample(rng)

    def learn(self, reported: Reported) -> None:
        """Keep the result; the next ask learns from it."""
        self._known.append(_Known(reported, self._features(reported.candidate)))

    def estimates(self, waiting: Sequence[Reported]) -> Mapping[int, float]:
        """Give the model's mean for each candidate: of one that scored high by luck it is lower than of its like that all did."""
        known = [*self._known, *(_Known(reported, self._features(reported.candidate)) for reported in waiting)]
        if not known:
            return {}
        values = self._values(known)
        learnt, features = self._remembered(values), np.stack([one.features for one in known])
        surrogate = Surrogate()
        surrogate.fit(features[learnt], normal_scores(values[learnt]))
        return {one.reported.index: float(mean) for one, mean in zip(known, surrogate.mean(features), strict=True)}

    def _fit(self) -> None:
        if len(self._known) < max(self._fitted + 1, NEWS * self._fitted):
            return
        self._fitted = len(self._known)
        values = self._values(self._known)
        learnt = self._remembered(values)
        anew = self._fitted >= GROWTH * self._chosen_at
        if anew:
            self._chosen_at = self._fitted
        features = np.stack([self._known[place].features for place in learnt])
        self._surrogate.fit(features, normal_scores(values[learnt]), anew=anew)
        mean = self._surrogate.mean(features)
        able = [place for place, one in enumerate(learnt) if not self._known[one].reported.failed]
        order = sorted(able, key=lambda place: (-mean[place], learnt[place]))
        self._best = [self._known[learnt[place]].reported.candidate for place in order[: self._parents]]

    def _values(self, known: Sequence[_Known]) -> Floats:
        """What the objective makes of these, as one population."""
        keys = np.array([one.reported.keys for one in known])  # n x columns x 2
        columns = [lexicographic_ranks(keys[:, column, 0], keys[:, column, 1]) for column in range(keys.shape[1])]
        return np.round(combined(columns, self._objective.combine), DIGITS)

    def _remembered(self, values: Floats) -> list[int]:
        """Places of what the model learns from, oldest first."""
        count = len(values)
        if count <= self._memory:
            return list(range(count))
        latest = set(range(count - self._memory // 2, count))
        best = sorted(set(range(count)) - latest, key=lambda place: (-values[place], place))
        return sorted(latest | set(best[: self._memory - len(latest)]))

    def _look(self, rng: random.Random) -> list[Candidate]:
        """Give what was looked at, the most promising last."""
        found: dict[str, Candidate] = {}
        rejected: Counter[str] = Counter()
        for _ in range(self._looked_at):
            fresh = not self._best or rng.random() < FRESH
            made = self._space.sample(rng) if fresh else self._offspring.of(lambda: rng.choice(self._best), rng)
            if isinstance(made, Rejected):
                rejected[made.reason] += 1
            else:
                rejected.update(made.rejected)
                found.setdefault(made.alike or made.digest, made)
        if not found:
            return []
        candidates = list(found.values())
        mean, deviation = self._surrogate.predict(np.stack([self._features(one) for one in candidates]))
        promise = mean + rng.expovariate(1.0) * deviation
        ranked = [candidates[place] for place in sorted(range(len(candidates)), key=lambda place: (promise[place], -place))]
        return [*(replace(one, rejected={}) for one in ranked[:-1]), replace(ranked[-1], rejected=dict(rejected))]
