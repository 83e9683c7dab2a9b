"""Objectives: which scores they need, and that ranks over a population are the paper's rank product."""

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from search.objective import OBJECTIVES, find
from tests.search.fakes import toy_scores
from uninas.errors import InputError


def test_the_aggregate_needs_five_columns_of_six_scores() -> None:
    aggregate = OBJECTIVES["vkdnw_agg"]
    assert aggregate.proxies == ("aleph", "vkdnw", "jacov", "expressivity", "trainability", "flops")
    assert len(aggregate.columns) == 5


def test_the_aggregate_is_the_sum_of_logarithms_of_ranks() -> None:
    population = [toy_scores([place, 1, 2, 3, place, 5], seed) for place in range(4) for seed in range(3)]
    single = [1000 * row["aleph"] + row["vkdnw"] for row in population]  # lexicographic at this scale of vkdnw
    columns = [single, *([row[name] for row in population] for name in ("jacov", "expressivity", "trainability", "flops"))]
    expected = sum(np.log(rankdata(column)) for column in columns)
    assert OBJECTIVES["vkdnw_agg"].rank(population).tolist() == pytest.approx(expected.tolist())


def test_a_failed_score_ranks_lowest_in_its_column_only() -> None:
    population = [
        {"expressivity": 1.0, "progressivity": 1.0, "flops": 3.0},
        {"expressivity": 2.0, "progressivity": 2.0, "trainability": -9.0, "flops": 2.0},
    ]
    assert OBJECTIVES["az_nas"].rank(population).tolist() == pytest.approx([math.log(2), 3 * math.log(2)])


def test_any_proxy_is_an_objective() -> None:
    assert find("jacov").columns == (("jacov",),)
    assert find("vkdnw_single").columns == (("aleph", "vkdnw"),)  # lexicographic, not the sum that the proxy gives


def test_an_unknown_objective_names_the_nearest() -> None:
    with pytest.raises(InputError, match="nearest is 'vkdnw_agg'"):
        find("vkdnw_aggg")
