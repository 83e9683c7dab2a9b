"""Metrics against definitions written naively, scikit-learn, closed forms, the paper's toy example and the real table."""

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from search.ranking import correlation
from search.ranking.correlation import (
    TOY,
    Estimate,
    estimate,
    kendall,
    ndcg,
    p_value,
    paired_difference,
    partial_correlation,
    spearman,
)
from uninas.errors import InputError

small = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=14)


def naive_kendall(scores: list[float], accuracies: list[float]) -> float:
    """Pair by pair (VKDNW paper, eq. 13)."""
    concordant = discordant = only_scores = only_accuracies = 0
    for (x, y), (u, v) in itertools.combinations(zip(scores, accuracies, strict=True), 2):
        if x == u and y == v:
            continue
        concordant += (x - u) * (y - v) > 0
        discordant += (x - u) * (y - v) < 0
        only_scores += x == u
        only_accuracies += y == v
    pairs = concordant + discordant
    below = math.sqrt((pairs + only_scores) * (pairs + only_accuracies))
    return (concordant - discordant) / below if below else math.nan


def naive_spearman(scores: list[float], accuracies: list[float]) -> float:
    def places(values: list[float]) -> list[float]:
        return [sum(other < value for other in values) + sum(other == value for other in values) / 2 for value in values]

    x, y = places(scores), places(accuracies)
    if len(set(x)) == 1 or len(set(y)) == 1:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


@given(small)
def test_correlations_are_what_counting_pairs_says(pairs: list[tuple[int, int]]) -> None:
    scores, accuracies = [float(x) for x, _ in pairs], [float(y) for _, y in pairs]
    assert kendall(scores, accuracies) == pytest.approx(naive_kendall(scores, accuracies), nan_ok=True)
    assert spearman(scores, accuracies) == pytest.approx(naive_spearman(scores, accuracies), nan_ok=True)


@given(small, st.randoms(use_true_random=False))
def test_only_the_order_of_scores_counts(pairs: list[tuple[int, int]], random) -> None:  # type: ignore[no-untyped-def]
    scores, accuracies = [float(x) for x, _ in pairs], [float(y) for _, y in pairs]
    stretched = [math.exp(3 * score) - 1e9 for score in scores]
    mixed = list(range(len(pairs)))
    random.shuffle(mixed)
    for metric in (kendall, spearman):
        value = metric(scores, accuracies)
        assert metric(stretched, accuracies) == pytest.approx(value, nan_ok=True)
        assert metric([-score for score in scores], accuracies) == pytest.approx(-value, nan_ok=True)
        assert metric(accuracies, scores) == pytest.approx(value, nan_ok=True)
        assert metric([scores[i] for i in mixed], [accuracies[i] for i in mixed]) == pytest.approx(value, nan_ok=True)
    assert ndcg(stretched, accuracies, 2) == pytest.approx(ndcg(scores, accuracies, 2), nan_ok=True)


@given(st.permutations(range(12)), st.lists(st.floats(0, 100), min_size=12, max_size=12), st.integers(1, 12))
def test_ndcg_is_scikit_learns(order: list[int], accuracies: list[float], top: int) -> None:
    gains = np.exp2(accuracies) - 1
    if gains.max() == 0:
        return
    expected = ndcg_score([gains / gains.max()], [order], k=top, ignore_ties=True)
    assert ndcg([float(place) for place in order], accuracies, top) == pytest.approx(expected, abs=1e-12)


def test_ndcg_by_hand() -> None:
    gains = [2**3 - 1, 2**1 - 1, 2**2 - 1]  # best first by score: accuracies 1, 3, 2
    expected = (gains[1] + gains[0] / math.log2(3)) / (gains[0] + gains[2] / math.log2(3))
    assert ndcg([0.1, 0.9, -5.0], [3, 1, 2], 2) == pytest.approx((gains[1] + gains[0] / math.log2(3)) / (7 + 3 / math.log2(3)))
    assert expected == pytest.approx(0.6091, abs=1e-4)


def test_ndcg_of_equal_scores_stands_in_random_order_of_the_seed() -> None:
    accuracies = [float(value) for value in range(8)]
    values = {seed: ndcg([1.0] * 8, accuracies, 1, seed) for seed in range(400)}
    assert values == {seed: ndcg([1.0] * 8, accuracies, 1, seed) for seed in range(400)}
    possible = {round((2**value - 1) / (2**7 - 1), 9) for value in range(8)}
    assert {round(value, 9) for value in values.values()} == possible
    assert np.mean(list(values.values())) == pytest.approx(np.mean(list(possible)), abs=0.05)


def test_top_is_a_thousand_of_all_and_the_same_share_of_a_sample() -> None:
    assert [correlation.default_top(count) for count in (9445, 1500, 400, 5)] == [1000, 159, 42, 1]
    assert [correlation.default_top(count, of=15625) for count in (15625, 1500)] == [1000, 96]


def test_a_failed_score_is_the_lowest_and_counted() -> None:
    accuracies = [10.0, 20.0, 30.0, 40.0]
    assert kendall([math.nan, 1.0, 2.0, 3.0], accuracies) == 1.0
    assert kendall([None, -1e300, 2.0, 3.0], accuracies) == 1.0
    assert kendall([None, -math.inf, math.nan, 3.0], accuracies) == pytest.approx(naive_kendall([0, 0, 0, 1], accuracies))
    assert correlation.missing([None, -math.inf, math.nan, 3.0]) == 3
    assert correlation.missing(np.array([1.0, math.inf])) == 0


def test_the_toy_example_of_the_paper() -> None:
    damaged, perfect = TOY.rankings["damaged_top"], TOY.rankings["perfect_top"]
    assert kendall(damaged, TOY.accuracies) == pytest.approx(1 - 2 * 4 / 45)  # four of 45 pairs are wrong
    assert kendall(perfect, TOY.accuracies) == pytest.approx(1 - 2 * 6 / 45)
    assert spearman(damaged, TOY.accuracies) == pytest.approx(1 - 6 * 4 * 2**2 / 990)
    assert spearman(perfect, TOY.accuracies) == pytest.approx(1 - 6 * (2 * 3**2 + 2 * 1) / 990)
    assert ndcg(perfect, TOY.accuracies, 5) == 1.0
    assert ndcg(damaged, TOY.accuracies, 5) == pytest.approx(0.5, abs=2e-4)


def test_the_toy_example_against_random_rankings() -> None:
    """The paper's footnotes 3 and 4: correlations below .005, nDCG near the 75th percentile."""
    damaged = TOY.rankings["damaged_top"]
    for metric in ("kendall", "spearman"):
        assert p_value(metric, damaged, TOY.accuracies, seed=0, permutations=1000) < 0.005
    # exactly: the best network first or second, or third with the second best fourth or better
    assert p_value("ndcg", damaged, TOY.accuracies, seed=0, permutations=10_000, top=5) == pytest.approx(0.2 + 0.2 / 9, abs=0.015)


def test_p_values_are_never_zero_and_uniform_for_chance() -> None:
    rng = np.random.default_rng(0)
    ordered = np.arange(30.0)
    assert p_value("kendall", ordered, ordered, seed=0, permutations=99) == 0.01
    values = [p_value("kendall", rng.random(30), ordered, seed=seed, permutations=49) for seed in range(60)]
    assert np.mean(np.array(values) <= 0.3) == pytest.approx(0.3, abs=0.15)


@pytest.mark.parametrize("metric", sorted(correlation.METRICS))
def test_every_metric_has_an_interval_that_repeats(metric: str) -> None:
    rng = np.random.default_rng(1)
    accuracies = 100 * rng.random(400)
    scores = accuracies + 20 * rng.normal(size=400)
    found = estimate(metric, scores, accuracies, seed=3, top=40)
    assert found == estimate(metric, scores, accuracies, seed=3, top=40)
    assert found != estimate(metric, scores, accuracies, seed=4, top=40)
    assert found.low < found.value < found.high
    wide = estimate(metric, scores, accuracies, seed=3, top=40, level=0.99)
    assert wide.low < found.low < found.high < wide.high


def test_tables_of_rows_are_the_vectors_one_by_one() -> None:
    rng = np.random.default_rng(2)
    scores, accuracies = rng.integers(0, 6, (5, 20)), rng.integers(0, 90, (5, 20)).astype(float)
    tables = {name: rows(scores, accuracies) for name, rows in correlation.METRICS.items() if name != "ndcg"}
    for row in range(5):
        assert tables["kendall"][row] == kendall(scores[row], accuracies[row])
        assert tables["spearman"][row] == pytest.approx(spearman(scores[row], accuracies[row]))
    distinct = rng.permuted(np.tile(np.arange(20), (5, 1)), axis=1)
    rows = correlation.ndcg_rows(distinct, accuracies, top=4)
    assert rows == pytest.approx([ndcg(distinct[row], accuracies[row], 4) for row in range(5)])


def test_the_interval_of_kendall_covers_as_often_as_it_says() -> None:
    """Two normal variables of correlation r have tau = 2 asin(r) / pi."""
    rng = np.random.default_rng(5)
    truth = 2 * math.asin(0.6) / math.pi
    covered, values, widths = 0, [], []
    for seed in range(60):
        x = rng.normal(size=80)
        y = 0.6 * x + 0.8 * rng.normal(size=80)
        found = estimate("kendall", x, y, seed=seed, resamples=100, level=0.9)
        covered += found.low <= truth <= found.high
        values.append(found.value)
        widths.append(found.high - found.low)
    assert covered >= 47
    assert np.mean(widths) == pytest.approx(2 * 1.645 * np.std(values), rel=0.25)  # nor wider than they must be


def test_a_difference_is_clear_between_unlike_scores_and_none_between_like_ones() -> None:
    rng = np.random.default_rng(6)
    accuracies = 100 * rng.random(300)
    good, bad = accuracies + 10 * rng.normal(size=300), accuracies + 60 * rng.normal(size=300)
    for metric in correlation.METRICS:
        found = paired_difference(metric, good, bad, accuracies, seed=0, top=30)
        assert 0 < found.low < found.value < found.high
        assert found.value == pytest.approx(
            estimate(metric, good, accuracies, seed=0, top=30).value - estimate(metric, bad, accuracies, seed=0, top=30).value
        )
        assert paired_difference(metric, good, 2 * good, accuracies, seed=0, top=30) == Estimate(0.0, 0.0, 0.0)


def test_a_paired_interval_is_narrower_than_that_of_unrelated_samples() -> None:
    rng = np.random.default_rng(7)
    accuracies = 100 * rng.random(300)
    first = accuracies + 30 * rng.normal(size=300)
    second = first + 2 * rng.normal(size=300)
    paired = paired_difference("kendall", first, second, accuracies, seed=0)
    alone = estimate("kendall", first, accuracies, seed=0)
    assert paired.high - paired.low < (alone.high - alone.low) / 3


def test_partial_correlation_is_the_formula() -> None:
    rng = np.random.default_rng(8)
    z = rng.normal(size=60)
    x, y = z + rng.normal(size=60), z + rng.normal(size=60)
    xy, xz, yz = (naive_kendall(list(a), list(b)) for a, b in ((x, y), (x, z), (y, z)))
    assert partial_correlation(x, y, z) == pytest.approx((xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2)))
    assert partial_correlation(x, x, z) == pytest.approx(1.0)
    assert math.isnan(partial_correlation(z, y, z))
    columns = (x, y, z)
    found = correlation.bootstrap(correlation.partial_rows, columns, resamples=50, seed=0)
    assert found.value == pytest.approx(partial_correlation(x, y, z))
    assert found.low < found.value < found.high


def test_what_does_not_exist_is_no_number() -> None:
    constant = estimate("kendall", [1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0], seed=0)
    assert math.isnan(constant.value)
    assert json.dumps(constant.as_dict(), allow_nan=False) == '{"value": null, "low": null, "high": null}'
    assert math.isnan(p_value("spearman", [1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0], seed=0))
    assert math.isnan(ndcg([1.0, 2.0], [0.0, 0.0], 1))


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="expected at least P = 3 networks, and P at least 1; got 2"):
        ndcg([1.0, 2.0], [10.0, 20.0], 3)
    with pytest.raises(InputError, match="expected finite numbers in percent, got nan for network 1 and 1 more"):
        kendall([1.0, 2.0, 3.0], [10.0, math.nan, math.inf])
    with pytest.raises(InputError, match=r"in percent, 0 to 100; got -1 to 120"):
        ndcg([1.0, 2.0], [-1.0, 120.0], 1)
    with pytest.raises(InputError, match="at least 2 networks, got 1"):
        kendall([1.0], [2.0])
    with pytest.raises(InputError, match="one of kendall, spearman, ndcg; got 'tau'"):
        estimate("tau", [1.0, 2.0], [1.0, 2.0], seed=0)
    with pytest.raises(ValueError, match="one for each of 3 scores"):
        kendall([1.0, 2.0, 3.0], [1.0, 2.0])


def test_the_number_of_convolutions_on_the_real_table(data_folder: Path) -> None:
    """The papers' row "aleph" on all 9,445 networks (VKDNW paper, Table I)."""
    with (data_folder / "nasbench201" / "nb201_accuracies.csv").open() as file:
        table = [row for row in csv.DictReader(file) if row["reachable"] == "1"]
    convolutions = [float(row["arch_str"].count("conv")) for row in table]
    for dataset, published in {"cifar10": (0.626, 0.767), "cifar100": (0.646, 0.787), "imagenet16_120": (0.623, 0.764)}.items():
        accuracies = [float(row[dataset]) for row in table]
        assert kendall(convolutions, accuracies) == pytest.approx(published[0], abs=0.001)
        assert spearman(convolutions, accuracies) == pytest.approx(published[1], abs=0.001)
    shuffled = np.random.default_rng(0).permutation(accuracies)
    found = estimate("kendall", convolutions, shuffled, seed=0, resamples=100)
    assert found.low < 0 < found.high
