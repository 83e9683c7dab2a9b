"""Random search: independent samples of the space, the honest baseline of every other algorithm."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import final

from search.algorithms.asktell import Reported
from search.algorithms.candidate import Candidate, Rejected, Space


@final
class Independent:
    """Each candidate is a fresh sample; scores teach nothing."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """Draw one sample."""
        return self._space.sample(rng)

    def learn(self, reported: Reported) -> None:
        """Ignore the result: samples are independent."""
