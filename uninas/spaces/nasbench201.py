"""NAS-Bench-201 (Dong and Yang, arXiv 2001.00326): 15,625 cells of four nodes, in the one network they were trained in.

A cell is a complete directed graph of nodes 0 to 3, whose six edges each carry one of five operations; a node is the sum of its
edges. It is written `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`: the nodes 1, 2 and 3, each with the operations on its edges from
earlier nodes. An edge that computes is ReLU, convolution without bias, BatchNorm.

The network: a 3x3 convolution with BatchNorm; three stages of equal cells at C, 2C and 4C channels, the last two entered by a
residual block of stride 2; BatchNorm, ReLU, global average pooling, a linear layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any

from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Block, Graph, GraphBuilder, Stage
from uninas.ops import op
from uninas.spaces.choices import Product

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""What an edge may carry, in the benchmark's own order."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) of the six edges, in the order in which the text names them."""

_NODES = 4
_RELU, _NORM = op("relu"), op("batch_norm")


def parse_cell(text: str) -> tuple[str, ...]:
    """Read the six operation names of a cell, in the order of `EDGES`. Raises InputError that says what was expected where."""
    written = text.split("+")
    if len(written) != _NODES - 1:
        raise _fail(text, f"{_NODES - 1} nodes joined by '+'", f"{len(written)}")
    names: list[str] = []
    for target, node in enumerate(written, 1):
        match = re.fullmatch(r"\|(.*)\|", node)
        edges = match[1].split("|") if match else []
        if len(edges) != target:
            raise _fail(text, f"node {target} to name {target} edge(s) between bars", repr(node[:60]))
        for source, edge in enumerate(edges):
            name, _, number = edge.partition("~")
            if name not in OPERATIONS:
                raise _fail(text, f"one of {', '.join(OPERATIONS)} on the edge from {source} to {target}", repr(name[:40]))
            if number != str(source):
                raise _fail(text, f"edge {source} of node {target} to come from node {source}", repr(edge[:40]))
            names.append(name)
    return tuple(names)


def _fail(text: str, expected: str, got: str) -> InputError:
    form = "a cell is written |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
    return InputError(f"NAS-Bench-201 cell {text[:160]!r}: expected {expected}, got {got} ({form})")


def cell_text(operations: Sequence[str]) -> str:
    """Return the text of a cell, given its six operations in the order of `EDGES`. Raises InputError."""
    if len(operations) != len(EDGES) or not set(operations) <= set(OPERATIONS):
        raise InputError(f"expected {len(EDGES)} of {', '.join(OPERATIONS)}, got {', '.join(map(str, operations))[:200]!r}")
    nodes = []
    for node in range(1, _NODES):
        edges = [f"{name}~{source}" for name, (source, target) in zip(operations, EDGES, strict=True) if target == node]
        nodes.append(f"|{'|'.join(edges)}|")
    return "+".join(nodes)


def all_cells() -> Iterator[str]:
    """Return the texts of all 15,625 cells: by the order of `OPERATIONS`, the last edge changing fastest."""
    return map(cell_text, product(OPERATIONS, repeat=len(EDGES)))


def is_reachable(text: str) -> bool:
    """Return whether each edge that is not `none` lies on a path of such edges from node 0 to node 3; so do 9,445 of the cells.

    The cell of six `none` counts: it stands for every network whose output does not see its input. Raises InputError.
    """
    operations = parse_cell(text)
    return used(operations) == operations


def used(operations: Sequence[str]) -> tuple[str, ...]:
    """Return a cell with `none` on each edge that is on no path from node 0 to node 3; operations in the order of `EDGES`."""
    edges = [edge for name, edge in zip(operations, EDGES, strict=True) if name != "none"]
    forward, backward = {0}, {_NODES - 1}
    for source, target in edges:  # sorted by target, so one pass finds all
        if source in forward:
            forward.add(target)
    for source, target in sorted(edges, reverse=True):
        if target in backward:
            backward.add(source)
    kept = [source in forward and target in backward for source, target in EDGES]
    return tuple(name if on_a_path else "none" for name, on_a_path in zip(operations, kept, strict=True))


@cache
def cell(text: str) -> Graph:
    """Build a cell's graph as written: edges read their sources, `none` is a zero, dead edges stay. Raises InputError."""
    builder = GraphBuilder()
    nodes = [0]
    names = dict(zip(EDGES, parse_cell(text), strict=True))
    for target in range(1, _NODES):
        edges = [_edge(builder, names[source, target], nodes[source]) for source in range(target)]
        nodes.append(builder.add(op("add"), *edges) if len(edges) > 1 else edges[0])
    return builder.build(nodes[-1])


def _edge(builder: GraphBuilder, name: str, source: int) -> int:
    if name == "none":
        return builder.add(op("zero"), source)
    if name == "skip_connect":
        return source
    if name == "avg_pool_3x3":
        return builder.add(op("average_pool"), source)
    return builder.chain(source, _RELU, op("conv", kernel=1 if name == "nor_conv_1x1" else 3, bias=False), _NORM)


@cache
def reduction() -> Graph:
    """Build the residual block of stride 2 that doubles the channels: two 3x3 convolutions beside pooling and a 1x1 one."""
    builder = GraphBuilder()
    down, same = op("conv", kernel=3, ratio=2, bias=False, stride=2), op("conv", kernel=3, bias=False)
    deep = builder.chain(0, _RELU, down, _NORM, _RELU, same, _NORM)
    short = builder.chain(0, op("average_pool", kernel=2, stride=2), op("conv", kernel=1, ratio=2, bias=False))
    return builder.build(builder.add(op("add"), deep, short))


@cache
def _stem(in_channels: int, channels: int) -> Graph:
    builder = GraphBuilder()
    return builder.build(builder.chain(0, op("conv", kernel=3, ratio=f"{channels}/{in_channels}", bias=False), _NORM))


@cache
def _head() -> Graph:
    builder = GraphBuilder()
    return builder.build(builder.chain(0, _NORM, _RELU))


def architecture(
    text: str,
    *,
    classes: int = 10,
    input_size: tuple[int, int] = (32, 32),
    channels: int = 16,
    cells: int = 5,
    in_channels: int = 3,
) -> Architecture:
    """Build the network of a cell, in stored form: dead edges included. `channels` of the first stage, `cells` per stage.

    Raises InputError for a text that is no cell, or numbers below 1.
    """
    if min(classes, *input_size, channels, cells, in_channels) < 1:
        raise InputError(
            "NAS-Bench-201: expected classes, input size, channels, cells and input channels of at least 1, got "
            f"{classes}, {input_size[0]}x{input_size[1]}, {channels}, {cells}, {in_channels}"
        )
    blocks = (Block((cell(text),), residual=False),) * cells
    stages = tuple([Stage(channels * 2**i, blocks, IDENTITY if i == 0 else reduction()) for i in range(3)])
    return Architecture(stages, classes, input_size, _stem(in_channels, channels), in_channels, _head())


_POSITIONS = tuple([f"edge{source}{target}" for source, target in EDGES])


def _network(genotype: Mapping[str, Any], classes: int, input_size: tuple[int, int]) -> Architecture:
    return architecture(_write(genotype), classes=classes, input_size=input_size)


def _write(genotype: Mapping[str, Any]) -> str:
    return cell_text([genotype[position] for position in _POSITIONS])


def _read(text: str) -> dict[str, Any]:
    return dict(zip(_POSITIONS, parse_cell(text), strict=True))


SPACE = Product(
    name="nasbench201",
    positions=dict.fromkeys(_POSITIONS, OPERATIONS),
    network=_network,
    classes=10,
    input_size=(32, 32),
    first=dict.fromkeys(_POSITIONS, "nor_conv_3x3"),
    write=_write,
    read=_read,
)
"""The space of all cells, each as it is written: dead edges stay in what `build` gives."""
