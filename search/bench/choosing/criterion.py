"""What a set of scores is worth on one half of all networks: its mean gain over the reference, in standard errors of that mean.

A set of networks has one gain by each metric, the mean over its data sets, so that a benchmark of three data sets counts once.
The gains of several sets of networks are averaged as in a meta-analysis with random effects (DerSimonian and Laird, 1986): the
weight of a set is 1 / (error^2 + spread^2). The error is the bootstrap's, so that fourteen networks count for little. The spread
is by how much the true gain of a score differs from one set of networks to the next: where they disagree, the largest benchmark
does not decide alone, for a search meets networks of none of them.

Errors and spread are those of a typical single score, medians over all of them. So all candidates are held to the same scale,
and a large gain is worth more than a small one that is sure. (Errors of its own favour a candidate that orders almost as the
reference does.)

The value of a candidate is the smallest over the metrics: all of them must gain.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        values, draws = [], []
        for metric in self.panel.deciding:
            shares = np.array(weights.shares(metric))
            mean = _weighted(self.gains(metric), shares)
            values.append(mean[0] / weights.unit(metric))
            draws.append(mean[1] / weights.unit(metric))
        value = float(np.min(values))
        return value if np.isfinite(value) else -np.inf, np.min(draws, axis=0)


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


def weights_of(panel: Panel, components: Sequence[str]) -> Weights:
    """Find the errors and the spread of the gains of single scores.

    Raises:
        InputError: a metric that is to decide exists in no set of networks.
    """
    found = [panel.measure((name,)) for name in components]
    error, spread = {}, {}
    for metric in METRICS:
        gains = [figures.gains(metric) for figures in found]
        values = np.array([[value for value, _ in one] for one in gains])  # scores x sets of networks
        errors = np.array([[_error(draws) for _, draws in one] for one in gains])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a set of networks in which no score has the figure
            usual = np.nanmedian(np.where(errors > 0, errors, np.nan), axis=0)
        error[metric] = tuple(usual.tolist())
        spread[metric] = float(np.sqrt(np.median([_between(*row) for row in zip(values, errors, strict=True)])))
    weights = Weights(error, spread)
    missing = [metric for metric in panel.deciding if not weights.of(metric).any()]
    if missing:
        raise InputError(
            f"choose: expected runs that have {', '.join(missing)} of the reference and of the scores; none has: at equal budget "
            "a run needs params and flops, and its reference is neither"
        )
    return weights


def _error(draws: Floats) -> float:
    there = draws[np.isfinite(draws)]
    return float(there.std(ddof=1)) if len(there) > 1 else np.nan


def _between(gains: Floats, errors: Floats) -> float:
    """Estimate the variance of the true gains behind some gains with errors (DerSimonian and Laird, 1986, eq. 8); at least 0."""
    known = np.isfinite(gains) & (errors > 0)
    if known.sum() < 2:
        return 0.0
    gains, weights = gains[known], errors[known] ** -2.0
    mean = (weights @ gains) / weights.sum()
    scatter = weights @ (gains - mean) ** 2
    return float(max(0.0, (scatter - (len(gains) - 1)) / (weights.sum() - (weights @ weights) / weights.sum())))
