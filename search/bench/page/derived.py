"""What a page computes itself from scores: the toy example, and what a combination keeps of its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from search.bench.judging.combined import COMBINATIONS, RankAverage
from search.bench.page.data import Bench
from search.ranking import correlation
from search.ranking.correlation import TOY
from search.ranking.ranks import ranks

TOY_TOP = 5
"""P of the toy example's nDCG."""

RESAMPLES = 300
"""Of the bootstrap behind the intervals of T-CET's Table 1."""

TOY_PERMUTATIONS = 1000
"""Random rankings that the toy example's are held against, as many as the paper drew."""


@dataclass(frozen=True)
class ToyRanking:
    """One ranking of the toy example: its metrics and how probable a random ranking does as well in each."""

    name: str
    places: tuple[float, ...]
    values: Mapping[str, float]
    p_values: Mapping[str, float]


@cache
def toy() -> tuple[ToyRanking, ...]:
    """The two rankings of ten networks that Fig. 2 of the VKDNW paper compares, measured by our metrics."""
    found = []
    for name, places in TOY.rankings.items():
        values = {
            "kendall": correlation.kendall(places, TOY.accuracies),
            "spearman": correlation.spearman(places, TOY.accuracies),
            "ndcg": correlation.ndcg(places, TOY.accuracies, top=TOY_TOP),
        }
        p_values = {
            metric: correlation.p_value(
                metric, places, TOY.accuracies, seed=0, permutations=TOY_PERMUTATIONS, top=TOY_TOP if metric == "ndcg" else None
            )
            for metric in values
        }
        found.append(ToyRanking(name, tuple(places), values, p_values))
    return tuple(found)


@dataclass(frozen=True)
class Kept:
    """How much of its parts X (a saliency) and Y (lnwot) a combination keeps, accuracy taken out; beside it the paper's."""

    paper: RankAverage
    with_saliency: correlation.Estimate
    with_lnwot: correlation.Estimate


def combinations(bench: Bench) -> tuple[Kept, ...]:
    """T-CET's Table 1 on the scores of a run; empty where a score is missing from it."""
    found = []
    for paper in COMBINATIONS:
        product = paper.saliency.replace("ssnr", "t_cet")
        needed = [paper.saliency, "lnwot", *([product] if paper.combination == "t_cet" else [])]
        if bench.scores is None or any(name not in bench.scores for name in needed):
            continue
        x, y = (bench.scores[name].to_numpy(float) for name in (paper.saliency, "lnwot"))
        whole = bench.scores[product].to_numpy(float) if paper.combination == "t_cet" else ranks(x) + ranks(y)
        accuracy = bench.scores["accuracy"].to_numpy(float)
        kept = (correlation.partial_estimate(part, whole, accuracy, resamples=RESAMPLES, seed=0) for part in (x, y))
        found.append(Kept(paper, *kept))
    return tuple(found)


def order_by_likeness(matrix: tuple[tuple[float, ...], ...]) -> list[int]:
    """An order of proxies in which those that correlate stand together: average linkage; undefined entries count as 0."""
    if len(matrix) < 3:
        return list(range(len(matrix)))
    table = np.nan_to_num(np.array(matrix, dtype=float))
    distance = 1.0 - (table + table.T) / 2.0
    np.fill_diagonal(distance, 0.0)
    return [int(place) for place in leaves_list(linkage(squareform(np.clip(distance, 0.0, None), checks=False), "average"))]


def defined(value: float | None) -> bool:
    """Whether there is a finite number."""
    return value is not None and math.isfinite(value)
