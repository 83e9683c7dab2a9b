"""Dominance against its definition, point by point."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.ranking.dominance import crowding, first_front, fronts, spread

Point = tuple[float, ...]
# few values, so that ties and equal points are the rule
tables = st.integers(1, 4).flatmap(
    lambda columns: st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 0.5, 2.0, 7.0])] * columns), min_size=1, max_size=24)
)


def dominates(one: Point, other: Point) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


def naive_fronts(points: list[Point]) -> list[int]:
    """Deb et al.: take away what nobody left dominates, again and again."""
    numbers, left, number = [-1] * len(points), set(range(len(points))), 0
    while left:
        front = {i for i in left if not any(dominates(points[j], points[i]) for j in left)}
        for i in front:
            numbers[i] = number
        left -= front
        number += 1
    return numbers


def naive_crowding(points: list[Point], numbers: list[int]) -> list[float]:
    """By the neighbours of each member in each column, found by looking at everybody."""
    result = []
    for i, point in enumerate(points):
        front = [j for j in range(len(points)) if numbers[j] == numbers[i]]
        distance = 0.0 if len(front) > 1 else math.inf
        for column in range(len(point)):
            place = {j: (points[j][column], j) for j in front}
            least, greatest = min(points[j][column] for j in front), max(points[j][column] for j in front)
            if least == greatest:
                continue
            before = [place[j] for j in front if place[j] < place[i]]
            after = [place[j] for j in front if place[j] > place[i]]
            oldest_of_the_greatest = min(j for j in front if points[j][column] == greatest)
            if not before or i == oldest_of_the_greatest:
                distance = math.inf
            else:
                distance += ((min(after)[0] if after else point[column]) - max(before)[0]) / (greatest - least)
        result.append(distance)
    return result


@given(tables)
def test_fronts_are_their_definition(points: list[Point]) -> None:
    assert fronts(points).tolist() == naive_fronts(points)


@given(tables)
def test_crowding_is_its_definition(points: list[Point]) -> None:
    numbers = naive_fronts(points)
    assert crowding(points, numbers).tolist() == pytest.approx(naive_crowding(points, numbers))


@given(tables)
def test_the_first_front_is_front_zero(points: list[Point]) -> None:
    assert first_front(points).tolist() == [i for i, number in enumerate(naive_fronts(points)) if number == 0]


@given(tables, st.randoms(use_true_random=False))
def test_fronts_do_not_depend_on_the_order(points: list[Point], rng: random.Random) -> None:
    order = list(range(len(points)))
    rng.shuffle(order)
    numbers = fronts(points)
    assert fronts([points[i] for i in order]).tolist() == [numbers[i] for i in order]


def test_the_papers_figure() -> None:
    """Five points on a line fall into one front: the ends at infinity, the others by half the box around them."""
    points = [(0.0, 4.0), (1.0, 3.0), (1.5, 1.0), (3.0, 0.5), (4.0, 0.0)]
    assert fronts(points).tolist() == [0] * 5
    expected = [math.inf, 1.5 / 4 + 3 / 4, 2 / 4 + 2.5 / 4, 2.5 / 4 + 1 / 4, math.inf]
    assert crowding(points, [0] * 5).tolist() == pytest.approx(expected)


def test_a_point_that_is_another_one_over_again_is_crowded() -> None:
    points = [(0.0, 2.0), (1.0, 1.0), (2.0, 0.0), (1.0, 1.0), (0.0, 2.0)]
    distances = crowding(points, fronts(points))
    assert distances[0] == distances[2] == math.inf
    assert distances[4] < distances[1]
    assert distances[3] <= distances[1]
    assert crowding([(1.0, 1.0)] * 3, [0] * 3).tolist() == [0.0] * 3


@given(tables, st.integers(1, 30))
def test_a_spread_choice_is_its_definition_and_begins_as_a_smaller_one_does(points: list[Point], count: int) -> None:
    chosen = spread(points, count, first=len(points) - 1)
    assert len(chosen) == len(set(chosen)) == min(count, len(points))
    assert spread(points, max(1, count - 1), first=len(points) - 1) == chosen[: max(1, count - 1)]
    table = np.array(points)
    width = np.where(np.ptp(table, axis=0) > 0, np.ptp(table, axis=0), 1.0)

    def distance(i: int, j: int) -> float:
        return float(np.linalg.norm((table[i] - table[j]) / width))

    for number in range(1, len(chosen)):
        gaps = {i: min(distance(i, j) for j in chosen[:number]) for i in range(len(points)) if i not in chosen[:number]}
        assert gaps[chosen[number]] == pytest.approx(max(gaps.values()))


def test_shapes_are_refused() -> None:
    for function in (fronts, first_front):
        with pytest.raises(ValueError, match=r"one row a point and one column an objective, got an array of shape \(3,\)"):
            function([1.0, 2.0, 3.0])
