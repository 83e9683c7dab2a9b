"""What a set of scores is worth on one half of all networks: its mean gain over the reference, in standard errors of that mean.

A set of networks has one gain by each metric, the mean over its data sets, so that a benchmark of three data sets counts once.
The gains of several sets of networks are averaged as in a meta-analysis with random effects (DerSimonian and Laird, 1986): the
weight of a set is 1 / (error^2 + spread^2). The error is the bootstrap's, so that fourteen networks count for little. The spread
is by how much the true gain of a candidate differs from one set of networks to the next, beyond what all candidates have in
common there: where sets disagree, the largest benchmark does not decide alone, for a search meets networks of none of them.

Errors and spread are those of typical candidates, drawn at random. So all candidates are held to the same scale, and a large gain
is worth more than a small one that is sure. (Errors of its own favour a candidate that orders almost as the reference does.)

The value of a candidate is the mean over the metrics, each in standard errors. (The smallest would leave the choice to the
noisiest metric, nDCG, in which gains are the fewest errors.)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas

from search.bench.choosing.referees import NetworkSet
from search.bench.judging.aggregates import METRICS, Comparison, Judge, Measured, comparison, judge_of, objective
from search.bench.judging.judge import AT_BUDGET
from search.ranking import correlation
from search.ranking.objective import Objective
from search.ranking.ranks import Floats
from uninas.errors import InputError

ALL = "all"
"""Where the mean over sets of networks is."""

TYPICAL = 60
"""Candidates whose gains say what errors and spread are usual."""

DECIDING = tuple(correlation.METRICS)
DECIDING_AT_BUDGET = (AT_BUDGET,)


@dataclass(frozen=True)
class Weights:
    """How the gains of sets of networks become one.

    Attributes:
        error: metric -> the typical standard error of a gain, by set of networks; NaN where there is none.
        spread: metric -> the standard deviation of a true gain between sets of networks.
    """

    error: Mapping[str, tuple[float, ...]]
    spread: Mapping[str, float]

    def of(self, metric: str) -> Floats:
        """Give the weight of each set of networks, 0 for one in which the metric does not exist."""
        errors = np.array(self.error[metric])
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = np.where(errors > 0, 1 / (errors**2 + self.spread[metric] ** 2), 0.0)
        return found

    def shares(self, metric: str) -> tuple[float, ...]:
        """Give the weights so that they add up to 1."""
        weights = self.of(metric)
        return tuple((weights / weights.sum()).tolist()) if weights.any() else tuple(weights.tolist())

    def unit(self, metric: str) -> float:
        """Give the standard error of the mean gain."""
        return float(1 / np.sqrt(self.of(metric).sum()))


@dataclass(frozen=True, eq=False)
class Panel:
    """The judges of one half, by set of networks.

    Attributes:
        judges: of each set of networks, one a referee.
        deciding: the metrics that a value is made of.
    """

    judges: tuple[tuple[Judge, ...], ...]
    deciding: tuple[str, ...]

    @property
    def every(self) -> tuple[Judge, ...]:
        """All judges."""
        return tuple(judge for judges in self.judges for judge in judges)

    def measure(self, components: Sequence[str]) -> Figures:
        """Measure a set of components by every judge and metric."""
        order = objective(components)
        measured: dict[tuple[str, str], Measured] = {}
        for judge in self.every:
            values = order.rank_table(judge.table)
            measured |= {(judge.name, metric): judge.measure(metric, values) for metric in judge.metrics}
        return Figures(self, measured)


@dataclass(frozen=True, eq=False)
class Figures:
    """All figures of one order of the networks on a panel: (referee, metric) -> value and values on the resamples."""

    panel: Panel
    measured: Mapping[tuple[str, str], Measured]

    def comparisons(self, weights: Weights) -> tuple[Comparison, ...]:
        """Hold every figure, and their means over sets of networks, against the reference's."""
        found = [
            comparison(judge.name, metric, self.measured[judge.name, metric], judge.reference[metric])
            for judge in self.panel.every
            for metric in judge.metrics
        ]
        for metric in METRICS if len(self.panel.judges) > 1 else ():
            shares = np.array(weights.shares(metric))
            if shares.any():
                ours, theirs = ([self._mean(place, metric, of) for place in range(len(shares))] for of in (self.measured, None))
                found.append(comparison(ALL, metric, _weighted(ours, shares), _weighted(theirs, shares)))
        return tuple(found)

    def gains(self, metric: str) -> list[Measured]:
        """Give the gain over the reference of each set of networks, the mean over its data sets; NaN where there is none."""
        found = []
        for place in range(len(self.panel.judges)):
            ours, theirs = self._mean(place, metric, self.measured), self._mean(place, metric, None)
            found.append((ours[0] - theirs[0], ours[1] - theirs[1]))
        return found

    def _mean(self, place: int, metric: str, of: Mapping[tuple[str, str], Measured] | None) -> Measured:
        judges = self.panel.judges[place]
        if any(metric not in judge.metrics for judge in judges):
            return np.nan, np.full(judges[0].resamples, np.nan)
        figures = [judge.reference[metric] if of is None else of[judge.name, metric] for judge in judges]
        return float(np.mean([value for value, _ in figures])), np.mean([draws for _, draws in figures], axis=0)

    def value(self, weights: Weights) -> Measured:
        """Give what it is worth, and that on the resamples; -inf where a figure does not exist."""
        means = [_weighted(self.gains(metric), np.array(weights.shares(metric))) for metric in self.panel.deciding]
        return _in_errors(means, [weights.unit(metric) for metric in self.panel.deciding])

    def values(self, weights: Weights) -> list[Measured]:
        """Give what it is worth on each set of networks alone, by the metrics that there are."""
        found = []
        for place in range(len(self.panel.judges)):
            deciding = [metric for metric in self.panel.deciding if weights.of(metric)[place] > 0]
            means = [self.gains(metric)[place] for metric in deciding]
            found.append(_in_errors(means, [weights.error[metric][place] for metric in deciding]))
        return found


def _in_errors(gains: Sequence[Measured], errors: Sequence[float]) -> Measured:
    """Average gains by several metrics, each in its errors."""
    pairs = list(zip(gains, errors, strict=True))
    if not pairs:
        return 0.0, np.zeros(1)
    value = float(np.mean([value / error for (value, _), error in pairs]))
    return value if np.isfinite(value) else -np.inf, np.mean([draws / error for (_, draws), error in pairs], axis=0)


def _weighted(figures: Sequence[Measured], shares: Floats) -> Measured:
    """Average figures; one without weight need not exist."""
    kept = [(share, figure) for share, figure in zip(shares, figures, strict=True) if share > 0]
    return (
        float(sum(share * value for share, (value, _) in kept)),
        np.sum([share * draws for share, (_, draws) in kept], axis=0),
    )


def panel_of(
    sets: Sequence[NetworkSet], half: int, reference: Objective, *, resamples: int, seed: int, deciding: tuple[str, ...]
) -> Panel:
    """Make the judges of one half of each set; no rank is taken over both halves.

    The referees of a set share the networks of each resample. Each set has its own: two of one size are resampled differently.
    """
    made = []
    for place, one in enumerate(sets):
        tables: tuple[tuple[str, pandas.DataFrame], ...] = one.half(half, seed)
        made.append(tuple(judge_of(key, table, reference, resamples=resamples, seed=seed + place) for key, table in tables))
    return Panel(tuple(made), deciding)


def weights_of(panel: Panel, components: Sequence[str], size: int, seed: int) -> Weights:
    """Find the errors and the spread of the gains of typical candidates: `TYPICAL` random sets of `size` components.

    Raises:
        InputError: a metric that is to decide exists in no set of networks.
    """
    found = [panel.measure(drawn) for drawn in _drawn(components, size, seed)]
    error, spread = {}, {}
    for metric in METRICS:
        gains = [figures.gains(metric) for figures in found]
        values = np.array([[value for value, _ in one] for one in gains])  # candidates x sets of networks
        errors = np.array([[_error(draws) for _, draws in one] for one in gains])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a set of networks in which no candidate has the figure
            usual = np.nanmedian(np.where(errors > 0, errors, np.nan), axis=0)
        error[metric] = tuple(usual.tolist())
        spread[metric] = _spread(values, errors)
    weights = Weights(error, spread)
    missing = [metric for metric in panel.deciding if not weights.of(metric).any()]
    if missing:
        raise InputError(
            f"choose: expected runs that have {', '.join(missing)} of the reference and of the scores; none has: at equal budget "
            "a run needs params and flops, and its reference is neither"
        )
    return weights


def _drawn(components: Sequence[str], size: int, seed: int) -> list[tuple[str, ...]]:
    """Draw different sets of one size; all of them where there are not that many."""
    if math.comb(len(components), size) <= TYPICAL:
        return list(combinations(components, size))
    rng = np.random.default_rng([seed, 5])
    drawn: dict[tuple[str, ...], None] = {}
    while len(drawn) < TYPICAL:
        drawn[tuple(components[place] for place in sorted(rng.choice(len(components), size, replace=False)))] = None
    return list(drawn)


def _error(draws: Floats) -> float:
    there = draws[np.isfinite(draws)]
    return float(there.std(ddof=1)) if len(there) > 1 else np.nan


def _spread(gains: Floats, errors: Floats) -> float:
    """Estimate the standard deviation of a candidate's true gain between sets of networks: shape (candidates, sets of networks).

    For each candidate with gains g and weights w = 1 / error^2, Q = sum of w (g - their weighted mean)^2 is K - 1 without a
    spread, and grows by C = sum of w - (sum of w^2) / (sum of w) with its square (DerSimonian and Laird, 1986, eq. 8): the sum of
    Q - (K - 1) over all candidates is divided by that of C.
    """
    known = ((errors > 0) & np.isfinite(gains)).any(axis=0)
    complete = ((errors > 0) & np.isfinite(gains))[:, known].all(axis=1)
    if known.sum() < 2 or not complete.any():
        return 0.0
    gains, weights = gains[np.ix_(complete, known)], errors[np.ix_(complete, known)] ** -2.0
    own = gains - np.median(gains, axis=0)  # how hard a set of networks is for the reference is no matter of candidates
    total = weights.sum(axis=1)
    scatter = (weights * (own - ((weights * own).sum(axis=1) / total)[:, None]) ** 2).sum(axis=1) - (known.sum() - 1)
    growth = total - (weights**2).sum(axis=1) / total
    return float(np.sqrt(max(0.0, scatter.sum() / growth.sum())))
