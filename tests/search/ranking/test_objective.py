"""Objectives: which scores they need, and that ranks over a population are the paper's rank product."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from search.algorithms import ALGORITHMS, make
from search.ranking.objective import OBJECTIVES, SPECTRA, Objective, check_names, find, spelled
from search.ranking.ranks import BoundedRanks, HistoryRanks
from tests.search.fakes import ToySpace, toy_scores
from uninas.errors import InputError


def test_the_aggregate_needs_five_columns_of_six_scores() -> None:
    aggregate = OBJECTIVES["vkdnw_agg"]
    assert aggregate.proxies == ("aleph", "vkdnw", "jacov", "expressivity", "trainability", "flops")
    assert len(aggregate.columns) == 5


def test_the_driver_knows_the_spectra_without_torch() -> None:
    assert SPECTRA == ("vkdnw", "vkdnw_single", "vkdnw_norms")


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


NAMES = (
    "aleph",
    "vkdnw",
    "jacov",
    "expressivity",
    "progressivity",
    "trainability",
    "flops",
    "ntk_condition",
    "linear_regions",
    "synflow",
    "t_cet_synflow",
)
scores = st.one_of(st.none(), st.just(math.nan), st.just(-math.inf), st.integers(-3, 3).map(float))


@given(st.lists(st.lists(scores, min_size=len(NAMES), max_size=len(NAMES)), min_size=1, max_size=12))
def test_population_ranks_are_their_definitions(rows: list[list[float | None]]) -> None:
    """spec: ties at the average rank, a failure lowest; te_nas a rank sum, the products sums of ln(rank)."""
    low = [[-math.inf if value is None or math.isnan(value) else value for value in row] for row in rows]
    table = {name: [row[place] for row in low] for place, name in enumerate(NAMES)}
    pairs = [(-math.inf, -math.inf) if -math.inf in pair else pair for pair in zip(table["aleph"], table["vkdnw"], strict=True)]
    single = rankdata([sorted(set(pairs)).index(pair) for pair in pairs])
    rank = {name: rankdata(values) for name, values in table.items()} | {"single": single}
    five = [rank[name] for name in ("single", "jacov", "expressivity", "trainability", "flops")]
    count = len(rows)
    expected = {
        "te_nas": (rank["ntk_condition"] + rank["linear_regions"]) / 2,
        "az_nas": sum(np.log(rank[name] / count) for name in ("flops", "expressivity", "progressivity", "trainability"))
        + 4 * math.log(count),
        "vkdnw_agg": sum(np.log(column) for column in five),
        "rank_average": sum(five) / 5,
        "uninas_agg": sum(np.log(rank[name]) for name in ("jacov", "expressivity", "trainability", "synflow", "t_cet_synflow")),
    }
    given_table = {name: [row[place] for row in rows] for place, name in enumerate(NAMES)}
    members = [dict(zip(NAMES, row, strict=True)) for row in rows]
    for name, values in expected.items():
        assert OBJECTIVES[name].rank_table(given_table).tolist() == pytest.approx(values.tolist())
        assert OBJECTIVES[name].rank(members).tolist() == pytest.approx(values.tolist())


def test_product_and_mean_differ_where_one_column_is_low() -> None:
    """The mean forgives a low rank, the product does not: ranks 3, 3 against 5, 1."""
    columns = {"ntk_condition": [3.0, 5.0, 1.0, 2.0, 4.0], "linear_regions": [3.0, 1.0, 5.0, 4.0, 2.0]}
    assert OBJECTIVES["te_nas"].rank_table(columns).tolist() == [3.0] * 5
    product = Objective("product", OBJECTIVES["te_nas"].columns).rank_table(columns)
    assert product.tolist() == pytest.approx([math.log(number) for number in (9, 5, 5, 8, 8)])


def test_a_missing_column_is_named() -> None:
    with pytest.raises(
        InputError, match="te_nas: expected the raw scores ntk_condition, linear_regions; missing: linear_regions"
    ):
        OBJECTIVES["te_nas"].rank_table({"ntk_condition": [1.0]})


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_search_by_mean_ranks_differs_from_one_by_products_and_finds_good_ones(name: str) -> None:
    """Every algorithm compares by the objective's own combination."""
    asked = {}
    for combine in ("mean", "product"):
        objective = Objective(combine, (("aleph",), ("vkdnw",), ("jacov",)), combine)
        sizes = {
            "evolution": {"population": 8},
            "aging_evolution": {"population": 8, "tournament": 4},
            "pareto": {"population": 8},
        }
        options = sizes.get(name)
        run = make(name, ToySpace(), objective, seed=0, window=1, options=options)
        told = []
        for _ in range(200):
            proposal = run.ask()
            told.append(toy_scores(proposal.candidate.body, 0))
            run.tell(proposal.index, told[-1])
            asked.setdefault(combine, []).append(proposal.candidate.digest)
        places = np.argsort(np.argsort(objective.rank(told)))
        if name != "random":
            assert places[100:].mean() > places[:100].mean()
    assert (asked["mean"] == asked["product"]) == (name == "random")


def test_any_proxy_is_an_objective() -> None:
    assert find("jacov").columns == (("jacov",),)
    assert find("vkdnw_single").columns == (("aleph", "vkdnw"),)  # lexicographic, not the sum that the proxy gives


def test_an_unknown_objective_names_the_nearest() -> None:
    with pytest.raises(InputError, match="nearest is 'vkdnw_agg'"):
        check_names(find("vkdnw_aggg"))
    with pytest.raises(InputError, match="got 'jacvo', nearest is 'jacov'"):
        check_names(find("flops x jacvo"))
    check_names(find("flops x jacov"))


COMBINATIONS: list[tuple[dict[str, Any], str]] = [
    ({"product": ["jacov", "mine"]}, "jacov x mine"),
    ({"product": ["jacov"]}, "jacov"),
    ({"product": [["aleph", "jacov"]]}, "(aleph, jacov)"),
    ({"mean": ["jacov", ["aleph", "vkdnw"]]}, "mean(jacov, (aleph, vkdnw))"),
    ({"weighted": {"jacov": 1.0, "(aleph, vkdnw)": 0.25}}, "1 jacov + 0.25 (aleph, vkdnw)"),
    ({"weighted": {"jacov": 1e-7, "flops": 2e20}}, "1e-07 jacov + 2e+20 flops"),
]


@pytest.mark.parametrize(("given", "shown"), COMBINATIONS)
def test_a_combination_its_line_and_its_mapping_say_the_same(given: dict[str, Any], shown: str) -> None:
    assert spelled(given) == shown
    objective = find(shown)
    assert objective.name == shown
    assert objective.mapping == given
    assert find(f"  {shown} ".replace(" x ", "  x ").replace(",", " ,")).columns == objective.columns


def test_a_named_objective_of_one_column_stands_for_that_column() -> None:
    assert spelled({"product": ["jacov", "vkdnw_single"]}) == "jacov x (aleph, vkdnw)"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12), st.floats(0.01, 100))
def test_a_weighted_combination_is_the_weighted_sum_of_logarithms_of_ranks(rows: list[tuple[int, int]], weight: float) -> None:
    objective = find(spelled({"weighted": {"jacov": 1, "flops": weight}}))
    shown = float(f"{weight:g}")
    table = {"jacov": [first for first, _ in rows], "flops": [second for _, second in rows]}
    expected = np.log(rankdata(table["jacov"])) + shown * np.log(rankdata(table["flops"]))
    assert objective.rank_table(table).tolist() == pytest.approx(expected.tolist())
    history, bounded = HistoryRanks(2, objective.combine), BoundedRanks(2, len(rows), objective.combine)
    keys = [objective.keys({"jacov": first, "flops": second}) for first, second in rows]
    for place, one in enumerate(keys):
        history.add(one)
        bounded.add(place, one)
    assert [history.score(one) for one in keys] == pytest.approx(expected.tolist())
    assert bounded.scores(range(len(keys))).tolist() == pytest.approx(expected.tolist())
