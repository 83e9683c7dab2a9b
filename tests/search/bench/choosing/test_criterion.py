"""What a set is worth: figures are those of metrics, sets of networks count by what they tell, the quick look finds the best."""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest

from search.bench.choosing import criterion
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
QUICK = {DECIDING: ("spearman", "spearman", "ndcg"), DECIDING_AT_BUDGET: DECIDING_AT_BUDGET}


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
    weights = weights_of(found, NAMES, 1, 0)
    assert [one.difference.value for one in own.comparisons(weights)] == [0.0] * 12
    assert own.value(weights)[0] == 0.0


def test_a_figure_that_does_not_exist_is_no_gain() -> None:
    found = panel(network_set(scores(40)))
    assert found.measure(("zen",)).value(weights_of(found, NAMES, 1, 0))[0] == -math.inf


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
    once = weights_of(panel(network_set(scores(60)), other), NAMES, 1, 0)
    thrice = weights_of(panel(network_set(scores(60), scores(60), scores(60)), other), NAMES, 1, 0)
    for metric in DECIDING:
        assert thrice.shares(metric) == pytest.approx(once.shares(metric))
        assert sum(once.shares(metric)) == pytest.approx(1)


def test_few_networks_count_for_little() -> None:
    weights = weights_of(panel(network_set(scores(400)), network_set(scores(14, 1), name="few"), resamples=60), NAMES, 1, 0)
    assert weights.error["kendall"][1] > 3 * weights.error["kendall"][0]
    assert weights.shares("kendall")[1] < 0.2


def test_where_sets_of_networks_disagree_the_largest_does_not_decide_alone() -> None:
    large, small = scores(400), scores(100, 1)
    alike = weights_of(panel(network_set(large), network_set(small, name="small")), NAMES, 1, 0)
    turned = small.assign(**{name: -small[name] for name in NAMES})  # where the large set's good scores are bad
    different = weights_of(panel(network_set(large), network_set(turned, name="small")), NAMES, 1, 0)
    assert different.spread["kendall"] > 0.2 > alike.spread["kendall"]
    assert different.shares("kendall")[1] > 0.4 > alike.shares("kendall")[1]


def test_the_spread_is_that_of_dersimonian_and_laird() -> None:
    found = panel(network_set(scores(60)), network_set(scores(50, 1), name="other"))
    scatter = growth = 0.0
    every = {name: found.measure((name,)).gains("kendall") for name in NAMES}
    common = [sorted(gains[place][0] for gains in every.values())[2] for place in (0, 1)]
    for gains in every.values():
        values = [value - shared for (value, _), shared in zip(gains, common, strict=True)]
        weights = [draws.std(ddof=1) ** -2 for _, draws in gains]
        mean = sum(w * g for w, g in zip(weights, values, strict=True)) / sum(weights)
        scatter += sum(w * (g - mean) ** 2 for w, g in zip(weights, values, strict=True)) - 1
        growth += sum(weights) - sum(w * w for w in weights) / sum(weights)
    expected = math.sqrt(max(0.0, scatter / growth))
    assert weights_of(found, NAMES, 1, 0).spread["kendall"] == pytest.approx(expected)


def test_errors_and_spread_are_those_of_sets_that_the_seed_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(criterion, "TYPICAL", 4)
    found = panel(network_set(scores(40)), network_set(scores(30, 1), name="other"))
    errors = [weights_of(found, NAMES, size, seed).error["kendall"] for size, seed in ((2, 0), (2, 0), (2, 1), (5, 0), (5, 1))]
    assert errors[0] == errors[1] != errors[2]
    assert errors[3] == errors[4]  # there is but one set of five


def test_one_set_of_networks_has_no_spread_and_no_mean() -> None:
    found = panel(network_set(scores(60), scores(60, 1)))
    weights = weights_of(found, NAMES, 1, 0)
    assert set(weights.spread.values()) == {0.0}
    assert ALL not in {one.where for one in found.measure(("zico",)).comparisons(weights)}


def test_a_set_without_params_has_no_part_in_what_is_at_equal_budget() -> None:
    with_params = scores(80).assign(params=np.random.default_rng(0).standard_normal(80))
    found = panel(network_set(with_params), network_set(scores(60, 1), name="other"), deciding=DECIDING_AT_BUDGET)
    weights = weights_of(found, NAMES, 1, 0)
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
    weights = weights_of(found, NAMES, 1, 0)
    quick = dataclasses.replace(found, deciding=QUICK[deciding])
    every = [chosen for size in (1, 2, 3) for chosen in itertools.combinations(NAMES, size)]
    assert aggregates.count_sets(5, 3) == len(every) == 25
    expected = sorted(every, key=lambda components: -quick.measure(components).value(weights)[0])
    kept = screen(found, weights, NAMES, 3, keep=12)
    assert kept[:alike] == expected[:alike]
    assert {len(components) for components in kept} == {1, 2, 3}
    assert len(kept) == len(set(kept))


def test_screening_keeps_to_the_limit_and_keeps_what_is_cheap() -> None:
    found = panel(network_set(scores(60)))
    weights = weights_of(found, NAMES, 1, 0)
    price = np.array([0.01, 1.0, 0.1, 2.0, 0.02])  # the good scores are the dear ones
    prices = Prices(((Costs("toy", NAMES, np.eye(5, dtype=bool), price),),))
    limited = screen(found, weights, NAMES, 3, keep=30, prices=prices, limit=1.05)
    assert ("synflow",) in limited
    assert not any("zico" in components for components in limited)
    assert all(prices.total(components) <= 1.05 for components in limited)
    free = screen(found, weights, NAMES, 3, keep=1, prices=prices)
    best_of_the_cheap = max(
        (chosen for size in (1, 2, 3) for chosen in itertools.combinations(("flops", "jacov", "snip"), size)),
        key=lambda components: dataclasses.replace(found, deciding=QUICK[DECIDING]).measure(components).value(weights)[0],
    )
    assert best_of_the_cheap in free
