"""The network that two cells are stacked into (DARTS, arXiv 1806.09055): each cell reads the outputs of the two before it.

A cell first brings its two inputs, nodes 0 and 1, to its own number of channels C: ReLU, 1x1 convolution, BatchNorm; factorised
reduction where an input has twice the resolution. Nodes 2, 3, .. add up two edges each. The output concatenates nodes. Cells
number depth/3 and 2 depth/3, rounded down, are reduction cells: they double C, and their edges from nodes 0 and 1 have stride 2.

The stem of CIFAR-10's network is a 3x3 convolution to 3C channels with BatchNorm, which both inputs of the first cell read. That
of ImageNet's are three convolutions of stride 2, the second of which (stride 4) and the third (stride 8) are those inputs.
Behind the last cell stand global average pooling and a linear layer; there is no auxiliary head and no drop path.

A graph has one input and one output, so two maps of one resolution flow from part to part as one, concatenated, and the next
part takes them apart again: no parameters, no MACs. A stage is a resolution. Its transition holds its first cells, until both
maps have equal channels; its blocks are the normal cells after those. A reduction cell's two maps differ in resolution, so it
shares the transition with what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from math import gcd
from typing import NamedTuple

from uninas.graph import IDENTITY, Architecture, Graph, GraphBuilder, Stage
from uninas.networks.pieces import NORM, RELU, chain, conv, network, stage
from uninas.ops import op
from uninas.spaces.cells.operations import add_operation, factorised_reduction, projection

Edge = tuple[str, int]
"""(operation, node that it reads)."""

Cell = tuple[tuple[Edge, Edge], ...]
"""The two edges of the nodes 2, 3, .."""

STEMS = ("cifar", "imagenet")


class Placed(NamedTuple):
    """A cell in its place: `out` are the nodes that its output concatenates, `channels` those of each node."""

    cell: Cell
    out: tuple[int, ...]
    channels: int
    reduces: bool


class Maps(NamedTuple):
    """What the next cell reads: channels of the last output but one and of the last, and whether the former is twice as fine."""

    before: int
    last: int
    finer: bool


def concatenated(cell: Cell, *, loose: bool) -> tuple[int, ...]:
    """Return the nodes that a cell's output concatenates: all, or with `loose` those that no other node of the cell reads."""
    nodes = range(2, 2 + len(cell))
    read = {source for edges in cell for _, source in edges} if loose else set()
    return tuple([node for node in nodes if node not in read])


def cells_network(
    normal: Cell,
    reduce: Cell,
    *,
    loose: bool,
    width: int,
    depth: int,
    stem: str,
    classes: int,
    input_size: tuple[int, int],
) -> Architecture:
    """Build the network of two cells: `depth` cells, the first of `width` channels a node, which is even.

    `loose`: see `concatenated`. `stem`: one of `STEMS`. Dead ends stay in it, as in what the sources train.
    """
    placed: list[Placed] = []
    channels, halvings = width, {depth // 3, 2 * depth // 3}
    for index in range(depth):
        reduces = index in halvings
        channels *= 2 if reduces else 1
        cell = reduce if reduces else normal
        placed.append(Placed(cell, concatenated(cell, loose=loose), channels, reduces))
    opens, begins = _stem(stem, width)
    stages, head = _stages(placed, begins, stem)
    return network(opens, stages, head, classes, input_size)


def _stem(stem: str, width: int) -> tuple[Graph, Maps]:
    """The stem's graph, and what the first cell reads: of ImageNet's, the third convolution is in the first transition."""
    if stem == "cifar":
        return chain(conv(3, 3 * width, 3), NORM), Maps(3 * width, 3 * width, finer=False)
    half = width // 2
    graph = chain(conv(3, half, 3, stride=2), NORM, RELU, conv(half, width, 3, stride=2), NORM)
    return graph, Maps(width, width, finer=True)


def _stages(placed: Sequence[Placed], maps: Maps, opening: str) -> tuple[list[Stage], Graph]:
    """The stages, and the head that takes the last cell's output."""
    stages: list[Stage] = []
    numbers = [sum(cell.reduces for cell in placed[: index + 1]) for index in range(len(placed))]
    waiting: list[Placed] = []
    after = maps
    for number, group in groupby(zip(numbers, placed, strict=True), key=lambda pair: pair[0]):
        rest = [cell for _, cell in group]
        while rest and not (waiting and not after.finer and after.before == after.last):
            waiting.append(rest.pop(0))
            after = _after(after, waiting[-1])
        ends = number == numbers[-1] and not rest
        if after.finer and not ends:  # two maps of different resolutions: the next stage's first cells join them
            continue
        transition = _part(tuple(waiting), maps, opening, closes=ends)
        blocks = [_part((cell,), after, "pair", closes=False) for cell in rest]
        stages.append(stage(after.last if ends else after.before + after.last, transition, blocks))
        waiting, maps, opening = [], after, "pair"
    return stages, chain(op("slice", index=1, count=2)) if stages[-1].blocks else IDENTITY


def _after(maps: Maps, cell: Placed) -> Maps:
    return Maps(maps.last, cell.channels * len(cell.out), finer=cell.reduces)


@lru_cache(maxsize=4096)
def _part(cells: tuple[Placed, ...], maps: Maps, opening: str, *, closes: bool) -> Graph:
    """Some cells in a row as one graph; with `closes` it returns the last one's output alone."""
    builder = GraphBuilder()
    before, last = _opened(builder, maps, opening)
    for cell in cells:
        before, last = last, add_cell(builder, cell, before, last, maps)
        maps = _after(maps, cell)
    return builder.build(last if closes else builder.add(op("concat"), before, last))


def _opened(builder: GraphBuilder, maps: Maps, opening: str) -> tuple[int, int]:
    """The nodes of the two maps: of the stem, or of a pair that was concatenated."""
    if opening == "cifar":
        return 0, 0
    if opening == "imagenet":
        return 0, builder.chain(0, RELU, conv(maps.before, maps.last, 3, stride=2), NORM)
    piece = gcd(maps.before, maps.last)
    count = (maps.before + maps.last) // piece
    slices = [builder.add(op("slice", index=index, count=count), 0) for index in range(count)]
    first, second = slices[: maps.before // piece], slices[maps.before // piece :]
    return _joined(builder, first), _joined(builder, second)


def _joined(builder: GraphBuilder, nodes: Sequence[int]) -> int:
    return nodes[0] if len(nodes) == 1 else builder.add(op("concat"), *nodes)


def add_cell(builder: GraphBuilder, cell: Placed, before: int, last: int, maps: Maps) -> int:
    """Append a cell that reads the nodes `before` and `last`; returns its output's index."""
    brings = factorised_reduction if maps.finer else projection
    nodes = [brings(builder, before, maps.before, cell.channels), projection(builder, last, maps.last, cell.channels)]
    for edges in cell.cell:
        terms = []
        for name, source in edges:
            stride = 2 if cell.reduces and source < 2 else 1
            terms.append(add_operation(builder, name, nodes[source], cell.channels, stride))
        nodes.append(builder.add(op("add"), *terms))
    return _joined(builder, [nodes[node] for node in cell.out])
