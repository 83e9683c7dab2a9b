"""Neighbours of an architecture: draw an edit (`propose`), apply it (`apply`), or both (`mutate`, of two parents `cross`)."""

from uninas.edits.apply import apply
from uninas.edits.blocks import crossover_edit
from uninas.edits.edit import REASONS, Edit, Limits, Rejection
from uninas.edits.fragments import FRAGMENTS, UNIVERSAL, VOCABULARIES, Vocabulary, vocabulary
from uninas.edits.propose import CROSSOVERS, PRIOR, cross, mutate, prior_of, propose, propose_crossover

__all__ = [
    "CROSSOVERS",
    "FRAGMENTS",
    "PRIOR",
    "REASONS",
    "UNIVERSAL",
    "VOCABULARIES",
    "Edit",
    "Limits",
    "Rejection",
    "Vocabulary",
    "apply",
    "cross",
    "crossover_edit",
    "mutate",
    "prior_of",
    "propose",
    "propose_crossover",
    "vocabulary",
]
