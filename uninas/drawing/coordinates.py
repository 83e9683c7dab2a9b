"""Horizontal coordinates of a layered graph (Brandes and Köpf, Fast and simple horizontal coordinate assignment, 2001).

Points are aligned into vertical lines with the median of their neighbours, once for each of the four corners that
one can start from; each alignment is compacted by longest paths; a point's coordinate is the mean of the two middle
ones of its four. Chains and long edges come out straight, forks symmetric, and separations hold because they hold
in each of the four.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

Layers = Sequence[Sequence[int]]
Neighbours = Sequence[Sequence[int]]
Room = tuple[float, float]


def assign_coordinates(
    layers: Layers, above: Neighbours, rooms: Sequence[Room], is_dummy: Callable[[int], bool], gap: float
) -> list[float]:
    """Return the coordinate of every point, so that the rooms of neighbours in a layer are at least `gap` apart.

    Args:
        layers: the points of each layer from left to right.
        above: for every point its neighbours in the layer above.
        rooms: how far each point reaches to its left and to its right.
        is_dummy: whether a point is part of a long edge: lines of such points are never broken for another line.
        gap: the least room between two points of one layer.
    """
    conflicts = _conflicts(layers, above, is_dummy)
    runs: list[list[float]] = []
    for upward in (False, True):
        for leftward in (False, True):
            ordered = [list(reversed(layer)) if leftward else list(layer) for layer in layers]
            neighbours: Neighbours = above
            if upward:
                ordered.reverse()
                neighbours = _reverse(above)
            root, line = _align(ordered, neighbours, conflicts)
            places = _compact(ordered, root, line, [room[::-1] for room in rooms] if leftward else rooms, gap)
            runs.append([-place for place in places] if leftward else places)
    return _balance(runs, rooms)


def _reverse(above: Neighbours) -> list[list[int]]:
    below: list[list[int]] = [[] for _ in above]
    for point, neighbours in enumerate(above):
        for other in neighbours:
            below[other].append(point)
    return below


def _conflicts(layers: Layers, above: Neighbours, is_dummy: Callable[[int], bool]) -> set[tuple[int, int]]:
    """Segments (upper, lower) that cross a segment between two dummies and are none themselves."""
    marked: set[tuple[int, int]] = set()
    for upper, lower in pairwise(layers):
        place = {point: index for index, point in enumerate(upper)}
        inner = []
        for index, point in enumerate(lower):
            inner += [(place[o], index) for o in above[point] if is_dummy(point) and is_dummy(o)]
        for index, point in enumerate(lower):
            for other in above[point]:
                if is_dummy(point) and is_dummy(other):
                    continue
                if any((place[other] - a) * (index - b) < 0 for a, b in inner):
                    marked.add((other, point))
    return marked


def _align(ordered: Layers, neighbours: Neighbours, conflicts: set[tuple[int, int]]) -> tuple[list[int], list[list[int]]]:
    """Lines of points: the root of every point's line, and for every root the points of its line."""
    count = len(neighbours)
    root = list(range(count))
    line = [[point] for point in range(count)]
    position = {point: index for layer in ordered for index, point in enumerate(layer)}
    for layer in ordered:
        reached = -1
        taken: set[int] = set()
        for point in layer:
            around = sorted(neighbours[point], key=position.__getitem__)
            middle = len(around) // 2
            medians = around[middle - 1 : middle + 1] if around and len(around) % 2 == 0 else around[middle : middle + 1]
            for other in medians:
                free = (other, point) not in conflicts and (point, other) not in conflicts
                if free and position[other] > reached and other not in taken:
                    root[point] = root[other]
                    line[root[other]].append(point)
                    taken.add(other)
                    reached = position[other]
                    break
    return root, line


def _compact(
    ordered: Layers, root: Sequence[int], line: Sequence[Sequence[int]], rooms: Sequence[Room], gap: float
) -> list[float]:
    """Push every line as far left as the lines beside it allow, then back right where there is room."""
    room_after: dict[int, dict[int, float]] = {}  # line -> line to its right -> least distance
    waiting: dict[int, int] = {point: 0 for point in range(len(root)) if root[point] == point}
    for layer in ordered:
        for left, right in pairwise(layer):
            distance = rooms[left][1] + rooms[right][0] + gap
            known = room_after.setdefault(root[left], {})
            if root[right] not in known:
                waiting[root[right]] += 1
            known[root[right]] = max(distance, known.get(root[right], 0.0))
    order = [point for point, count in waiting.items() if count == 0]
    place = dict.fromkeys(waiting, 0.0)
    for first in order:  # grows while it is read: lines in topological order
        for second, distance in room_after.get(first, {}).items():
            place[second] = max(place[second], place[first] + distance)
            waiting[second] -= 1
            if waiting[second] == 0:
                order.append(second)
    for first in reversed(order):
        after = room_after.get(first)
        if after:
            place[first] = max(place[first], min(place[second] - distance for second, distance in after.items()))
    return [place[root[point]] for point in range(len(root))]


def _balance(runs: list[list[float]], rooms: Sequence[Room]) -> list[float]:
    """Shift the four to the narrowest of them, by the edge that each was pushed to, then combine."""
    spans = []
    for run in runs:
        low = min(x - room[0] for x, room in zip(run, rooms, strict=True))
        high = max(x + room[1] for x, room in zip(run, rooms, strict=True))
        spans.append((low, high))
    low, high = min(spans, key=lambda span: span[1] - span[0])
    shifted = []
    for index, (run, span) in enumerate(zip(runs, spans, strict=True)):
        shift = high - span[1] if index % 2 else low - span[0]
        shifted.append([x + shift for x in run])
    combined = []
    for values in zip(*shifted, strict=True):
        middle = sorted(values)[1:3]
        combined.append(sum(middle) / 2)
    return combined
