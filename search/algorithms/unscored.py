"""Parents while no result is visible: what evolution does with a window larger than its population."""

from __future__ import annotations

from typing import final

from search.candidate import Candidate, Rejected


@final
class Unscored:
    """The candidates asked before any result could be seen, as parents.

    A window of W lets W asks pass before the first result is visible. Were all of them neighbours of the starts, a large
    window would run out of those: from one CoAtNet, thirty tries of each ask around the 12,000th were duplicates. So once a
    whole population has been asked and nothing is known of any, all asked so far serve as parents, just as an evolution that
    sees everything draws from all before it until its population is full. It ends with the first result. A window up to the
    population never comes here.
    """

    def __init__(self, population: int) -> None:
        self._population = population
        self._asked: list[Candidate] = []
        self._tried: tuple[int, Candidate] | None = None
        self._ended = False

    def parents(self, index: int) -> list[Candidate]:
        """Give the parents to draw from at ask `index`; none before a population has been asked, or where a result is visible."""
        if self._ended:
            return []
        if self._tried is not None and self._tried[0] < index:  # an ask is answered by the last candidate tried for it
            self._asked.append(self._tried[1])
            self._tried = None
        return self._asked if index >= self._population else []

    def noted(self, index: int, made: Candidate | Rejected) -> Candidate | Rejected:
        """Take note of a try for ask `index`, and give it back."""
        if not self._ended and isinstance(made, Candidate):
            self._tried = (index, made)
        return made

    def end(self) -> None:
        """A result is visible: forget everything."""
        self._ended = True
        self._asked, self._tried = [], None
