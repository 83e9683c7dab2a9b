"""Layered drawing of a directed acyclic graph (the method of Sugiyama, Tagawa and Toda, 1981).

Four steps: layers by longest path, dummy points for edges that span several layers, an order in every layer by
barycentre sweeps that keeps the fewest crossings seen, and coordinates (`uninas.drawing.coordinates`). Nothing is
random: the same graph gives the same picture.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from uninas.drawing.coordinates import assign_coordinates
from uninas.errors import InputError

ORDER_SWEEPS = 12  # down and up pairs; fork-merge graphs settle after two or three
DUMMY_WIDTH = 10.0  # room that a passing edge gets between two boxes
MOST_POINTS = 20_000  # boxes, and places at which edges pass a layer: some seconds
LABEL_CLEARANCE = 6.0  # room between a label and what stands to its right
PORT_SPREAD = 0.6  # share of a box's top edge over which several incoming edges are spread


@dataclass(frozen=True)
class Box:
    """A placed rectangle: upper left corner, width and height, in pixels; y grows downward."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> float:
        """The x coordinate of the middle."""
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        """The y coordinate of the lower edge."""
        return self.y + self.height


@dataclass(frozen=True)
class Route:
    """An edge from box `source` to box `target`: points from top to bottom, ends on the boxes' edges.

    Within a layer an edge runs straight down, so that it meets no box; sideways it moves only between two layers.
    """

    source: int
    target: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Layout:
    """The boxes in the order given, the routes in the order of the edges given, and the size of the whole."""

    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    layers: tuple[int, ...]
    width: float
    height: float


def longest_path_layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Return the layer of each of `count` nodes: the length of the longest path that ends in it.

    Raises:
        ValueError: an edge names a node outside 0 .. count-1, or the edges hold a cycle.
    """
    successors: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for source, target in edges:
        if not (0 <= source < count and 0 <= target < count):
            raise ValueError(f"an edge must join nodes 0 .. {count - 1}, got ({source}, {target})")
        successors[source].append(target)
        waiting[target] += 1
    layers = [0] * count
    ready = [node for node in range(count) if waiting[node] == 0]
    done = 0
    while done < len(ready):
        node = ready[done]
        done += 1
        for target in successors[node]:
            layers[target] = max(layers[target], layers[node] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    if done < count:
        stuck = sorted(set(range(count)) - set(ready))
        raise ValueError(f"the edges must hold no cycle, got one through some of the nodes {stuck}")
    return layers


class _Layered:
    """Points (boxes first, then dummies) in layers, joined by segments between neighbouring layers only."""

    def __init__(self, sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> None:
        self.real = len(sizes)
        self.layer_of = longest_path_layers(len(sizes), edges)
        self.half = [width / 2 for width, _ in sizes]
        self.chains: list[list[int]] = []
        for source, target in edges:
            chain = [source]
            if len(self.layer_of) + self.layer_of[target] - self.layer_of[source] > MOST_POINTS:
                raise InputError(
                    f"drawing: expected at most {MOST_POINTS:,} places that edges pass, got more: its edges are too long"
                )
            for layer in range(self.layer_of[source] + 1, self.layer_of[target]):
                chain.append(len(self.layer_of))
                self.layer_of.append(layer)
                self.half.append(DUMMY_WIDTH / 2)
            self.chains.append([*chain, target])
        points = len(self.layer_of)
        self.above: list[list[int]] = [[] for _ in range(points)]
        self.below: list[list[int]] = [[] for _ in range(points)]
        for chain in self.chains:
            for upper, lower in pairwise(chain):
                self.below[upper].append(lower)
                self.above[lower].append(upper)
        self.layers: list[list[int]] = [[] for _ in range(max(self.layer_of, default=-1) + 1)]
        for point in self._depth_first():
            self.layers[self.layer_of[point]].append(point)

    def _depth_first(self) -> list[int]:
        """All points in depth-first order from the sources: branches of one fork start out side by side."""
        seen = [False] * len(self.layer_of)
        order = []
        for root in range(len(self.layer_of)):
            stack = [root] if not self.above[root] else []
            while stack:
                point = stack.pop()
                if not seen[point]:
                    seen[point] = True
                    order.append(point)
                    stack.extend(reversed(self.below[point]))
        return order

    def crossings(self, layers: list[list[int]]) -> int:
        """Return the number of pairs of segments that cross, counted as inversions."""
        total = 0
        for upper, lower in pairwise(layers):
            place = {point: index for index, point in enumerate(lower)}
            ends: list[int] = []
            for point in upper:
                targets = sorted(place[other] for other in self.below[point])
                total += sum(len(ends) - bisect_right(ends, target) for target in targets)
                for target in targets:
                    insort(ends, target)
        return total

    def order(self) -> None:
        """Reorder every layer by barycentres of its neighbours, downward then upward; the best order seen stays."""
        best, fewest = self.layers, self.crossings(self.layers)
        current = best
        for _ in range(ORDER_SWEEPS):
            if fewest == 0:
                break
            for downward in (True, False):
                current = self._sweep(current, downward)
                count = self.crossings(current)
                if count < fewest:
                    best, fewest = current, count
        self.layers = best

    def _sweep(self, layers: list[list[int]], downward: bool) -> list[list[int]]:
        result = [list(layer) for layer in layers]
        neighbours = self.above if downward else self.below
        sequence = range(1, len(result)) if downward else range(len(result) - 2, -1, -1)
        for index in sequence:
            fixed = result[index - 1 if downward else index + 1]
            place = {point: float(position) for position, point in enumerate(fixed)}
            key = {}
            for position, point in enumerate(result[index]):
                around = [place[other] for other in neighbours[point]]
                key[point] = sum(around) / len(around) if around else float(position)
            result[index].sort(key=key.__getitem__)
        return result


def layered_layout(
    sizes: Sequence[tuple[float, float]],
    edges: Sequence[tuple[int, int]],
    *,
    labels: Sequence[tuple[float, float]] = (),
    horizontal_gap: float = 18.0,
    vertical_gap: float = 26.0,
) -> Layout:
    """Place boxes of the given (width, height) so that every edge points downward and no two boxes overlap.

    A label stands below its box, to the right of the box's middle, where the edges leave: no edge and no box meets it.

    Args:
        sizes: width and height of every node's box, in pixels.
        edges: (source, target) pairs of node indices; equal pairs are drawn side by side.
        labels: how far every node's label reaches to the right of its box's middle and below the box, there at most
            `vertical_gap`; (0, 0) where it has none; default no labels.
        horizontal_gap: the least room between two boxes, or a box and a passing edge, of one layer.
        vertical_gap: the room between two layers.

    Returns:
        the layout, its upper left corner at (0, 0).

    Raises:
        ValueError: an edge names an unknown node, or the edges hold a cycle.
    """
    if not sizes:
        return Layout((), (), (), 0.0, 0.0)
    points = _Layered(sizes, edges)
    points.order()
    reach = [label[0] for label in labels] or [0.0] * points.real
    reach += [0.0] * (len(points.half) - points.real)  # of the dummies
    # A label needs less room beside it than a box does.
    rooms = [(half, max(half, at + LABEL_CLEARANCE - horizontal_gap)) for half, at in zip(points.half, reach, strict=True)]
    middle = assign_coordinates(points.layers, points.above, rooms, lambda point: point >= points.real, horizontal_gap)
    left = min(x - half for x, half in zip(middle, points.half, strict=True))
    right = max(x + max(half, at) for x, half, at in zip(middle, points.half, reach, strict=True))
    middle = [x - left for x in middle]
    entries = _ports(points, middle, sizes)
    bands = _label_bands(points, middle, entries, labels)
    tops, heights, bottoms = [], [], []
    top = 0.0
    for layer, band in zip(points.layers, bands, strict=True):
        heights.append(max([sizes[point][1] for point in layer if point < points.real], default=0.0))
        tops.append(top)
        bottoms.append(top + heights[-1] + band)
        top = bottoms[-1] + vertical_gap
    boxes = []
    for node, (width, height) in enumerate(sizes):
        layer_index = points.layer_of[node]
        y = tops[layer_index] + (heights[layer_index] - height) / 2
        boxes.append(Box(middle[node] - width / 2, y, width, height))
    routes = []
    for index, ((source, target), chain) in enumerate(zip(edges, points.chains, strict=True)):
        track = [(boxes[source].centre, boxes[source].bottom), (boxes[source].centre, bottoms[points.layer_of[source]])]
        for dummy in chain[1:-1]:
            layer_index = points.layer_of[dummy]
            track += [(middle[dummy], tops[layer_index]), (middle[dummy], bottoms[layer_index])]
        track += [(entries[index], tops[points.layer_of[target]]), (entries[index], boxes[target].y)]
        routes.append(Route(source, target, tuple(dict.fromkeys(track))))
    return Layout(tuple(boxes), tuple(routes), tuple(points.layer_of[: points.real]), right - left, bottoms[-1])


def _label_bands(
    points: _Layered, middle: Sequence[float], entries: Sequence[float], labels: Sequence[tuple[float, float]]
) -> list[float]:
    """By how much each layer is made higher, so that edges still run straight down beside its labels.

    Where no edge would bend across it, a label stands in the gap between two layers.
    """
    moves: list[list[tuple[float, float]]] = [[] for _ in points.layers]
    for chain, entry in zip(points.chains, entries, strict=True):
        for upper, lower in pairwise(chain):
            ends = middle[upper], entry if lower == chain[-1] else middle[lower]
            moves[points.layer_of[upper]].append((min(ends), max(ends)))
    bands = [0.0] * len(points.layers)
    for node, (reach, height) in enumerate(labels):
        layer = points.layer_of[node]
        if any(low < middle[node] + reach and high > middle[node] + 1 for low, high in moves[layer]) or layer == len(bands) - 1:
            bands[layer] = max(bands[layer], height)
    return bands


def _ports(points: _Layered, middle: Sequence[float], sizes: Sequence[tuple[float, float]]) -> list[float]:
    """Where each edge enters its target: the incoming edges of a box stand side by side, in their order from above."""
    incoming: dict[int, list[tuple[float, int]]] = {}
    for index, chain in enumerate(points.chains):
        incoming.setdefault(chain[-1], []).append((middle[chain[-2]], index))
    entries = [0.0] * len(points.chains)
    for target, arrivals in incoming.items():
        for rank, (_, index) in enumerate(sorted(arrivals)):
            share = (rank + 0.5) / len(arrivals) - 0.5
            entries[index] = middle[target] + share * PORT_SPREAD * sizes[target][0] * (len(arrivals) > 1)
    return entries
