"""Sets of proxies whose ranks are multiplied (VKDNW paper, eq. 15), each held against one reference on the same networks.

judge = judge_of("cifar10", table, reference, resamples=1000, seed=0)
judge.compare(objective(("jacov", "synflow")).rank_table(table))         every metric: ours, the reference's, the difference
screen(judges, components, 5, keep=100)                                  the best of all sets of one to five components
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations
from typing import Any

import numpy as np
import pandas

from search.ranking import correlation
from search.ranking.correlation import Estimate
from search.ranking.objective import Objective, find, spelled
from search.ranking.ranks import Floats, ranks

PAIRS: dict[str, tuple[str, ...]] = {"vkdnw_single": ("aleph", "vkdnw")}
"""Components that order by two raw scores, the second where the first is equal."""

OF_EACH_SIZE = 5
"""So many sets of every size are judged exactly, whatever the larger ones promise, so that small sets are considered too."""

_CHUNK = 2_000_000  # entries of one table of sets by networks: bounds the memory to some tens of megabytes


def objective(components: Sequence[str]) -> Objective:
    """Make the rank product of components, raw scores or keys of `PAIRS`; its name is what a configuration may say for it."""
    return find(spelled({"product": [list(PAIRS[name]) if name in PAIRS else name for name in components]}))


@dataclass(frozen=True)
class Comparison:
    """One metric of an aggregate and of the reference on the same networks.

    Attributes:
        where: the dataset or family.
        metric: a key of `search.ranking.correlation.METRICS`.
        ours, reference: with their bootstrap intervals.
        difference: ours minus the reference's, of the same resamples.
        error: standard deviation of the difference over the resamples; NaN without two of them.
    """

    where: str
    metric: str
    ours: Estimate
    reference: Estimate
    difference: Estimate
    error: float

    @property
    def units(self) -> float:
        """The difference in standard errors; 0 for equals, -inf where a figure does not exist."""
        if not (math.isfinite(self.difference.value) and math.isfinite(self.error)):
            return -math.inf
        if self.error > 0:
            return self.difference.value / self.error
        return 0.0 if self.difference.value == 0 else math.copysign(math.inf, self.difference.value)


@dataclass(frozen=True, eq=False)
class Judge:
    """Networks of known accuracy, and what the reference is worth on them.

    Attributes:
        name: of the dataset or family.
        table: a network a row: accuracy (percent) and raw scores.
        top: P of nDCG.
        resamples, seed: of the bootstrap.
        reference: metric -> (value, values on the resamples).
    """

    name: str
    table: pandas.DataFrame
    top: int
    resamples: int
    seed: int
    reference: Mapping[str, tuple[float, Floats]]

    def measure(self, metric: str, values: Floats) -> tuple[float, Floats]:
        """Give a metric of `values`, higher is better, and its values on the resamples, which are the same for all."""
        columns = correlation.prepared(metric, values, self.table["accuracy"].to_numpy(dtype=np.float64))
        statistic: Any = correlation.METRICS[metric]
        statistic = partial(statistic, top=self.top) if metric == "ndcg" else statistic
        value = float(statistic(*(column[None] for column in columns), seed=self.seed)[0])
        return value, correlation.replicates(statistic, columns, resamples=self.resamples, seed=self.seed)

    def compare(self, values: Floats) -> tuple[Comparison, ...]:
        """Hold an order of the networks against the reference's: one comparison a metric."""
        return tuple(
            comparison(self.name, metric, self.measure(metric, values), self.reference[metric]) for metric in correlation.METRICS
        )


def judge_of(name: str, table: pandas.DataFrame, reference: Objective, *, resamples: int, seed: int) -> Judge:
    """Make the judge of a table; the reference's ranks are those within it."""
    bare = Judge(name, table, correlation.default_top(len(table)), resamples, seed, {})
    values = reference.rank_table(table)
    return Judge(name, table, bare.top, resamples, seed, {metric: bare.measure(metric, values) for metric in correlation.METRICS})


def comparison(where: str, metric: str, ours: tuple[float, Floats], reference: tuple[float, Floats]) -> Comparison:
    """Compare two rankings by a metric: of each its value and its values on the same resamples."""
    draws = ours[1] - reference[1]
    there = draws[np.isfinite(draws)]
    return Comparison(
        where,
        metric,
        correlation.interval(*ours),
        correlation.interval(*reference),
        correlation.interval(ours[0] - reference[0], draws),
        float(there.std(ddof=1)) if len(there) > 1 else math.nan,
    )


def worst(comparisons: Sequence[Comparison]) -> float:
    """Give the smallest gain in standard errors: what a set is chosen by."""
    return min((one.units for one in comparisons), default=-math.inf)


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


def screen(
    judges: Sequence[Judge],
    components: Sequence[str],
    largest: int,
    *,
    keep: int,
    note: Callable[[str], None] = lambda text: None,
) -> list[tuple[str, ...]]:
    """Look at every set of 1 to `largest` components, and give those worth exact judging, the most promising first.

    A set's promise is its smallest gain over the reference in Spearman's rho and nDCG, over all judges, each in bootstrap
    standard errors of the reference's own figure. Equal values stand in the order of the table's rows: what is exact comes
    later. The best `keep` of all are given, and the best `OF_EACH_SIZE` of each size.
    """
    largest = min(largest, len(components))
    by_size = [np.array(list(combinations(range(len(components)), size)), dtype=np.intp) for size in range(1, largest + 1)]
    promises = [np.full(len(sets), np.inf) for sets in by_size]
    for judge in judges:
        note(f"{judge.name}: {sum(map(len, by_size)):,} sets of {len(components)} components on {len(judge.table):,} networks")
        logarithms = np.stack([objective((name,)).rank_table(judge.table) for name in components])
        for sets, promise in zip(by_size, promises, strict=True):
            for part, values in _chunks(logarithms, sets):
                promise[part] = np.minimum(promise[part], _promise(judge, values))
    ordered = np.argsort(-np.concatenate(promises), kind="stable")[:keep]
    starts = np.cumsum([0, *map(len, by_size)])
    places = chain.from_iterable(
        start + np.argsort(-promise, kind="stable")[:OF_EACH_SIZE] for start, promise in zip(starts, promises, strict=False)
    )
    found = []
    for place in dict.fromkeys([*ordered.tolist(), *map(int, places)]):
        size = int(np.searchsorted(starts, place, side="right")) - 1
        found.append(tuple(components[column] for column in by_size[size][place - starts[size]]))
    return found


def _chunks(logarithms: Floats, sets: Any) -> Iterator[tuple[slice, Floats]]:
    """Give the values of the sets, (sets, networks), some at a time."""
    step = max(1, _CHUNK // logarithms.shape[1])
    for start in range(0, len(sets), step):
        part = slice(start, start + step)
        values = logarithms[sets[part, 0]]
        for column in range(1, sets.shape[1]):
            values += logarithms[sets[part, column]]
        yield part, values


def _promise(judge: Judge, values: Floats) -> Floats:
    """Give the smaller of the gains in Spearman's rho and nDCG of each row, from one sort of it."""
    accuracy = judge.table["accuracy"].to_numpy(dtype=np.float64)
    order = np.argsort(-values, axis=1)
    truth = ranks(accuracy)
    truth = (truth - truth.mean()) / truth.std()
    places = np.arange(len(accuracy), 0, -1.0)
    spearman = truth[order] @ ((places - places.mean()) / places.std()) / len(accuracy)
    gains = np.exp2(accuracy - accuracy.max()) - np.exp2(-accuracy.max())
    discount = 1.0 / np.log2(1.0 + np.arange(1, judge.top + 1))
    ndcg = gains[order[:, : judge.top]] @ discount / (np.sort(gains)[::-1][: judge.top] @ discount)
    least: Floats = np.full(len(values), np.inf)
    for metric, found in (("spearman", spearman), ("ndcg", ndcg)):
        value, draws = judge.reference[metric]
        unit = float(np.nanstd(draws))
        least = np.minimum(least, (found - value) / unit if unit > 0 else found - value)
    return least
