"""The universal graph space as the algorithms see it: starts, neighbours and samples, all within the budget.

Legality and budget are decided on the graph, in plain Python, before any torch object exists. Every candidate is in
canonical form, so equal networks have equal digests.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

import uninas
from search.algorithms.candidate import Candidate, Rejected
from search.config.schema import BudgetConfig
from search.spaces.budget import bounds_of, check_within, within
from search.spaces.description import described
from uninas import edits
from uninas.analysis.family import family
from uninas.analysis.unseen import UNSEEN, seen_digest
from uninas.canonical import TooSymmetric
from uninas.grammar import sampling
from uninas.ops import IllTyped
from uninas.rejections import Reason
from uninas.text import from_document


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How neighbours and samples are made.

    Attributes:
        size: (H, W) in pixels at which cost is counted.
        limits: how large an edit may make a graph.
        random_edits: at most this many accepted edits make a sample.
        sampler: what a sample begins with: "walk": a start, and it has at least one edit; "grammar": a network of
            `uninas.grammar.sampling`, and it may have none.
        prior: weights of kinds of edit; None: `uninas.edits.PRIOR`.
        words: what edits insert.
        regularisers: whether edits may insert what no score sees (`uninas.analysis.unseen`), and two networks that differ in
            nothing else are two.
        share: of its bound that the costliest of parameters and MACs of a network of the grammar is to come near; None: drawn.
    """

    size: tuple[int, int]
    limits: edits.Limits
    random_edits: int
    sampler: str = "walk"
    prior: Mapping[str, float] | None = None
    words: edits.Vocabulary = edits.UNIVERSAL
    regularisers: bool = False
    share: float | None = None


@final
class GraphSpace:
    """Architectures reachable by edits from the starts without ever leaving the budget. Make one with `GraphSpace.of`."""

    def __init__(self, starts: Sequence[Candidate], bounds: Mapping[str, int], settings: Settings) -> None:
        self._starts = starts
        self._bounds = bounds
        self._settings = settings

    @classmethod
    def of(cls, starts: Mapping[str, uninas.Architecture], budget: BudgetConfig, settings: Settings) -> GraphSpace:
        """Make the space around some architectures.

        Args:
            starts: what the search begins with, by the names that messages give them.
            budget: upper bounds of their cost.
            settings: how neighbours and samples are made.

        Raises:
            InputError: a start is over the budget.
        """
        bounds, found = bounds_of(budget), []
        for name, architecture in starts.items():
            candidate = _candidate(uninas.canonicalise(architecture), settings)
            check_within(candidate, bounds, name)
            found.append(candidate)
        return cls(found, bounds, settings)

    def starts(self) -> Sequence[Candidate]:
        """Give the starts, canonical and within the budget."""
        return self._starts

    def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
        """Try one random edit of `parent`."""
        how = self._settings
        return self._child(parent, edits.mutate(parent.body, rng, how.limits, how.prior, how.words))

    def cross(self, parent: Candidate, donor: Candidate, rng: random.Random) -> Candidate | Rejected:
        """Try to put a block or a stage of `donor` into `parent`; the edit carries it, and names the donor."""
        child = self._child(parent, edits.cross(parent.body, donor.body, rng, self._settings.limits, self._settings.prior))
        if isinstance(child, Rejected):
            return child
        assert child.edit is not None
        return dataclasses.replace(child, edit={**child.edit, "donor": donor.digest})

    def family(self, candidate: Candidate) -> str:
        """Name what kind of network it is, by what its blocks mix pixels with."""
        return family(candidate.body)

    def _child(self, parent: Candidate, made: tuple[uninas.Architecture, uninas.Edit] | uninas.Rejection) -> Candidate | Rejected:
        if isinstance(made, uninas.Rejection):
            return Rejected(made.reason)
        child, edit = made
        if not self._settings.regularisers and _puts_in_unseen(edit):
            return Rejected(Reason.UNSEEN)
        return within(_candidate(child, self._settings, parent.digest, edit.as_dict()), self._bounds)

    def sample(self, rng: random.Random) -> Candidate | Rejected:
        """Try one sample: a start or a network of the grammar, then up to random_edits edits, each of them within the budget.

        A rejected edit is drawn again, up to 100 times the number wanted; then the sample is rejected as a whole. The edit of a
        network of the grammar carries it, and its parent is the first start in name only.
        """
        if self._settings.sampler == "grammar":
            begin = self._drawn(rng)
            if isinstance(begin, Rejected):
                return begin
            assert begin.edit is not None
            parent, made, least = self._starts[0].digest, dict(begin.edit), 0
        else:
            begin = rng.choice(self._starts)
            parent, made, least = begin.digest, {}, 1
        return self._led(begin, rng, rng.randint(least, self._settings.random_edits), parent, made)

    def stride(self, parent: Candidate, rng: random.Random, edits: int) -> Candidate | Rejected:
        """Try a child that is so many random edits from `parent`, each of them within the budget; one edit is `mutate`.

        A rejected edit is drawn again, as in `sample`.
        """
        return self.mutate(parent, rng) if edits == 1 else self._led(parent, rng, edits, parent.digest, {})

    def _led(
        self, begin: Candidate, rng: random.Random, wanted: int, parent: str, made: Mapping[str, Any]
    ) -> Candidate | Rejected:
        """Go so many edits from a candidate; the edit of what is reached is what `made` says and these, from `parent`."""
        current, steps, rejected = begin, list[Any](), Counter[str]()
        for _ in range(100 * wanted):
            if len(steps) == wanted:
                break
            step = self.mutate(current, rng)
            if isinstance(step, Rejected):
                rejected[step.reason] += 1
                continue
            current = step
            steps.append(step.edit)
        if len(steps) < wanted:
            return Rejected(Reason.TOO_FEW_EDITS)
        return dataclasses.replace(current, parent=parent, edit={**made, "edits": steps}, rejected=rejected)

    def _drawn(self, rng: random.Random) -> Candidate | Rejected:
        """Try one network of the grammar, within the budget; its edit is its architecture file."""
        first = self._starts[0].body
        try:
            drawn = sampling.sample_network(
                rng,
                input_size=self._settings.size,
                classes=first.classes,
                in_channels=first.in_channels,
                bounds=self._bounds,
                words=self._settings.words,
                share=self._settings.share,
            )
            architecture = uninas.canonicalise(drawn)
        except IllTyped:  # a fragment that does not fit the width drawn for it
            return Rejected(Reason.ILL_TYPED)
        except TooSymmetric:
            return Rejected(Reason.TOO_SYMMETRIC)
        if uninas.warnings_of(architecture):
            return Rejected(Reason.DEGENERATE)
        if not self._settings.regularisers and seen_digest(architecture) != architecture.digest:
            return Rejected(Reason.UNSEEN)
        edit = {"architecture": uninas.to_document(architecture)}
        return within(_candidate(architecture, self._settings, self._starts[0].digest, edit), self._bounds)

    def features(self, candidate: Candidate) -> NDArray[np.float64]:
        """Describe the candidate, see `search.spaces.description`."""
        return described(candidate.body, self._settings.size)

    def text(self, candidate: Candidate) -> str:
        """Write the candidate's canonical architecture file."""
        return uninas.to_text(candidate.body)

    def document(self, candidate: Candidate, metadata: Mapping[str, Any]) -> str:
        """Write the candidate's architecture file with `metadata`, which is no part of the architecture."""
        return uninas.to_text(candidate.body, metadata)

    def replay(self, parent: Candidate, edit: Mapping[str, Any]) -> Candidate:
        """Apply a journalled edit, or a sample's list of edits, to its parent, or to the architecture that the sample carries.

        Raises:
            ValueError: the edit does not apply to that parent: another version of the code wrote it.
        """
        architecture = parent.body
        if "architecture" in edit:
            architecture = uninas.canonicalise(from_document(edit["architecture"], f"sample of {parent.digest[:12]}"))
        for step in edit.get("edits", [edit]):
            result = edits.apply(architecture, edits.Edit.from_dict(step), self._settings.limits)
            if isinstance(result, uninas.Rejection):
                raise ValueError(
                    f"edit of {parent.digest[:12]}: expected to apply as it once did; got {result.reason}: {result.detail}"
                )
            architecture = result
        return _candidate(architecture, self._settings, parent.digest, edit)


def _candidate(
    architecture: uninas.Architecture,
    settings: Settings,
    parent: str | None = None,
    edit: Mapping[str, Any] | None = None,
) -> Candidate:
    cost = uninas.cost(architecture, settings.size).as_dict()
    alike = None if settings.regularisers else seen_digest(architecture)
    return Candidate(architecture.digest, architecture, cost, parent, edit, alike=alike)


def _puts_in_unseen(edit: edits.Edit) -> bool:
    """Whether an edit inserts an operation that no score sees, as a fragment or in the place of another."""
    fragment, operation = edit.arguments.get("fragment"), edit.arguments.get("op")
    if isinstance(fragment, str):
        return any(node.op.name in UNSEEN for node in edits.FRAGMENTS[fragment].nodes)
    return isinstance(operation, str) and uninas.parse_op(operation).name in UNSEEN
