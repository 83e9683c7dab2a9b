"""How evolutions make a child: of one parent by an edit, or of two by crossover."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import final

from search.algorithms.candidate import Candidate, Crossing, Rejected, Space
from uninas.errors import InputError


@final
class Offspring:
    """Children of drawn parents; a share of `crossover` of the tries takes a second parent and a part of it.

    Without crossover, which no published form of these algorithms has, no random number is drawn for it: what a seed found
    before there was crossover, it finds now. Two draws of one parent make an edit.

    Raises:
        InputError: crossover in a space that cannot combine two candidates.
    """

    def __init__(self, space: Space, crossover: float) -> None:
        if crossover and not isinstance(space, Crossing):
            raise InputError(f"crossover: expected 0 in a space that cannot combine two candidates; got {crossover}")
        self._space = space
        self._crossover = crossover

    def of(self, draw: Callable[[], Candidate], rng: random.Random) -> Candidate | Rejected:
        """Make one try at a child; `draw` gives a parent."""
        parent = draw()
        if self._crossover and rng.random() < self._crossover:
            donor = draw()
            if donor.digest != parent.digest:
                assert isinstance(self._space, Crossing)
                return self._space.cross(parent, donor, rng)
        return self._space.mutate(parent, rng)
