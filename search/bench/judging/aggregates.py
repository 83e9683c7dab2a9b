"""Sets of proxies whose ranks are multiplied (VKDNW paper, eq. 15), each held against one reference on the same networks.

judge = judge_of("cifar10", table, reference, resamples=1000, seed=0)
judge.compare(objective(("jacov", "synflow")).rank_table(table))         every metric: ours, the reference's, the difference
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas

from search.bench.judging.judge import AT_BUDGET, held_of
from search.ranking import correlation
from search.ranking.budget import Held
from search.ranking.correlation import Estimate
from search.ranking.objective import Objective, find, spelled
from search.ranking.ranks import Floats, ranks

PAIRS: dict[str, tuple[str, ...]] = {"vkdnw_single": ("aleph", "vkdnw")}
"""Components that order by two raw scores, the second where the first is equal."""

METRICS = (*correlation.METRICS, AT_BUDGET)
"""What a set is held against the reference by; the last one where a table has what it takes out."""


def objective(components: Sequence[str]) -> Objective:
    """Make the rank product of components, raw scores or keys of `PAIRS`; its name is what a configuration may say for it."""
    return find(spelled({"product": [list(PAIRS[name]) if name in PAIRS else name for name in components]}))


@dataclass(frozen=True)
class Comparison:
    """One metric of an aggregate and of the reference on the same networks.

    Attributes:
        where: the referee or family.
        metric: one of `METRICS`.
        ours, reference: with their bootstrap intervals.
        difference: ours minus the reference's, of the same resamples.
    """

    where: str
    metric: str
    ours: Estimate
    reference: Estimate
    difference: Estimate


Measured = tuple[float, Floats]
"""A figure, and its values on the resamples."""


@dataclass(frozen=True, eq=False)
class Judge:
    """Networks of known accuracy, and what the reference is worth on them.

    Attributes:
        name: of the referee or family.
        table: a network a row: accuracy (percent) and raw scores.
        top: P of nDCG.
        resamples, seed: of the bootstrap.
        held: what is equal at equal budget; None where the table lacks it.
        reference: metric -> (value, values on the resamples).
    """

    name: str
    table: pandas.DataFrame
    top: int
    resamples: int
    seed: int
    held: Held | None
    reference: Mapping[str, Measured]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those of `METRICS` that there are."""
        return tuple(metric for metric in METRICS if metric != AT_BUDGET or self.held is not None)

    def measure(self, metric: str, values: Floats) -> Measured:
        """Give a metric of `values`, higher is better, and its values on the resamples, which are the same for all."""
        if metric == AT_BUDGET:
            assert self.held is not None
            value, *draws = self.held.values(values)
            return float(value), np.array(draws)
        columns = correlation.prepared(metric, values, self.table["accuracy"].to_numpy(dtype=np.float64))
        statistic: Any = correlation.METRICS[metric]
        statistic = partial(statistic, top=self.top) if metric == "ndcg" else statistic
        found = float(statistic(*(column[None] for column in columns), seed=self.seed)[0])
        return found, correlation.replicates(statistic, columns, resamples=self.resamples, seed=self.seed)

    def compare(self, values: Floats) -> tuple[Comparison, ...]:
        """Hold an order of the networks against the reference's: one comparison a metric."""
        return tuple(
            comparison(self.name, metric, self.measure(metric, values), self.reference[metric]) for metric in self.metrics
        )


def judge_of(name: str, table: pandas.DataFrame, reference: Objective, *, resamples: int, seed: int) -> Judge:
    """Make the judge of a table; the reference's ranks are those within it."""
    held = held_of(table, resamples=resamples, seed=seed)
    bare = Judge(name, table, correlation.default_top(len(table)), resamples, seed, held, {})
    values = reference.rank_table(table)
    return Judge(name, table, bare.top, resamples, seed, held, {metric: bare.measure(metric, values) for metric in bare.metrics})


def comparison(where: str, metric: str, ours: Measured, reference: Measured) -> Comparison:
    """Compare two rankings by a metric: of each its value and its values on the same resamples."""
    return Comparison(
        where,
        metric,
        correlation.interval(*ours),
        correlation.interval(*reference),
        correlation.interval(ours[0] - reference[0], ours[1] - reference[1]),
    )


# --- which sets there are ---------------------------------------------------------------------------------------------------

_TWINS = 0.999  # Spearman correlation above which two scores are one


def usable(tables: Sequence[pandas.DataFrame], names: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Leave out components that cannot be ranked by, or that order as an earlier one does; no accuracy is looked at.

    Returns:
        the others in their order, and why each was left out.
    """
    kept: list[str] = []
    reasons: dict[str, str] = {}
    ranked: list[dict[str, Floats]] = [{} for _ in tables]
    for name in names:
        wanted = PAIRS.get(name, (name,))
        if any(column not in table.columns for table in tables for column in wanted):
            reasons[name] = "not scored in every run"
            continue
        found = [objective((name,)).rank_table(table) for table in tables]
        if any(np.ptp(values) == 0 for values in found):
            reasons[name] = "the same for all networks of a run"
            continue
        twin = next(
            (other for other in kept if all(_alike(of[other], values) for of, values in zip(ranked, found, strict=True))), None
        )
        if twin is not None:
            reasons[name] = f"orders as {twin}"
            continue
        kept.append(name)
        for of, values in zip(ranked, found, strict=True):
            of[name] = values
    return tuple(kept), reasons


def _alike(first: Floats, second: Floats) -> bool:
    return bool(np.corrcoef(ranks(first), ranks(second))[0, 1] > _TWINS)


def count_sets(components: int, largest: int) -> int:
    """How many sets of 1 to `largest` components there are."""
    return sum(math.comb(components, size) for size in range(1, largest + 1))
