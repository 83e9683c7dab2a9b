"""A toy space that says what all its candidates are."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from search.algorithms.candidate import Candidate, Rejected
from search.testing import PLACES
from tests.search.fakes import ToySpace


@dataclass(frozen=True)
class FiniteToySpace(ToySpace):
    """The toy space with the digits 0 to 2 gone through one by one: all that there is where the budget is 2 at most."""

    def every(self) -> Iterator[Candidate | Rejected]:
        start = self.starts()[0].digest
        for digits in product(range(3), repeat=PLACES):
            yield self._within(self.candidate(digits, start, {"digits": list(digits)}))
