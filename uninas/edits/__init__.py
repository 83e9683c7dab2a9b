"""Neighbours of an architecture: draw an edit (`propose`), apply it (`apply`), or both (`mutate`)."""

from uninas.edits.apply import apply
from uninas.edits.blocks import crossover_edit
from uninas.edits.edit import REASONS, Edit, Limits, Rejection
from uninas.edits.fragments import FRAGMENTS
from uninas.edits.propose import PRIOR, mutate, propose

__all__ = [
    "FRAGMENTS",
    "PRIOR",
    "REASONS",
    "Edit",
    "Limits",
    "Rejection",
    "apply",
    "crossover_edit",
    "mutate",
    "propose",
]
