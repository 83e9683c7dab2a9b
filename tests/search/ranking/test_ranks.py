"""Ranks against scipy and against themselves computed from scratch."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from search.ranking.ranks import (
    LOWEST,
    BoundedRanks,
    HistoryRanks,
    combined,
    key,
    lexicographic_ranks,
    rank_average,
    rank_product,
    ranks,
)

value = st.sampled_from([float("nan"), -math.inf, -2.0, 0.0, 0.5, 0.5, 1.0, 7.0])


@given(st.lists(value, min_size=1, max_size=30))
def test_ranks_agree_with_scipy_with_nan_lowest(values: list[float]) -> None:
    lowest = [-math.inf if math.isnan(value) else value for value in values]
    assert ranks(values).tolist() == rankdata(lowest).tolist()


@given(st.lists(st.tuples(value, st.sampled_from([-0.0, 0.0, 1.0, 2.5, float("nan"), -math.inf])), max_size=30))
def test_lexicographic_ranks_agree_with_those_of_keys(pairs: list[tuple[float, float]]) -> None:
    keys = [key(*pair) for pair in pairs]
    expected = rankdata([sorted(keys).index(one) for one in keys]).tolist() if keys else []
    assert lexicographic_ranks([first for first, _ in pairs], [second for _, second in pairs]).tolist() == expected


def test_ranks_leave_their_argument_alone() -> None:
    values = np.array([1.0, float("nan")])
    ranks(values)
    assert math.isnan(values[1])


def test_rank_product_is_the_sum_of_logarithms_of_ranks() -> None:
    table = [[1.0, 5.0], [2.0, 4.0], [3.0, 3.0]]
    assert rank_product(table).tolist() == pytest.approx([math.log(1 * 3), math.log(2 * 2), math.log(3 * 1)])
    assert rank_average(table).tolist() == [2.0, 2.0, 2.0]


def test_wrong_shapes_are_refused_with_the_shape() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        ranks([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match=r"\(3,\)"):
        rank_product([1.0, 2.0, 3.0])


def test_lexicographic_ranks_need_no_scale() -> None:
    aleph, vkdnw = [10.0, 10.0, 11.0, 9.0, 11.0], [2.19, 0.1, 0.0, 2.0, float("nan")]
    assert lexicographic_ranks(aleph, vkdnw).tolist() == [4.0, 3.0, 5.0, 2.0, 1.0]


combination = st.sampled_from(["product", "mean"])


@given(st.lists(st.tuples(value, value, value), min_size=1, max_size=40), combination)
def test_history_ranks_agree_with_scipy_while_the_history_grows(rows: list[tuple[float, float, float]], combine: str) -> None:
    history = HistoryRanks(2, combine)
    told = []
    for first, second, third in rows:
        told.append((key(first, second), key(third)))
        history.add(told[-1])
        expected = np.stack([_oracle([row[column] for row in told]) for column in range(2)], axis=1)
        for row, rank in zip(told, expected, strict=True):
            assert history.ranks(row) == rank.tolist()
            assert history.score(row) == pytest.approx(np.log(rank).sum() if combine == "product" else rank.mean())


@given(st.lists(st.tuples(value, value, value), min_size=1, max_size=40), st.integers(2, 6), combination)
def test_bounded_ranks_agree_with_a_population_ranked_anew(
    rows: list[tuple[float, float, float]], limit: int, combine: str
) -> None:
    ranked, members = BoundedRanks(2, limit + 1, combine), dict[int, tuple[tuple[float, float], ...]]()
    for name, (first, second, third) in enumerate(rows):
        members[name] = (key(first, second), key(third))
        ranked.add(name, members[name])
        if len(members) > limit:
            worst = ranked.worst()
            total = _total(members, combine)
            assert total[worst] <= min(total.values()) + 1e-9
            assert all(other <= worst for other, score in total.items() if score <= min(total.values()) + 1e-13)
            ranked.remove(worst)
            del members[worst]
        assert {name: ranked.score(name) for name in members} == pytest.approx(_total(members, combine))
    assert len(ranked) == len(members)


def test_an_unknown_combination_is_named() -> None:
    with pytest.raises(ValueError, match="expected product, mean or weights, got 'median'"):
        combined([[1.0]], "median")


def test_bounded_ranks_refuse_misuse() -> None:
    ranked = BoundedRanks(1, 1)
    ranked.add(0, [key(1.0)])
    with pytest.raises(ValueError, match="already"):
        ranked.add(0, [key(1.0)])
    with pytest.raises(ValueError, match="full with 1"):
        ranked.add(1, [key(1.0)])


def test_a_missing_score_has_the_lowest_key() -> None:
    assert key(None) == key(float("nan")) == key(3.0, None) == key(-math.inf) == key(3.0, -math.inf) == LOWEST
    assert key(1.0) == (1.0, 0.0)


def _oracle(keys: list[tuple[float, float]]) -> np.ndarray:
    order = sorted(set(keys))
    return rankdata([order.index(item) for item in keys])


def _total(members: dict[int, tuple[tuple[float, float], ...]], combine: str) -> dict[int, float]:
    table = np.stack([_oracle(list(column)) for column in zip(*members.values(), strict=True)])
    values = np.log(table).sum(axis=0) if combine == "product" else table.mean(axis=0)
    return dict(zip(members, values.tolist(), strict=True))
