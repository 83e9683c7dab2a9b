"""What a search maximises: which raw scores it needs, and how they order a population.

An objective is a list of columns; each column orders the candidates by one raw score, or lexicographically by two. The value of a
candidate is the combination of its ranks over the columns within the population it is in (rank 1 is the worst): their product
(VKDNW paper, eq. 15), their mean, or a weighted product, sum over columns of weight x ln(rank). A single column orders exactly as
its raw score does. Raw scores are in the journal, so another objective can be replayed on a finished run without scoring again.

    OBJECTIVES["te_nas"].rank_table(table)     any population rank of a table of raw scores, one vector per name
    find("te_nas").rank(population)            the same, of one mapping per member
    find("jacov x (aleph, vkdnw)")             a combination by its name, as `search.ranking.expression` writes it
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxies.registry import names as proxy_names
from proxies.table import TABLE
from search.ranking import expression
from search.ranking.ranks import Combine, Floats, Key, combined, key, lexicographic_ranks, ranks
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
        name: as a configuration has it, and as people read it.
        columns: the raw scores of each column, one or two names; two are compared lexicographically.
        combine: how the ranks of the columns become one value: "product", "mean", or the weights of a weighted product, one per
            column; see `search.ranking.ranks.combined`.
    """

    name: str
    columns: tuple[tuple[str, ...], ...]
    combine: Combine = "product"

    @property
    def mapping(self) -> dict[str, Any]:
        """What a configuration may say for it beside its name; JSON data."""
        return expression.as_mapping(self.columns, self.combine)

    @property
    def proxies(self) -> tuple[str, ...]:
        """The raw scores that have to be computed, each once, in the order of the columns."""
        return tuple(dict.fromkeys(name for column in self.columns for name in column))

    def complete(self, scores: Scores) -> bool:
        """Whether a candidate has every score: without one of them this is another objective."""
        return all(scores.get(name) is not None for name in self.proxies)

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


SPECTRA = tuple(name for name, spec in TABLE.items() if spec.spectrum is not None)
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


_NAMED = {name: objective.columns for name, objective in OBJECTIVES.items()}


def find(text: str) -> Objective:
    """Give the objective of that name: a named one, a raw proxy, or a combination in the form of `search.ranking.expression`.

    The names of raw proxies are not looked up here: a run whose proxies are somebody's own is read without them. See
    `check_names`.

    Raises:
        InputError: it is no name and no combination of names.
    """
    return OBJECTIVES.get(text) or Objective(*expression.parse(text, _NAMED))


def spelled(value: Any) -> str:
    """Write what a configuration says of its objective, a name or a mapping, as the one line that `find` reads.

    Raises:
        InputError: see `search.ranking.expression.spelled`.
    """
    return expression.spelled(value, _NAMED)


def check_names(objective: Objective) -> None:
    """Check that there is each raw proxy of an objective.

    Raises:
        InputError: one is unknown; the message names the nearest.
    """
    if all(name in TABLE for name in objective.proxies):
        return
    known = proxy_names()
    for name in objective.proxies:
        if name not in known:
            shown = sorted({*OBJECTIVES, *known} if objective.name == name else known)
            near = difflib.get_close_matches(name, shown, 1, cutoff=0.5)
            raise InputError(
                f"objective: expected one of {', '.join(shown)}; got '{name}'" + (f", nearest is '{near[0]}'" if near else "")
            )
