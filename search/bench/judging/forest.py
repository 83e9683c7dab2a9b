"""Ranking by a model: a random forest fitted on networks of known accuracy predicts the others (VKDNW paper, Sec. V-A b).

    result = evaluate_model("vkdnw_zcs_graf_m", scores, graphs, accuracies, seed=0)
    result.metrics["kendall"]                                    Estimate(value, low, high)
    fit_predict(columns, accuracies, train=1024, seed=0)         one forest

The models are the paper's three and GRAF's. Its "100 iterations" are read as 100 trees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from search.ranking.correlation import METRICS, Estimate, interval, missing, prepared, replicates
from uninas.errors import InputError

Floats = NDArray[np.float64]
Columns = Mapping[str, Sequence[float | None] | NDArray[Any]]
"""Features by name, each a vector of one number a network; None, NaN and -inf: there is none."""

TRAIN = 1024
"""How many networks of known accuracy the paper fits on."""

SPECTRUM = (*(f"vkdnw_decile_{number}" for number in range(1, 10)), "aleph", "flops")
"""The features of VKDNW_m: the nine deciles of the Fisher spectrum, the number of layers, MACs."""


@dataclass(frozen=True)
class Model:
    """Which features a model sees: `SPECTRUM`, all other raw scores, the features of the architecture's graphs."""

    spectrum: bool = False
    scores: bool = False
    graphs: bool = False


MODELS: dict[str, Model] = {
    "vkdnw_m": Model(spectrum=True),
    "vkdnw_zcs_m": Model(spectrum=True, scores=True),
    "vkdnw_zcs_graf_m": Model(spectrum=True, scores=True, graphs=True),
    "graf_m": Model(graphs=True),
}
"""Every model by name, as the paper has them."""


@dataclass(frozen=True)
class Prediction:
    """What one forest said of the networks it was not fitted on: their places in the table, and the predicted accuracies."""

    rows: NDArray[np.intp]
    values: Floats


@dataclass(frozen=True)
class Result:
    """A model judged over several splits.

    Attributes:
        metrics: by name the mean over the splits, and an interval that holds what the choice of the training networks and what
            the choice of the held-out ones do.
        splits: the value of each metric on each split's held-out networks.
        train: networks fitted on in each split.
        held_out: networks judged in each split.
        features: number of features.
        missing: share of missing values among all the features.
    """

    metrics: Mapping[str, Estimate]
    splits: Mapping[str, tuple[float, ...]]
    train: int
    held_out: int
    features: int
    missing: float


def train_size(count: int) -> int:
    """How many of `count` networks to fit on: 1,024 of 1,100 or more, half of fewer."""
    return TRAIN if count >= 1100 else count // 2


def columns_of(model: str, scores: Columns, graphs: Columns) -> dict[str, Sequence[float | None] | NDArray[Any]]:
    """Give the features of a model.

    Args:
        model: one of `MODELS`.
        scores: raw scores, the deciles among them.
        graphs: `uninas.analysis.features.graph_features`, one column per feature.

    Raises:
        InputError: no such model; a feature that it needs is missing.
    """
    if model not in MODELS:
        raise InputError(f"model: expected one of {', '.join(MODELS)}; got '{model}'")
    parts = MODELS[model]
    lacking = [name for name in SPECTRUM if name not in scores] if parts.spectrum else []
    if lacking:
        raise InputError(f"{model}: expected the scores {', '.join(SPECTRUM)}; missing: {', '.join(lacking)}")
    if parts.graphs and not graphs:
        raise InputError(f"{model}: expected features of the architectures' graphs; got none")
    chosen = {name: scores[name] for name in SPECTRUM} if parts.spectrum else {}
    if parts.scores:
        chosen |= {name: column for name, column in scores.items() if name not in chosen}
    return chosen | ({f"graph.{name}": column for name, column in graphs.items()} if parts.graphs else {})


def fit_predict(
    features: Columns, accuracies: Sequence[float] | NDArray[Any], *, seed: int, train: int = TRAIN, trees: int = 100
) -> Prediction:
    """Fit a forest on `train` networks drawn at random, and predict all others.

    A feature enters as its place among the training networks' values, between two of them in proportion. To a tree that is the
    feature itself, and scores as large as SynFlow's 1e300, or infinite, are no trouble. A missing value stands below all others.

    Args:
        features: n numbers each.
        accuracies: n, finite, in percent; of the held-out networks none is looked at.
        seed: of the split and of the forest.
        train: networks to fit on.
        trees: trees of the forest.

    Raises:
        InputError: fewer than 2 networks to fit on or to hold out.
    """
    truth: Floats = np.asarray(accuracies, dtype=np.float64)
    count = len(truth)
    if not 2 <= train <= count - 2:
        raise InputError(
            f"forest: expected 2 networks or more to fit on and 2 or more to hold out; got {train} of {count} to fit on"
            f" (`train_size` gives {train_size(count)})"
        )
    if not features:
        raise InputError("forest: expected at least one feature; got none")
    order = np.random.default_rng([seed, 3]).permutation(count)
    fitted, held = np.sort(order[:train]), np.sort(order[train:])
    columns = {name: np.array(values, dtype=np.float64) for name, values in features.items()}
    for name, column in columns.items():
        if column.shape != (count,):
            raise ValueError(f"forest: expected {count} values of the feature {name}, got an array of shape {column.shape}")
    placed = [_placed(column, fitted) for column in columns.values()]
    table = np.stack([column for column in placed if np.ptp(column[fitted]) > 0] or placed[:1], axis=1)
    distinct = np.unique(table[fitted], axis=1, return_index=True)[1]
    table = table[:, np.sort(distinct)].astype(np.float32)  # a column twice costs time and says nothing
    forest = RandomForestRegressor(n_estimators=trees, random_state=np.random.RandomState(seed % (1 << 32)), n_jobs=1)
    forest.fit(table[fitted], truth[fitted])
    return Prediction(held, np.asarray(forest.predict(table[held]), dtype=np.float64))


def _placed(column: Floats, fitted: NDArray[np.intp]) -> Floats:
    """Each value's place, from 0, among the different finite ones of the training networks; a missing one is at -1."""
    known = np.unique(column[fitted][np.isfinite(column[fitted])])
    result: Floats = np.full(len(column), -1.0)
    there = ~(np.isnan(column) | np.isneginf(column))
    if len(known):
        result[there] = np.interp(np.minimum(column[there], np.finfo(np.float64).max), known, np.arange(len(known)))
    else:
        result[there] = 0.0
    return result


def evaluate_model(
    model: str,
    scores: Columns,
    graphs: Columns,
    accuracies: Sequence[float] | NDArray[Any],
    *,
    seed: int,
    splits: int = 5,
    train: int | None = None,
    trees: int = 100,
    resamples: int = 300,
    level: float = 0.95,
) -> Result:
    """Judge a model on several seeded splits by every metric of `search.ranking.correlation`, on the held-out networks alone.

    P of nDCG is `default_top` of the held-out networks. The interval: in each split the held-out networks are resampled
    `resamples / splits` times; percentiles over all of them.

    Args:
        model: one of `MODELS`.
        scores: raw scores, n each, the deciles among them.
        graphs: features of the graphs, n each; may be empty for a model without them.
        accuracies: n, in percent.
        seed: split k draws from (seed, k).
        splits: how many.
        train: networks to fit on; by default `train_size(n)`.
        trees: trees of each forest.
        resamples: of the bootstrap, over all splits.
        level: probability that the intervals are to cover.

    Raises:
        InputError: see `columns_of` and `fit_predict`.
    """
    columns = columns_of(model, scores, graphs)
    truth: Floats = np.asarray(accuracies, dtype=np.float64)
    size = train_size(len(truth)) if train is None else train
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    samples: dict[str, list[Floats]] = {name: [] for name in METRICS}
    for split in range(splits):
        drawn = int(np.random.SeedSequence([seed, split]).generate_state(1)[0])
        found = fit_predict(columns, truth, train=size, seed=drawn, trees=trees)
        for name, statistic in METRICS.items():
            pair = prepared(name, found.values, truth[found.rows])
            values[name].append(float(statistic(*(column[None] for column in pair), seed=drawn)[0]))
            samples[name].append(replicates(statistic, pair, resamples=-(-resamples // splits), seed=drawn))
    return Result(
        metrics={name: interval(float(np.mean(values[name])), np.concatenate(samples[name]), level) for name in METRICS},
        splits={name: tuple(numbers) for name, numbers in values.items()},
        train=size,
        held_out=len(truth) - size,
        features=len(columns),
        missing=sum(missing(column) for column in columns.values()) / (len(truth) * len(columns)),
    )
