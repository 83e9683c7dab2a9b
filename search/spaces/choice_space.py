"""A categorical space (`uninas.spaces`) as the algorithms see it: published ones by name, one of the user's own by file.

A candidate keeps its genotype beside its network, which is in canonical form: two genotypes of one network have one digest. The
journal has the whole genotype of each candidate: making it again needs no parent.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

import uninas
from search.algorithms.candidate import Candidate, Rejected
from search.config.schema import BudgetConfig
from search.spaces.budget import bounds_of, check_within, within
from search.spaces.description import described
from uninas.errors import InputError
from uninas.rejections import Reason
from uninas.spaces import ChoiceSpace, Genotype, SpaceError
from uninas.spaces.choices import Listed, Unbuildable, canonical_network


class _Body(NamedTuple):
    """What a candidate is made of."""

    genotype: Genotype
    architecture: uninas.Architecture


@final
class GenotypeSpace:
    """The networks of a categorical space that are within the budget. Make one with `GenotypeSpace.of`.

    A genotype that the space calls illegal or that cannot be built is rejected and counted, and one without neighbours has none:
    a search goes on without them. A space that breaks its contract ends the search.

    Raises:
        SpaceError: from every method, where the space breaks its contract.
    """

    def __init__(
        self, space: ChoiceSpace, bounds: Mapping[str, int], classes: int, size: tuple[int, int], start: Candidate
    ) -> None:
        self._space = space
        self._bounds = bounds
        self._classes = classes
        self._size = size
        self._start = start

    @classmethod
    def of(
        cls, space: ChoiceSpace, budget: BudgetConfig, *, classes: int, size: tuple[int, int], start: str | None = None
    ) -> GenotypeSpace:
        """Make the space of the candidates within a budget.

        Args:
            space: what is searched.
            budget: upper bounds of the networks' cost.
            classes: outputs of the networks.
            size: (H, W) in pixels of their input, at which cost is counted.
            start: text of the genotype to begin with; None for the space's own.

        Raises:
            InputError: the start is not legal, cannot be built, or is over the budget.
        """
        bounds = bounds_of(budget)
        first = _candidate(space, space.start() if start is None else space.parse(start), classes, size)
        check_within(first, bounds, f"{space.name}: {'its start' if start is None else 'space.start'}")
        return cls(space, bounds, classes, size, first)

    def starts(self) -> Sequence[Candidate]:
        """Give the one start."""
        return [self._start]

    def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
        """Try one neighbour of `parent`: one other choice."""
        try:
            genotype = self._space.mutate(parent.body.genotype, rng)
        except SpaceError:
            raise
        except InputError:
            return Rejected(Reason.NO_LEGAL_NEIGHBOUR)
        return self._within(genotype, parent.digest)

    def stride(self, parent: Candidate, rng: random.Random, edits: int) -> Candidate | Rejected:
        """Try a candidate that is so many neighbours from `parent`; a choice may be made twice."""
        current = parent
        for _ in range(edits):
            step = self.mutate(current, rng)
            if isinstance(step, Rejected):
                return step
            current = step
        return dataclasses.replace(current, parent=parent.digest)

    def sample(self, rng: random.Random) -> Candidate | Rejected:
        """Try one sample of the space."""
        return self._within(self._space.sample(rng), self._start.digest)

    def every(self) -> Iterator[Candidate | Rejected] | None:
        """Go through the space, where it lists its genotypes."""
        listed = self._space.every() if isinstance(self._space, Listed) else None
        return None if listed is None else (self._within(genotype, self._start.digest) for genotype in listed)

    def features(self, candidate: Candidate) -> NDArray[np.float64]:
        """Describe the candidate, see `search.spaces.description`."""
        return described(candidate.body.architecture, self._size)

    def text(self, candidate: Candidate) -> str:
        """Write the candidate's canonical architecture file."""
        return uninas.to_text(candidate.body.architecture)

    def document(self, candidate: Candidate, metadata: Mapping[str, Any]) -> str:
        """Write the candidate's architecture file with `metadata`, the space and the genotype in the space's own words."""
        origin = {"space": self._space.name, "genotype": self._space.text(candidate.body.genotype)}
        return uninas.to_text(candidate.body.architecture, {**origin, **metadata})

    def replay(self, parent: Candidate, edit: Mapping[str, Any]) -> Candidate:
        """Make the candidate of a journalled genotype again.

        Raises:
            ValueError: it is not of this space: another version of the code wrote it.
        """
        genotype = edit.get("genotype")
        fault = self._space.fault(genotype)
        if fault is not None:
            raise ValueError(f"genotype in the journal: expected to be legal in {self._space.name} as it once was; {fault}")
        return _candidate(self._space, genotype, self._classes, self._size, parent.digest, edit)

    def _within(self, genotype: Genotype, parent: str) -> Candidate | Rejected:
        if self._space.fault(genotype) is not None:  # a space of the user's own that gives what it calls illegal itself
            return Rejected(Reason.ILLEGAL_GENOTYPE)
        try:
            candidate = _candidate(self._space, genotype, self._classes, self._size, parent, {"genotype": genotype})
        except Unbuildable:
            return Rejected(Reason.UNBUILDABLE)
        return within(candidate, self._bounds)


def _candidate(
    space: ChoiceSpace,
    genotype: Genotype,
    classes: int,
    size: tuple[int, int],
    parent: str | None = None,
    edit: Mapping[str, Any] | None = None,
) -> Candidate:
    architecture = canonical_network(space, genotype, classes, size)
    cost = uninas.cost(architecture, size).as_dict()
    return Candidate(architecture.digest, _Body(genotype, architecture), cost, parent, edit)
