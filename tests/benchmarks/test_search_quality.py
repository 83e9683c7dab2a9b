"""Searches on tables: what they are told, what their pick is worth, and what the page makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.search_quality import __main__ as command
from benchmarks.search_quality.__main__ import ENTRANTS, floor, search
from benchmarks.search_quality.page import Results, evaluations_for, interval, page, picture
from benchmarks.search_quality.tables import TableSpace, World
from search.algorithms.candidate import Candidate

SIDE = 5


def world(noise: float = 0.0) -> World:
    """Three digits in base 5: the larger their sum, the better; told three times, with some noise."""
    digits = np.array([[row // 25, row // 5 % 5, row % 5] for row in range(SIDE**3)], dtype=np.float64)
    truth = digits.sum(axis=1) + digits[:, 0] / 10
    told = truth[:, None] + noise * np.random.default_rng(0).standard_normal((len(truth), 3))
    return World("toy", (SIDE,) * 3, (0, 0, 0), lambda genotype: int(np.dot(genotype, [25, 5, 1])), truth, told, digits)


@pytest.mark.parametrize("entrant", ENTRANTS, ids=lambda one: one.algorithm)
def test_every_algorithm_finds_the_best_of_a_small_table(entrant: command.Entrant) -> None:
    found = search(world(), entrant, seed=0, evaluations=SIDE**3)
    assert found.regrets[-1] == 0.0
    assert (np.diff(found.regrets) <= 0).all()  # told the truth, a later pick is never worse
    assert len(found.regrets) == SIDE**3


def test_regret_is_of_the_truth_and_the_pick_is_of_what_was_told() -> None:
    one = world(noise=3.0)
    found = search(one, ENTRANTS[0], seed=1, evaluations=SIDE**3)
    told = one.scores(1)
    assert found.regrets[-1] == pytest.approx(one.truth.max() - one.truth[int(np.argmax(told))])
    assert floor(one, [1]) == pytest.approx(found.regrets[-1])
    assert floor(world(), [0, 1]) == 0.0


def test_a_seed_is_told_one_training_of_each_network() -> None:
    one = world(noise=3.0)
    first, second = one.scores(0), one.scores(1)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, one.scores(0))
    assert all(value in row for value, row in zip(first, one.trained, strict=True))


def test_a_neighbour_differs_in_one_place() -> None:
    import random

    space, rng = TableSpace(world()), random.Random(0)
    (start,) = space.starts()
    for _ in range(40):
        child = space.mutate(start, rng)
        assert isinstance(child, Candidate)
        assert sum(a != b for a, b in zip(child.body[0], start.body[0], strict=True)) == 1
        assert space.replay(start, child.edit or {}).digest == child.digest


def test_evaluations_for_a_regret_are_counted_from_where_it_stays() -> None:
    regrets = np.array([[5.0, 1.0, 3.0, 1.0, 0.0]])
    assert evaluations_for(regrets, 1.0) == 4
    assert evaluations_for(regrets, 5.0) == 1
    assert evaluations_for(regrets, -1.0) is None


def test_a_ratio_of_means_is_paired_by_seed() -> None:
    values = np.random.default_rng(0).random(50)
    value, low, high = interval(values / 2, values)
    assert value == pytest.approx(0.5)
    assert (low, high) == pytest.approx((0.5, 0.5))


def test_the_page_has_every_algorithm_with_its_figures() -> None:
    regrets = {one.label: np.full((4, 300), 1.0 + place) for place, one in enumerate(ENTRANTS)}
    results = [Results("toy", regrets, {one.label: 0.5 for one in ENTRANTS}, 0.25)]
    text = page(results, 8, "    the command")
    assert "| `evolution population=20` | 3.000 [3.000, 3.000]" in text
    assert "Regret of who was told all: 0.250." in text
    assert "(3.000) not within 300." in text
    assert picture([*results, *results]).startswith("<")
