"""How far a score can be trusted: whether other seeds order the same networks as it does.

    reliability([[.3, .5, .1], [.2, .6, .1]])                     of one score, a vector for each seed
    of_objective(find("vkdnw_agg"), [first, again])               of a rank within the population, a table of scores for each seed
    is_noise(found)                                               whether its seeds say more than its networks do

A score of one seed is what the network is worth to it plus the luck of the draw. The correlation of two seeds is then the share
of its variance that belongs to the networks (the reliability of two parallel measurements, Lord and Novick 1968, section 3.3);
here both are of ranks. It is a figure of a population: where networks are alike, as late in a search, less is left to tell apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from search.ranking.correlation import Estimate, Floats, Numbers, bootstrap, spearman_rows
from search.ranking.objective import Objective, Scores
from uninas.errors import InputError

NOISE = 0.5
"""Below this reliability more of what tells two networks apart is the luck of the seed than the networks."""

LEAST = 3
"""Fewer networks have no correlation worth the name."""

_Pair = tuple[tuple[int, ...], tuple[int, ...]]


def is_noise(found: Estimate) -> bool:
    """Whether the whole interval lies below `NOISE`: too few networks never make a score noise."""
    return found.high < NOISE


def reliability(columns: Sequence[Numbers], *, repeats: int = 1, seed: int = 0, resamples: int = 300) -> Estimate:
    """Spearman's rho of two seeds' scores of the same networks, the mean over all pairs of seeds, with its bootstrap interval.

    Args:
        columns: a vector of n scores for each seed, two at least; None, NaN and -inf are failures.
        repeats: seeds that a score is the mean of: all pairs of so many seeds that have none in common are compared.
        seed: of the bootstrap, which draws networks, all their seeds together.
        resamples: of it.

    Returns:
        the estimate, over the networks that no seed failed on; NaN where those are fewer than `LEAST`, or all alike to a seed.

    Raises:
        InputError: fewer than two seeds for each repeat, or vectors of different lengths.
    """
    pairs = _pairs(len(columns), repeats)
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise InputError(
            f"reliability: expected the same networks under each seed; got {' and '.join(map(str, sorted(lengths)))}"
        )
    table = np.array([list(column) for column in columns], dtype=np.float64)  # None becomes NaN
    table = table[:, np.isfinite(table).all(axis=0)]
    return _estimate(lambda seeds: table[list(seeds)].mean(axis=0), pairs, table.shape[1], seed, resamples)


def of_objective(
    objective: Objective, tables: Sequence[Sequence[Scores]], *, repeats: int = 1, seed: int = 0, resamples: int = 300
) -> Estimate:
    """`reliability` of what a search maximises, whose value is a rank within the population.

    Args:
        objective: orders a population.
        tables: for each seed the raw scores of the same networks, in one order.
        repeats, seed, resamples: as of `reliability`; raw scores are averaged before the ranks are made.

    Returns:
        as `reliability`; networks that lack a score under any seed are left out.
    """
    pairs = _pairs(len(tables), repeats)
    networks = [seeds for seeds in zip(*tables, strict=True) if all(objective.complete(scores) for scores in seeds)]
    raw = np.array([[[scores[name] for name in objective.proxies] for scores in seeds] for seeds in networks], dtype=np.float64)

    def ranked(seeds: tuple[int, ...]) -> Floats:
        means = raw[:, list(seeds)].mean(axis=1)
        return objective.rank_table(dict(zip(objective.proxies, means.T, strict=True)))

    return _estimate(ranked, pairs, len(networks), seed, resamples)


def _pairs(seeds: int, repeats: int) -> list[_Pair]:
    """Give all pairs of disjoint groups of `repeats` seeds, each pair once."""
    if seeds < 2 * repeats:
        raise InputError(f"reliability: expected the scores of at least {2 * repeats} seeds; got {seeds}")
    groups = itertools.combinations(range(seeds), repeats)
    return [(one, other) for one, other in itertools.combinations(groups, 2) if not set(one) & set(other)]


def _estimate(
    values: Callable[[tuple[int, ...]], Floats], pairs: Sequence[_Pair], networks: int, seed: int, resamples: int
) -> Estimate:
    """Estimate the mean rho over pairs of groups of seeds; `values` gives the n scores of a group."""
    if networks < LEAST:
        return Estimate(np.nan, np.nan, np.nan)
    groups = list(dict.fromkeys(itertools.chain.from_iterable(pairs)))
    levels = [np.unique(values(group), return_inverse=True)[1] for group in groups]
    places = [(groups.index(one), groups.index(other)) for one, other in pairs]

    def mean_rho(*tables: NDArray[np.int64], seed: int) -> Floats:
        total: Floats = np.mean([spearman_rows(tables[one], tables[other]) for one, other in places], axis=0)
        return total

    return bootstrap(mean_rho, levels, resamples=resamples, seed=seed)
