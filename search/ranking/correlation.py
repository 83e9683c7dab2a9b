"""How well scores order networks of known accuracy, with bootstrap intervals and tests against chance.

    estimate("kendall", scores, accuracies, seed=0)         Estimate(value, low, high)
    p_value("ndcg", scores, accuracies, seed=0)             against random orders
    paired_difference("ndcg", ours, theirs, accuracies, seed=0)
    kendall, spearman, ndcg, partial_correlation            the bare numbers

Scores: n numbers, higher is better; None, NaN and -inf are failures, which rank lowest and tie with each other
(`missing` counts them). Accuracies: n finite numbers in percent. A number that does not exist, such as the correlation
with a constant, is NaN, and null in `Estimate.as_dict`.

Each metric has a second form, `..._rows`, that takes tables of one sample a row, (r, n), and gives r values: what
resampling and permuting are made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uninas.errors import InputError

Floats = NDArray[np.float64]
Numbers = Sequence[float | None] | NDArray[Any]
Rows = Callable[..., Floats]
"""A statistic of tables (r, n), one or more, and `seed=`: r values."""

FULL, FULL_TOP = 9445, 1000
"""NAS-Bench-201's reachable architectures, and how many of them the VKDNW paper's nDCG looks at."""

_CHUNK = 2_000_000
"""Entries of one table of resamples: bounds the memory to some tens of megabytes."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval; NaN where it does not exist."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """The three numbers for JSON, null for one that does not exist."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {name: number if math.isfinite(number) else None for name, number in numbers.items()}


@dataclass(frozen=True)
class Toy:
    """Ten networks and two rankings of them (VKDNW paper, Fig. 2): accuracies in percent, ranks 1 (worst) to 10."""

    accuracies: tuple[float, ...]
    rankings: Mapping[str, tuple[float, ...]]


TOY = Toy(
    accuracies=(100, 90, 80, 70, 60, 50, 40, 30, 20, 10),
    rankings={
        "damaged_top": (8, 7, 10, 9, 6, 5, 4, 3, 2, 1),  # the best two and the next two have changed places
        "perfect_top": (10, 9, 8, 7, 6, 5, 1, 2, 3, 4),  # the worst four are reversed
    },
)
"""Correlations prefer the ranking that spoils the top; nDCG prefers the other."""


# --- what goes in -----------------------------------------------------------------------------------------------------------


def missing(scores: Numbers) -> int:
    """How many scores are failures: None, NaN or -inf."""
    return int(np.isneginf(_scores(scores)).sum())


def _scores(scores: Numbers) -> Floats:
    """Scores as numbers, every failure -inf."""
    numbers: Floats = np.array(scores, dtype=np.float64)  # None becomes NaN
    if numbers.ndim != 1:
        raise ValueError(f"scores: expected a vector, got an array of shape {numbers.shape}")
    numbers[np.isnan(numbers)] = -np.inf
    return numbers


def _accuracies(accuracies: Numbers, count: int) -> Floats:
    numbers: Floats = np.array(accuracies, dtype=np.float64)
    if numbers.shape != (count,):
        raise ValueError(f"accuracies: expected one for each of {count} scores, got an array of shape {numbers.shape}")
    if count < 2:
        raise InputError(f"metrics: expected at least 2 networks, got {count}")
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        raise InputError(
            f"accuracies: expected finite numbers in percent, got {numbers[wrong[0]]} for network {wrong[0]}"
            + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else "")
        )
    return numbers


def _levels(numbers: Floats) -> NDArray[np.int64]:
    """Dense ranks from 0: all that rank statistics need, and quick to rank again in every resample."""
    return np.unique(numbers, return_inverse=True)[1].reshape(numbers.shape)


def default_top(count: int, of: int = FULL) -> int:
    """P of nDCG for `count` networks of a population: 1000 of all, as the VKDNW paper has it for NAS-Bench-201's 9,445
    reachable architectures and for all 15,625; the same share of a sample, at least 1.
    """
    return max(1, round(FULL_TOP * count / of))


# --- the metrics ------------------------------------------------------------------------------------------------------------


def kendall_rows(scores: NDArray[Any], accuracies: NDArray[Any], *, seed: int = 0) -> Floats:
    """Kendall's tau-b of each row of two (r, n) tables: r values; NaN where one of the two is constant.

    Tables of integers must be dense levels from 0, as `prepared` makes them; floats may be anything.
    """
    from scipy.stats import kendalltau  # half a second, which a search and who watches it do not need

    # The method concerns the p-value alone, which is not used: the quick one, which divides by n - 2.
    method = "asymptotic" if scores.shape[1] > 2 else "exact"
    pairs = zip(scores, accuracies, strict=True)
    return np.array([kendalltau(x, y, variant="b", method=method).statistic for x, y in pairs])


def spearman_rows(scores: NDArray[Any], accuracies: NDArray[Any], *, seed: int = 0) -> Floats:
    """Spearman's rho of each row of two (r, n) tables, ties at their average rank: r values; NaN as `kendall_rows`."""
    x, y = _average_ranks(scores), _average_ranks(accuracies)
    x -= x.mean(axis=1, keepdims=True)
    y -= y.mean(axis=1, keepdims=True)
    return _ratio((x * y).sum(axis=1), np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1)))


def ndcg_rows(scores: NDArray[Any], accuracies: Floats, *, top: int | None = None, seed: int = 0) -> Floats:
    """nDCG of each row of two (r, n) tables (VKDNW paper, eq. 14): r values.

    Gain 2^accuracy - 1, accuracy in percent; discount log2(1 + place), places from 1 to P = `top`; divided by the same sum of
    the best order. Networks with equal scores stand in random order, drawn from `seed` anew for each row.
    """
    places = default_top(scores.shape[1]) if top is None else top
    if not 1 <= places <= scores.shape[1]:
        raise InputError(f"nDCG: expected at least P = {places} networks, and P at least 1; got {scores.shape[1]}")
    best = accuracies.max(axis=1, keepdims=True)
    gains = np.exp2(accuracies - best) - np.exp2(-best)  # divided by 2^best, which the ratio below cancels: 2^1000 is no float
    order = _best_first(_as_levels(scores) + np.random.default_rng(seed).random(scores.shape), places)
    ideal = _best_first(gains, places)
    discount = 1.0 / np.log2(1.0 + np.arange(1, places + 1))
    return _ratio(np.take_along_axis(gains, order, axis=1) @ discount, np.take_along_axis(gains, ideal, axis=1) @ discount)


def _best_first(table: Floats, places: int) -> NDArray[np.intp]:
    """Columns of the `places` largest entries of each row, largest first."""
    chosen = np.argpartition(-table, places - 1, axis=1)[:, :places]
    order = np.argsort(-np.take_along_axis(table, chosen, axis=1), axis=1)
    return np.take_along_axis(chosen, order, axis=1)


def _as_levels(table: NDArray[Any]) -> NDArray[Any]:
    return table if table.dtype.kind == "i" else _levels(table)


def _average_ranks(table: NDArray[Any]) -> Floats:
    """Rank each row from 1, ties averaged, by counting levels."""
    levels = _as_levels(table)
    width = int(levels.max()) + 1
    shifted = levels + width * np.arange(len(levels))[:, None]
    counts = np.bincount(shifted.ravel(), minlength=width * len(levels)).reshape(len(levels), width)
    ranks: Floats = np.cumsum(counts, axis=1) - (counts - 1) / 2.0
    return np.take_along_axis(ranks, levels, axis=1)


def _ratio(above: Floats, below: Floats) -> Floats:
    result: Floats = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result


METRICS: dict[str, Rows] = {"kendall": kendall_rows, "spearman": spearman_rows, "ndcg": ndcg_rows}
"""Every metric by name, in its form for tables."""


def prepared(metric: str, scores: Numbers, accuracies: Numbers) -> tuple[NDArray[Any], NDArray[Any]]:
    """Check scores and accuracies and give them in the form in which resampling by that metric is quick.

    Raises:
        InputError: unknown metric, accuracies that are not finite or no percentages.
    """
    if metric not in METRICS:
        raise InputError(f"metric: expected one of {', '.join(METRICS)}; got '{metric}'")
    numbers = _scores(scores)
    truth = _accuracies(accuracies, len(numbers))
    if metric != "ndcg":
        return _levels(numbers), _levels(truth)
    if not (truth.min() >= 0 and truth.max() <= 100):
        raise InputError(f"nDCG: expected accuracies in percent, 0 to 100; got {truth.min():g} to {truth.max():g}")
    return _levels(numbers), truth


def _options(metric: str, count: int, top: int | None) -> dict[str, int]:
    if metric != "ndcg":
        return {}
    return {"top": default_top(count) if top is None else top}


def _single(metric: str, scores: Numbers, accuracies: Numbers, top: int | None = None, seed: int = 0) -> float:
    columns = prepared(metric, scores, accuracies)
    return float(METRICS[metric](*(column[None] for column in columns), seed=seed, **_options(metric, len(columns[0]), top))[0])


def kendall(scores: Numbers, accuracies: Numbers) -> float:
    """Kendall's tau-b in [-1, 1] (VKDNW paper, eq. 13); NaN where one of the two is constant."""
    return _single("kendall", scores, accuracies)


def spearman(scores: Numbers, accuracies: Numbers) -> float:
    """Spearman's rho in [-1, 1], ties at their average rank; NaN where one of the two is constant."""
    return _single("spearman", scores, accuracies)


def ndcg(scores: Numbers, accuracies: Numbers, top: int | None = None, seed: int = 0) -> float:
    """nDCG_P in [0, 1] (see `ndcg_rows`); P = `top`, by default `default_top(n)`.

    Raises:
        InputError: fewer networks than P, or accuracies that are no percentages.
    """
    return _single("ndcg", scores, accuracies, top, seed)


def partial_correlation(first: Numbers, second: Numbers, accuracies: Numbers) -> float:
    """Kendall correlation of two scores with the accuracy taken out (T-CET paper, eq. 1); NaN where it does not exist."""
    columns = [_levels(_scores(first)), _levels(_scores(second)), _levels(_accuracies(accuracies, len(first)))]
    return float(partial_rows(*(column[None] for column in columns))[0])


def partial_estimate(first: Numbers, second: Numbers, accuracies: Numbers, *, resamples: int, seed: int) -> Estimate:
    """`partial_correlation` with its bootstrap interval."""
    columns = [_levels(_scores(first)), _levels(_scores(second)), _levels(_accuracies(accuracies, len(first)))]
    return bootstrap(partial_rows, columns, resamples=resamples, seed=seed)


def partial_rows(first: NDArray[Any], second: NDArray[Any], accuracies: NDArray[Any], *, seed: int = 0) -> Floats:
    """`partial_correlation` of each row of three (r, n) tables: r values."""
    xy, xz, yz = kendall_rows(first, second), kendall_rows(first, accuracies), kendall_rows(second, accuracies)
    return _ratio(xy - xz * yz, np.sqrt((1 - xz**2) * (1 - yz**2)))


# --- intervals --------------------------------------------------------------------------------------------------------------


def bootstrap(statistic: Rows, columns: Sequence[NDArray[Any]], *, resamples: int, seed: int, level: float = 0.95) -> Estimate:
    """A statistic of n networks with its bootstrap interval: networks are drawn again with replacement.

    Args:
        statistic: of one table (r, n) for each column, and `seed`; gives r values.
        columns: vectors of length n, resampled together.
        resamples: how many; a few hundred.
        seed: of the draws, and of what the statistic draws.
        level: probability that the interval is to cover.
    """
    columns = [np.asarray(column) for column in columns]
    value = float(statistic(*(column[None] for column in columns), seed=seed)[0])
    return interval(value, replicates(statistic, columns, resamples=resamples, seed=seed), level)


def replicates(statistic: Rows, columns: Sequence[NDArray[Any]], *, resamples: int, seed: int) -> Floats:
    """The statistic's values on `resamples` bootstrap samples of the columns."""
    count = len(columns[0])
    rng = np.random.default_rng([seed, 1])
    parts = []
    for start in range(0, resamples, max(1, _CHUNK // count)):
        rows = rng.integers(0, count, (min(resamples - start, max(1, _CHUNK // count)), count))
        parts.append(statistic(*(column[rows] for column in columns), seed=int(rng.integers(1 << 31))))
    return np.concatenate(parts) if parts else np.zeros(0)


def interval(value: float, values: Floats, level: float = 0.95) -> Estimate:
    """The percentile interval of bootstrap `values` around `value`; NaN bounds where no resample gave a number.

    Why percentiles, seen on samples of 1,500 from the 9,445 of NAS-Bench-201: a network drawn twice is a tie in scores and
    accuracies at once, which tau-b leaves out of both its parts and rho hardly notices (bias below .001), and intervals that
    correct for bias or reflect the percentiles covered no better. nDCG hangs on the few best networks: its percentile
    intervals of 95% covered the truth in 85 to 100 of 100 samples, reflected and bias-corrected ones in 77 to 92.
    """
    finite = values[np.isfinite(values)]
    if not len(finite) or not math.isfinite(value):
        return Estimate(value, math.nan, math.nan)
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


def estimate(
    metric: str,
    scores: Numbers,
    accuracies: Numbers,
    *,
    seed: int,
    resamples: int = 300,
    level: float = 0.95,
    top: int | None = None,
) -> Estimate:
    """A metric ("kendall", "spearman", "ndcg") with its bootstrap interval.

    The interval is of another draw of as many networks. Where the networks are a sample of a finite space, drawn without
    replacement, it is on the wide side. For nDCG it holds the random order of ties too, so that a score with few values, such
    as aleph, has a wide one; the value itself is for the order that `seed` gives. `top`: P of nDCG, default `default_top(n)`.

    Raises:
        InputError: unknown metric, accuracies that are no percentages, fewer networks than P.
    """
    columns = prepared(metric, scores, accuracies)
    statistic = partial(METRICS[metric], **_options(metric, len(columns[0]), top))
    return bootstrap(statistic, columns, resamples=resamples, seed=seed, level=level)


def paired_difference(
    metric: str,
    first: Numbers,
    second: Numbers,
    accuracies: Numbers,
    *,
    seed: int,
    resamples: int = 300,
    level: float = 0.95,
    top: int | None = None,
) -> Estimate:
    """The metric of `first` minus that of `second` on the same networks, with its bootstrap interval.

    Both see the same resamples, so what is hard about a resample cancels. `first` is better with confidence where `low` > 0.
    """
    ours, truth = prepared(metric, first, accuracies)
    theirs, _ = prepared(metric, second, accuracies)
    measure = partial(METRICS[metric], **_options(metric, len(truth), top))

    def difference(one: NDArray[Any], other: NDArray[Any], accuracy: NDArray[Any], *, seed: int) -> Floats:
        return measure(one, accuracy, seed=seed) - measure(other, accuracy, seed=seed)

    return bootstrap(difference, (ours, theirs, truth), resamples=resamples, seed=seed, level=level)


def p_value(
    metric: str, scores: Numbers, accuracies: Numbers, *, seed: int, permutations: int = 1000, top: int | None = None
) -> float:
    """How probable it is that a random order of the networks does at least as well: in (0, 1], NaN for a constant.

    (1 + random orders at least as good) / (1 + permutations): never 0, which no finite number of orders can show.
    """
    columns = prepared(metric, scores, accuracies)
    count = len(columns[0])
    measure = partial(METRICS[metric], **_options(metric, count, top))
    seen = float(measure(*(column[None] for column in columns), seed=seed)[0])
    if not math.isfinite(seen):
        return math.nan
    rng = np.random.default_rng([seed, 2])
    better, step = 0, max(1, _CHUNK // count)
    for start in range(0, permutations, step):
        size = min(permutations - start, step)
        shuffled = rng.permuted(np.broadcast_to(columns[0], (size, count)), axis=1)
        truth = np.broadcast_to(columns[1], (size, count))
        better += int((measure(shuffled, truth, seed=int(rng.integers(1 << 31))) >= seen - 1e-12).sum())
    return (1 + better) / (1 + permutations)
