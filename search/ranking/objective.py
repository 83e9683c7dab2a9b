"""What a search maximises: which raw scores it needs, and how they order a population.

An objective is a list of columns; each column orders the candidates by one raw score, or lexicographically by two. The
value of a candidate is the combination of its ranks over the columns within the population it stands in, their product
(VKDNW paper, eq. 15) or their mean: a single column orders exactly as its raw score does. Raw scores are in the journal, so
another objective can be replayed on a finished run without scoring again.

    OBJECTIVES["te_nas"].rank_table(table)     any population rank of a table of raw scores, a vector a name
    find("te_nas").rank(population)            the same of one mapping a member
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.ranking.ranks import Floats, Key, combined, key, lexicographic_ranks, ranks
from uninas.errors import InputError

SCORE = "score"
"""What the configured objective is called among the objectives of a multi-objective search; all others are costs."""

LATENCY = "latency_ms"
"""The one cost that is measured and not counted: milliseconds of one inference on the worker's own device."""

COSTS = ("params", "macs", "layers", "attention_tokens", LATENCY)
"""What a multi-objective search can minimise."""

Scores = Mapping[str, float | None]
"""Raw scores of one candidate by proxy; None where the proxy failed."""


@dataclass(frozen=True)
class Objective:
    """A named order of candidates.

    Attributes:
        name: as written in a configuration.
        columns: the raw scores of each column, one or two names; two are compared lexicographically.
        combine: how the ranks of the columns become one value: "product" or "mean", see `search.ranking.ranks.combined`.
    """

    name: str
    columns: tuple[tuple[str, ...], ...]
    combine: str = "product"

    @property
    def proxies(self) -> tuple[str, ...]:
        """The raw scores that have to be computed, each once, in the order of the columns."""
        return tuple(dict.fromkeys(name for column in self.columns for name in column))

    def keys(self, scores: Scores) -> tuple[Key, ...]:
        """Give a candidate's key in each column."""
        return tuple(key(*(scores.get(name) for name in column)) for column in self.columns)

    def rank(self, population: Sequence[Scores]) -> Floats:
        """Give each member's value within the population: float64, n long, higher is better."""
        return self.rank_table({name: [scores.get(name) for scores in population] for name in self.proxies})

    def rank_table(self, table: Mapping[str, Sequence[float | None] | NDArray[Any]]) -> Floats:
        """Give each member's value within the population: float64, n long, higher is better.

        Args:
            table: the raw scores of all n members by name; None, NaN and -inf rank lowest. More than is needed does no harm.

        Raises:
            InputError: a raw score that the objective needs is not in the table.
        """
        missing = [name for name in self.proxies if name not in table]
        if missing:
            raise InputError(f"{self.name}: expected the raw scores {', '.join(self.proxies)}; missing: {', '.join(missing)}")
        columns = {name: np.array(table[name], dtype=np.float64) for name in self.proxies}  # None becomes NaN
        return combined([_column_ranks([columns[name] for name in column]) for column in self.columns], self.combine)


def _column_ranks(scores: Sequence[Floats]) -> Floats:
    return ranks(scores[0]) if len(scores) == 1 else lexicographic_ranks(scores[0], scores[1])


SPECTRA = ("vkdnw", "vkdnw_single", "vkdnw_norms")
"""The raw proxies that read a Fisher spectrum and take its options."""

_SINGLE = ("aleph", "vkdnw")
_NORMS = ("aleph", "vkdnw_norms")
_VKDNW_AGG = (_SINGLE, ("jacov",), ("expressivity",), ("trainability",), ("flops",))

OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("vkdnw", (("vkdnw",),)),
        Objective("vkdnw_single", (_SINGLE,)),
        Objective("vkdnw_agg", _VKDNW_AGG),
        Objective("rank_average", _VKDNW_AGG, "mean"),
        # With norms and biases in theta, as the authors' code has it.
        Objective("vkdnw_norms_single", (_NORMS,)),
        Objective("vkdnw_norms_agg", (_NORMS, *_VKDNW_AGG[1:])),
        # Ours, chosen by `uninas bench choose` on half of 1,500 networks of NAS-Bench-201 (docs/results/aggregate.md).
        Objective("uninas_agg", (("jacov",), ("expressivity",), ("trainability",), ("synflow",), ("t_cet_synflow",))),
        Objective("az_nas", (("expressivity",), ("progressivity",), ("trainability",), ("flops",))),
        # ntk_condition is the negated condition number: as of every raw score, higher is better.
        Objective("te_nas", (("ntk_condition",), ("linear_regions",)), "mean"),
    )
}
"""The named objectives; those of several columns are the papers' population ranks. Every raw proxy is one by its own name."""


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
