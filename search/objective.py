"""What a search maximises: which raw scores it needs, and how they order a population.

An objective is a list of columns; each column orders the candidates by one raw score, or lexicographically by two. The
value of a candidate is the rank product over the columns within the population it stands in (VKDNW paper, eq. 15):
a single column orders exactly as its raw score does. Raw scores are in the journal, so another objective can be
replayed on a finished run without scoring again.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.ranking import Floats, Key, key, lexicographic_ranks, ranks
from uninas.errors import InputError

Scores = Mapping[str, float | None]
"""Raw scores of one candidate by proxy; None where the proxy failed."""


@dataclass(frozen=True)
class Objective:
    """A named order of candidates.

    Attributes:
        name: as written in a configuration.
        columns: the raw scores of each column, one or two names; two are compared lexicographically.
    """

    name: str
    columns: tuple[tuple[str, ...], ...]

    @property
    def proxies(self) -> tuple[str, ...]:
        """The raw scores that have to be computed, each once, in the order of the columns."""
        return tuple(dict.fromkeys(name for column in self.columns for name in column))

    def keys(self, scores: Scores) -> tuple[Key, ...]:
        """Give a candidate's key in each column."""
        return tuple(key(*(scores.get(name) for name in column)) for column in self.columns)

    def rank(self, population: Sequence[Scores]) -> Floats:
        """Give each member's value within the population: float64, n long, higher is better."""
        total: Floats = np.zeros(len(population))
        for column in self.columns:
            first, *second = (_column(population, name) for name in column)
            total += np.log(lexicographic_ranks(first, second[0]) if second else ranks(first))
        return total


def _column(population: Sequence[Scores], name: str) -> list[float]:
    values = (scores.get(name) for scores in population)
    return [float("nan") if value is None else value for value in values]


_SINGLE = ("aleph", "vkdnw")

OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("vkdnw", (("vkdnw",),)),
        Objective("vkdnw_single", (_SINGLE,)),
        Objective("vkdnw_agg", (_SINGLE, ("jacov",), ("expressivity",), ("trainability",), ("flops",))),
        Objective("az_nas", (("expressivity",), ("progressivity",), ("trainability",), ("flops",))),
    )
}
"""The named objectives. Beside them every raw proxy is an objective under its own name."""


def find(name: str) -> Objective:
    """Give the objective of that name: a named one, or any raw proxy.

    Raises:
        InputError: no objective and no proxy is called so; the message names the nearest ones.
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    import proxies  # torch: only where the name is no aggregate, and the proxies' own names have to be known

    if name in proxies.PROXIES:
        return Objective(name, ((name,),))
    known = sorted({*OBJECTIVES, *proxies.PROXIES})
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    raise InputError(
        f"objective: expected one of {', '.join(known)}; got '{name}'" + (f", nearest is '{near[0]}'" if near else "")
    )
