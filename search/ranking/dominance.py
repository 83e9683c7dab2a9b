"""Pareto dominance of points, all of whose columns are to be minimised: fronts, crowding, a spread choice.

One point dominates another where it is no worse in every column and better in one; equal points do not dominate each other.
`fronts` and `crowding` are the two parts of NSGA-II (Deb, Pratap, Agarwal, Meyarivan: A fast and elitist multiobjective
genetic algorithm, IEEE Transactions on Evolutionary Computation 6(2), 2002). Points stand oldest first: where the order of
equals matters, the older one is preferred.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.ranking.ranks import Floats

Integers = NDArray[np.int64]


def fronts(points: ArrayLike) -> Integers:
    """Number the fronts of n x m points: 0 for what nobody dominates, k for what only members of the fronts below k dominate.

    O(m n^2) time and O(n^2) memory: for the population of an algorithm, not for a whole journal (see `first_front`).
    """
    table = _table(points)
    no_worse = np.ones((len(table), len(table)), dtype=np.bool_)
    for column in table.T:
        no_worse &= column[:, None] <= column[None, :]
    dominates = no_worse & ~no_worse.T
    dominators = dominates.sum(axis=0)
    numbers: Integers = np.full(len(table), -1, dtype=np.int64)
    number = 0
    while (open_ := numbers < 0).any():
        front = open_ & (dominators == 0)
        numbers[front] = number
        dominators -= dominates[front].sum(axis=0)
        number += 1
    return numbers


def crowding(points: ArrayLike, numbers: ArrayLike) -> Floats:
    """Give the crowding distance of each of n x m points within its front (section III.B of the paper).

    In each column a front's members stand in order, equals oldest first. The first of them and the oldest of those at the
    greatest value have distance infinity; any other adds the difference between its two neighbours' values in parts of the
    front's range (behind the last one nobody stands: its own value counts). A column in which all are equal adds nothing, so
    a point that is another one over again is crowded. A front of one member has distance infinity.

    Args:
        points: n x m.
        numbers: the front of each point, as `fronts` gives them.
    """
    table = _table(points)
    of = np.asarray(numbers, dtype=np.int64)
    distance: Floats = np.zeros(len(table))
    if not len(table):
        return distance
    alone = np.bincount(of)[of] == 1
    for column in table.T:
        order = np.lexsort((column, of))  # stable: equals stay oldest first
        value, front = column[order], of[order]
        begins = np.concatenate([[True], front[1:] != front[:-1]])
        ends = np.concatenate([begins[1:], [True]])
        group = np.cumsum(begins) - 1
        least, greatest = value[begins][group], value[ends][group]
        width = greatest - least
        before = np.concatenate([value[:1], value[:-1]])
        after = np.where(ends, value, np.concatenate([value[1:], value[-1:]]))
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.where(width > 0, (after - before) / width, 0.0)
        steps = np.concatenate([[True], value[1:] != value[:-1]]) | begins
        extreme = (width > 0) & (begins | ((value == greatest) & steps))
        distance[order] += np.where(extreme, np.inf, gap)
    distance[alone] = np.inf
    return distance


def first_front(points: ArrayLike) -> Integers:
    """Give the places of the points that nobody dominates, in ascending order; equal points are all in or all out.

    O(m n f) time for a front of f of the n points, O(m n) memory: the lexicographically least of what is left is in the front,
    and what it dominates is left no longer.
    """
    table = _table(points)
    left = np.lexsort(table.T[::-1])
    kept: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        others = table[left]
        left = left[(table[best] > others).any(axis=1) | (table[best] == others).all(axis=1)]
    return np.sort(np.array(kept, dtype=np.int64))


def spread(points: ArrayLike, count: int, first: int) -> list[int]:
    """Choose at most `count` of n x m points spread over their range: the farthest point each time (Gonzalez, 1985).

    Begins with place `first`; then whichever point is farthest from its nearest chosen one, in Euclidean distance with every
    column in parts of its range; of equals the older. So a smaller choice is the beginning of a larger one. O(m n count).
    """
    table = _table(points)
    width = np.ptp(table, axis=0)
    scaled = (table - table.min(axis=0)) / np.where(width > 0, width, 1.0)
    chosen = [first]
    nearest = np.full(len(table), np.inf)
    while len(chosen) < min(count, len(table)):
        nearest = np.minimum(nearest, np.sqrt(((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1)))
        nearest[chosen[-1]] = -1.0  # never again, also where the others are equal to it
        chosen.append(int(np.argmax(nearest)))
    return chosen[:count]


def _table(points: ArrayLike) -> Floats:
    table: Floats = np.asarray(points, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"points: expected one row a point and one column an objective, got an array of shape {table.shape}")
    return table
