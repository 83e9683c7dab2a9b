"""Sequences side by side: the alignment with the fewest unequal, added and removed items.

Among those, equal items that have only moved are left as removed and added, and unequal ones stand beside what they are most
like.
Exact, by dynamic programming over both sequences (Needleman and Wunsch, 1970).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from uninas.graph import Graph

Item = TypeVar("Item")
Bag = Counter[tuple[int, int]]
_ALONE = 0.5  # second key of an added or removed item that is nowhere else; an unequal pair's is its distance, up to 1


def align_sequences(
    a: Sequence[Item], b: Sequence[Item], distance: Callable[[Item, Item], float]
) -> list[tuple[int | None, int | None]]:
    """Pair indices in order; None on one side: the item is on the other alone. Of equal neighbours it is the last.

    Args:
        a: items compared by ==.
        b: likewise.
        distance: from 0 to 1, how unlike two unequal items are.
    """
    a, b = a[::-1], b[::-1]  # the way back through the table then meets the first items first
    costs: list[list[tuple[int, float]]] = []
    steps: list[list[int]] = []  # 0 both, 1 a alone, 2 b alone
    lone_a = [0.0 if item in b else _ALONE for item in a]
    lone_b = [0.0 if item in a else _ALONE for item in b]
    for i in range(len(a) + 1):
        costs.append([])
        steps.append([])
        for j in range(len(b) + 1):
            options: list[tuple[tuple[int, float], int]] = []
            if i and j:
                count, far = costs[i - 1][j - 1]
                same = a[i - 1] == b[j - 1]
                options.append(((count + (not same), far if same else far + distance(a[i - 1], b[j - 1])), 0))
            if i:
                count, far = costs[i - 1][j]
                options.append(((count + 1, far + lone_a[i - 1]), 1))
            if j:
                count, far = costs[i][j - 1]
                options.append(((count + 1, far + lone_b[j - 1]), 2))
            best = min(options, default=((0, 0.0), 0))
            costs[i].append(best[0])
            steps[i].append(best[1])
    i, j = len(a), len(b)
    found: list[tuple[int | None, int | None]] = []
    while i or j:
        step = steps[i][j]
        i, j = i - (step != 2), j - (step != 1)
        found.append((None if step == 2 else len(a) - 1 - i, None if step == 1 else len(b) - 1 - j))
    return found


def bag_of(graphs: Iterable[Graph | None]) -> Bag:
    """Count how often each operation, and each pair of an operation and its reader, occurs in some graphs."""
    bag: Bag = Counter()
    for graph in graphs:
        if graph is None:
            continue
        for node in graph.nodes[1:]:
            bag[node.op.code, 0] += 1
            for source in node.inputs:
                bag[graph.nodes[source].op.code, node.op.code] += 1
    return bag


def bag_distance(one: Bag, other: Bag) -> float:
    """Return the share of two bags that they do not have in common, from 0 to 1."""
    whole = one.total() + other.total()
    return 0.0 if not whole else 1 - 2 * (one & other).total() / whole
