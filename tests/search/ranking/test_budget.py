"""Correlation at equal budget: the formula, its limits, and what it leaves of a score that is nothing but size."""

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from search.ranking import budget, correlation
from search.ranking.budget import Held

DRAW = np.random.default_rng(3)
SIZE = DRAW.normal(size=60)
ACCURACY = 60 + 5 * SIZE + DRAW.normal(size=60)
SCORE = SIZE + 0.5 * (ACCURACY - 60 - 5 * SIZE) + DRAW.normal(size=60) / 2
MACS = SIZE + DRAW.normal(size=60) / 3


def naive(scores: np.ndarray, accuracies: np.ndarray, *controls: np.ndarray) -> float:
    """The correlation of what a linear regression on the controls' ranks leaves of the ranks."""
    known = np.column_stack([np.ones(len(scores)), *map(rankdata, controls)])
    left = [ranks - known @ np.linalg.lstsq(known, ranks, rcond=None)[0] for ranks in map(rankdata, (scores, accuracies))]
    return float(np.corrcoef(*left)[0, 1])


@pytest.mark.parametrize("controls", [(SIZE,), (SIZE, MACS), (MACS, SIZE), (SIZE.round(), MACS.round(1))])
def test_it_is_what_a_regression_on_ranks_leaves(controls: tuple[np.ndarray, ...]) -> None:
    found = Held(controls, ACCURACY.round(), resamples=50, seed=0).estimate(SCORE.round(1))
    assert found.value == pytest.approx(naive(SCORE.round(1), ACCURACY.round(), *controls))
    assert found.low < found.value < found.high


def test_one_control_is_t_cets_equation_with_spearmans_rho() -> None:
    xy, xz, yz = (correlation.spearman(*pair) for pair in ((SCORE, ACCURACY), (SCORE, SIZE), (ACCURACY, SIZE)))
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert Held([SIZE], ACCURACY, resamples=1, seed=0).estimate(SCORE).value == pytest.approx(expected)


def test_controls_that_order_alike_count_once_and_constants_not_at_all() -> None:
    one = Held([SIZE], ACCURACY, resamples=40, seed=0).values(SCORE)
    for controls in ([SIZE, np.exp(SIZE)], [SIZE, np.ones(60)], [SIZE, SIZE, 2 * SIZE]):
        assert Held(controls, ACCURACY, resamples=40, seed=0).values(SCORE) == pytest.approx(one)
    plain = Held([np.ones(60)], ACCURACY, resamples=40, seed=0).estimate(SCORE)
    assert plain.value == pytest.approx(correlation.spearman(SCORE, ACCURACY))


def test_what_was_taken_out_has_nothing_left() -> None:
    held = Held([SIZE, MACS], ACCURACY, resamples=40, seed=0)
    for nothing in (SIZE, np.exp(MACS), np.zeros(60)):
        assert held.estimate(nothing).as_dict() == {"value": None, "low": None, "high": None}
    assert math.isnan(Held([ACCURACY], ACCURACY, resamples=1, seed=0).estimate(SCORE).value)


def test_failures_rank_lowest() -> None:
    scores: list[float | None] = [*SCORE]
    scores[:5] = [None] * 5
    lowest = np.array([-99.0 if score is None else score for score in scores])
    held = Held([SIZE], ACCURACY, resamples=40, seed=0)
    assert held.values(scores) == pytest.approx(held.values(lowest))


def test_resamples_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Held([SIZE, MACS], ACCURACY, resamples=40, seed=2).values(SCORE)
    monkeypatch.setattr(budget, "_CHUNK", 200)
    assert list(Held([SIZE, MACS], ACCURACY, resamples=40, seed=2).values(SCORE)) == list(whole)
    assert len(set(whole)) == 41


def test_a_score_that_is_size_and_noise_says_nothing_at_equal_size() -> None:
    """Kendall's tau with size taken out would still say .19."""
    draw = np.random.default_rng(0)
    size = draw.normal(size=400)
    accuracy, score = 50 + size + draw.normal(size=400) / 2, size + draw.normal(size=400) / 2
    assert correlation.kendall(score, accuracy) > 0.5
    assert correlation.partial_correlation(score, accuracy, size) > 0.15
    found = Held([size], accuracy, resamples=100, seed=0).estimate(score)
    assert found.low < 0 < found.high
    assert abs(found.value) < 0.05
