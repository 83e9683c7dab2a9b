"""What a set is worth: figures are those of metrics, sets of networks count by what they tell, the quick look finds the best."""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest

from search.bench.choosing.choose import REFERENCE as NAME
from search.bench.choosing.costs import Costs, Prices
from search.bench.choosing.criterion import ALL, DECIDING, DECIDING_AT_BUDGET, Panel, panel_of, weights_of
from search.bench.choosing.screening import screen
from search.bench.judging import aggregates
from search.bench.judging.aggregates import judge_of, objective, usable
from search.bench.judging.judge import AT_BUDGET
from search.ranking import correlation
from search.ranking.objective import OBJECTIVES
from tests.search.bench.choosing.world import network_set, scores

REFERENCE = OBJECTIVES[NAME]
NAMES = ("flops", "synflow", "jacov", "zico", "snip")


def panel(*sets: Any, deciding: tuple[str, ...] = DECIDING, resamples: int = 30) -> Panel:
    return panel_of(sets, 0, REFERENCE, resamples=resamples, seed=0, deciding=deciding)


# --- figures ----------------------------------------------------------------------------------------------------------------


def test_figures_and_intervals_are_those_of_metrics() -> None:
    table = scores(50)
    ours = objective(("synflow", "vkdnw_single")).rank_table(table)
    theirs = REFERENCE.rank_table(table)
    judge = judge_of("cifar10", table, REFERENCE, resamples=60, seed=3)
    for one in judge.compare(ours):
        options: dict[str, Any] = {"seed": 3, "resamples": 60}
        assert one.ours == correlation.estimate(one.metric, ours, table["accuracy"], **options)
        assert one.reference == correlation.estimate(one.metric, theirs, table["accuracy"], **options)
        expected = correlation.paired_difference(one.metric, ours, theirs, table["accuracy"], **options)
        assert dataclasses.astuple(one.difference) == pytest.approx(dataclasses.astuple(expected), abs=1e-12)


def test_the_reference_against_itself_gains_nothing() -> None:
    found = panel(network_set(scores(40), scores(40, 1)), network_set(scores(60, 2), name="other"))
    own = found.measure(("vkdnw_single", "jacov", "expressivity", "trainability", "flops"))
    weights = weights_of(found, NAMES)
    assert [one.difference.value for one in own.comparisons(weights)] == [0.0] * 12
    assert own.value(weights)[0] == 0.0


def test_a_figure_that_does_not_exist_is_no_gain() -> None:
    found = panel(network_set(scores(40)))
    assert found.measure(("zen",)).value(weights_of(found, NAMES))[0] == -math.inf


def test_equals_and_twins_are_no_components() -> None:
    kept, reasons = usable([scores(), scores(seed=1)], ("synflow", "zen", "synflow_log", "vkdnw_single", "gradsign", "snip"))
    assert kept == ("synflow", "vkdnw_single", "snip")
    assert reasons == {
        "zen": "the same for all networks of a run",
        "synflow_log": "orders as synflow",
        "gradsign": "not scored in every run",
    }


# --- weights ----------------------------------------------------------------------------------------------------------------


def test_three_data_sets_of_the_same_networks_count_as_one() -> None:
    other = network_set(scores(60, 1), name="other")
    once = weights_of(panel(network_set(scores(60)), other), NAMES)
    thrice = weights_of(panel(network_set(scores(60), scores(60), scores(60)), other), NAMES)
    for metric in DECIDING:
        assert thrice.shares(metric) == pytest.approx(once.shares(metric))
        assert sum(once.shares(metric)) == pytest.approx(1)


def test_few_networks_count_for_little() -> None:
    weights = weights_of(panel(network_set(scores(400)), network_set(scores(14, 1), name="few"), resamples=60), NAMES)
    assert weights.error["kendall"][1] > 3 * weights.error["kendall"][0]
    assert weights.shares("kendall")[1] < 0.2


def test_where_sets_of_networks_disagree_the_largest_does_not_decide_alone() -> None:
    large, small = scores(400), scores(100, 1)
    alike = weights_of(panel(network_set(large), network_set(small, name="small")), NAMES)
    turned = small.assign(**{name: -small[name] for name in NAMES})  # where the large set's good scores are bad
    different = weights_of(panel(network_set(large), network_set(turned, name="small")), NAMES)
    assert different.spread["kendall"] > 0.2 > alike.spread["kendall"]
    assert different.shares("kendall")[1] > 0.4 > alike.shares("kendall")[1]


def test_the_spread_is_that_of_dersimonian_and_laird() -> None:
    found = panel(network_set(scores(60)), network_set(scores(50, 1), name="other"))
    spread = []
    for name in NAMES:
        gains = found.measure((name,)).gains("kendall")
        values, errors = [value for value, _ in gains], [draws.std(ddof=1) for _, draws in gains]
        weights = [error**-2 for error in errors]
        mean = sum(w * g for w, g in zip(weights, values, strict=True)) / sum(weights)
        scatter = sum(w * (g - mean) ** 2 for w, g in zip(weights, values, strict=True))
        spread.append(max(0, (scatter - 1) / (sum(weights) - sum(w * w for w in weights) / sum(weights))))
    assert weights_of(found, NAMES).spread["kendall"] == pytest.approx(math.sqrt(sorted(spread)[2]))


def test_one_set_of_networks_has_no_spread_and_no_mean() -> None:
    found = panel(network_set(scores(60), scores(60, 1)))
    weights = weights_of(found, NAMES)
    assert set(weights.spread.values()) == {0.0}
    assert ALL not in {one.where for one in found.measure(("zico",)).comparisons(weights)}


def test_a_set_without_params_has_no_part_in_what_is_at_equal_budget() -> None:
    with_params = scores(80).assign(params=np.random.default_rng(0).standard_normal(80))
    found = panel(network_set(with_params), network_set(scores(60, 1), name="other"), deciding=DECIDING_AT_BUDGET)
    weights = weights_of(found, NAMES)
    assert weights.shares(AT_BUDGET) == (1.0, 0.0)
    figures = found.measure(("zico",))
    assert [one.where for one in figures.comparisons(weights) if one.metric == AT_BUDGET] == ["toy/0", ALL]
    assert figures.value(weights)[0] > 0


# --- the quick look ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("deciding", "alike"), [(DECIDING, 12), (DECIDING_AT_BUDGET, 10)])
def test_screening_finds_what_trying_every_set_finds(deciding: tuple[str, ...], alike: int) -> None:
    """But for near-equals: products of few ranks tie, and the quick look does not average tied ranks."""
    rng = np.random.default_rng(8)
    tables = [scores(count, seed).assign(params=rng.standard_normal(count)) for seed, count in enumerate((60, 60, 40))]
    found = panel(network_set(*tables[:2]), network_set(tables[2], name="other"), deciding=deciding)
    weights = weights_of(found, NAMES)
    quick = dataclasses.replace(found, deciding=tuple(metric for metric in deciding if metric != "kendall"))
    every = [chosen for size in (1, 2, 3) for chosen in itertools.combinations(NAMES, size)]
    assert aggregates.count_sets(5, 3) == len(every) == 25
    expected = sorted(every, key=lambda components: -quick.measure(components).value(weights)[0])
    kept = screen(found, weights, NAMES, 3, keep=12)
    assert kept[:alike] == expected[:alike]
    assert {len(components) for components in kept} == {1, 2, 3}
    assert len(kept) == len(set(kept))


def test_screening_keeps_to_the_limit_and_keeps_what_is_cheap() -> None:
    found = panel(network_set(scores(60)))
    weights = weights_of(found, NAMES)
    price = np.array([0.01, 1.0, 0.1, 2.0, 0.02])  # the good scores are the dear ones
    prices = Prices(((Costs("toy", NAMES, np.eye(5, dtype=bool), price),),))
    limited = screen(found, weights, NAMES, 3, keep=30, prices=prices, limit=1.05)
    assert ("synflow",) in limited
    assert not any("zico" in components for components in limited)
    assert all(prices.total(components) <= 1.05 for components in limited)
    free = screen(found, weights, NAMES, 3, keep=1, prices=prices)
    best_of_the_cheap = max(
        (chosen for size in (1, 2, 3) for chosen in itertools.combinations(("flops", "jacov", "snip"), size)),
        key=lambda components: dataclasses.replace(found, deciding=("spearman", "ndcg")).measure(components).value(weights)[0],
    )
    assert best_of_the_cheap in free
