"""Ranks of a population: rank 1 is the worst, ties share the average rank, NaN and -inf rank lowest.

A column of a population is ordered by a key of one or two numbers: (value,) or, for lexicographic scores such as
VKDNW_single, (aleph, vkdnw). Higher is better everywhere. The ranks of several columns are combined to one value: their
"product", which only a member high in all columns is high in, their "mean", or a weighted product.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Key = tuple[float, float]
"""What one column orders by: (first, second), compared lexicographically, never NaN."""

LOWEST: Key = (-math.inf, -math.inf)
"""The key of a score that is missing or failed."""

TIE = 1e-12
"""Rank products closer than this are equal: only the order of summation of the same logarithms differs."""

DIGITS = 9
"""Values of an objective that are equal in so many digits are equal, for the same reason."""

Floats = NDArray[np.float64]

Combine = str | tuple[float, ...]
"""How ranks are combined: "product", "mean", or the weights of a weighted product, one per column."""


def key(first: float | None, second: float | None = 0.0) -> Key:
    """Make the key of one column from its one or two numbers; None, NaN and -inf give `LOWEST`."""
    if first is None or second is None:
        return LOWEST
    made = (float(first), float(second))
    # a NaN is not above -inf either
    return made if made[0] > -math.inf and made[1] > -math.inf else LOWEST


def ranks(values: ArrayLike) -> Floats:
    """Rank a vector of n numbers: float64 ranks in [1, n], 1 = worst, ties averaged, NaN and -inf lowest."""
    numbers: Floats = np.array(values, dtype=np.float64)
    if numbers.ndim != 1:
        raise ValueError(f"ranks: expected a vector of scores, got an array of shape {numbers.shape}")
    numbers[np.isnan(numbers)] = -np.inf
    return _average_ranks(np.unique(numbers, return_inverse=True)[1])


def lexicographic_ranks(first: ArrayLike, second: ArrayLike) -> Floats:
    """Rank n pairs by `first`, and by `second` where `first` is equal. A pair with a NaN or -inf ranks lowest."""
    table: Floats = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)], axis=1)
    table[(np.isnan(table) | np.isneginf(table)).any(axis=1)] = -np.inf
    order = np.lexsort((table[:, 1], table[:, 0]))  # np.unique over rows would compare them as bytes do, ten times as long
    in_order = table[order]
    new = np.ones(len(table), dtype=np.intp)
    new[:1] = 0
    new[1:] = (in_order[1:] != in_order[:-1]).any(axis=1)
    groups = np.empty(len(table), dtype=np.intp)
    groups[order] = np.cumsum(new)
    return _average_ranks(groups)


def _average_ranks(groups: NDArray[np.intp]) -> Floats:
    """Turn group numbers (0 = worst group) into ranks: group g takes the mean of the places it fills."""
    counts = np.bincount(groups)
    last = np.cumsum(counts)
    result: Floats = (last - (counts - 1) / 2.0)[groups]
    return result


def combined(ranks: ArrayLike, combine: Combine) -> Floats:
    """Combine ranks, one row per column, to one value per member; higher is better.

    "product": the sum of ln(rank) (VKDNW paper, eq. 15); "mean": the mean rank (TE-NAS, arXiv 2102.11535, adds two ranks);
    weights: the sum of weight x ln(rank), the logarithm of the product of the ranks, each to the power of its weight.
    """
    table: Floats = np.asarray(ranks, dtype=np.float64)
    if combine == "product":
        table = np.log(table).sum(axis=0)
    elif combine == "mean":
        table = table.mean(axis=0)
    elif isinstance(combine, tuple):
        if len(combine) != len(table):
            raise ValueError(f"combine: expected one weight per column, {len(table)}, got {len(combine)}")
        table = np.tensordot(np.asarray(combine, dtype=np.float64), np.log(table), axes=1)
    else:
        raise ValueError(f"combine: expected product, mean or weights, got '{combine}'")
    return table


def rank_product(table: ArrayLike) -> Floats:
    """Aggregate an n x c table of scores: sum over columns of ln(rank) (VKDNW paper, eq. 15). Higher is better."""
    return combined(_rank_table(table).T, "product")


def rank_average(table: ArrayLike) -> Floats:
    """Aggregate an n x c table of scores: the mean rank over columns (as TE-NAS). Higher is better."""
    return combined(_rank_table(table).T, "mean")


def _rank_table(table: ArrayLike) -> Floats:
    scores: Floats = np.asarray(table, dtype=np.float64)
    if scores.ndim != 2:
        raise ValueError(f"rank table: expected one row a candidate and one column a score, got an array of shape {scores.shape}")
    return np.stack([ranks(column) for column in scores.T], axis=1) if scores.shape[1] else np.ones((len(scores), 0))


class BoundedRanks:
    """Combined ranks of a small population that gains and loses members, kept up to date in O(members) per change.

    For each member and column it holds how many others are below and how many are equal; a newcomer is compared once
    with everybody, nobody is ever sorted again. Members are named by an integer of the caller's.
    """

    def __init__(self, columns: int, capacity: int, combine: Combine = "product") -> None:
        self._combine = combine
        self._keys: Floats = np.zeros((columns, capacity, 2))
        self._below: Floats = np.zeros((columns, capacity))
        self._equal: Floats = np.zeros((columns, capacity))
        self._names: NDArray[np.int64] = np.zeros(capacity, dtype=np.int64)
        self._used: NDArray[np.bool_] = np.zeros(capacity, dtype=np.bool_)
        self._slot: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._slot)

    def __contains__(self, name: int) -> bool:
        return name in self._slot

    def add(self, name: int, keys: Sequence[Key]) -> None:
        """Let a member in; `keys` holds one key a column."""
        if name in self._slot:
            raise ValueError(f"population: member {name} is already in it")
        if len(self._slot) == len(self._used):
            raise ValueError(f"population: full with {len(self._used)} members; remove one before adding {name}")
        slot = int(np.argmin(self._used))
        newcomer: Floats = np.asarray(keys, dtype=np.float64)[:, None, :]
        lower, equal = _compare(self._keys, newcomer, self._used)
        self._below[:, slot] = lower.sum(axis=1)
        self._equal[:, slot] = equal.sum(axis=1)
        self._below += (~lower & ~equal) & self._used
        self._equal += equal
        self._keys[:, slot] = newcomer[:, 0]
        self._names[slot], self._used[slot], self._slot[name] = name, True, slot

    def remove(self, name: int) -> None:
        """Let a member go."""
        slot = self._slot.pop(name)
        self._used[slot] = False
        lower, equal = _compare(self._keys, self._keys[:, slot][:, None, :], self._used)
        self._below -= (~lower & ~equal) & self._used
        self._equal -= equal

    def ranks(self, name: int) -> Floats:
        """Give the member's rank in each column (1 = worst, ties averaged)."""
        slot = self._slot[name]
        result: Floats = self._below[:, slot] + self._equal[:, slot] / 2.0 + 1.0
        return result

    def score(self, name: int) -> float:
        """Give the member's combined rank within the population."""
        return float(combined(self.ranks(name), self._combine))

    def scores(self, names: Sequence[int]) -> Floats:
        """Give the combined ranks of several members within the population, in their order."""
        slots = [self._slot[name] for name in names]
        return combined(self._below[:, slots] + self._equal[:, slots] / 2.0 + 1.0, self._combine)

    def worst(self, among: Sequence[int] | None = None) -> int:
        """Name the member with the lowest combined rank among all members, or among some; of equals the youngest (largest name).

        So the older stays.
        """
        total = combined(self._below + self._equal / 2.0 + 1.0, self._combine)
        asked = self._used
        if among is not None:
            asked = np.zeros_like(self._used)
            asked[[self._slot[name] for name in among]] = True
        total[~asked] = np.inf
        lowest = np.flatnonzero(total <= total.min() + TIE)
        return int(self._names[lowest].max())


def _compare(keys: Floats, other: Floats, used: NDArray[np.bool_]) -> tuple[Any, Any]:
    """Say for each column and slot whether its key is lower than, and equal to, the other one; unused slots: neither."""
    same_first = keys[..., 0] == other[..., 0]
    lower = (keys[..., 0] < other[..., 0]) | (same_first & (keys[..., 1] < other[..., 1]))
    return lower & used, same_first & (keys[..., 1] == other[..., 1]) & used


class HistoryRanks:
    """Combined ranks of anything among all keys told so far: one sorted list a column, nothing is ever evicted."""

    def __init__(self, columns: int, combine: Combine = "product") -> None:
        self._combine = combine
        self._columns: list[list[Key]] = [[] for _ in range(columns)]

    def add(self, keys: Sequence[Key]) -> None:
        """Take one more member into the history."""
        for column, value in zip(self._columns, keys, strict=True):
            bisect.insort(column, value)

    def ranks(self, keys: Sequence[Key]) -> list[float]:
        """Give the rank in each column of a member of the history."""
        result = []
        for column, value in zip(self._columns, keys, strict=True):
            low, high = bisect.bisect_left(column, value), bisect.bisect_right(column, value)
            result.append((low + high + 1) / 2.0)
        return result

    def score(self, keys: Sequence[Key]) -> float:
        """Give the combined rank of a member of the history."""
        return float(combined(self.ranks(keys), self._combine))
