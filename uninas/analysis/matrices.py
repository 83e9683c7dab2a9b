"""The shapes of an architecture's weight matrices, without torch: what scores of shapes alone are computed from."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from uninas.graph import Architecture, Block, Flow, Graph, Stage
from uninas.ops import Op, Place, Type, entries, table_size
from uninas.rules.inference import conv_groups, kernel_sides

__all__ = ["Matrix", "weight_matrices"]


class Matrix(NamedTuple):
    """A convolution's or linear layer's weight, as the matrix that it multiplies by.

    `outputs`: its output channels. `inputs`: what one output is a sum over: input channels of its group times the pixels of the
    kernel. `groups`: how many such matrices it consists of. `pointwise`: a linear layer, or a convolution of one pixel and one
    group, which is the same map. `entries`: how many numbers its result has for one image.
    """

    outputs: int
    inputs: int
    groups: int
    pointwise: bool
    entries: int


def weight_matrices(architecture: Architecture, size: tuple[int, int] | None = None) -> list[Matrix]:
    """List the weight matrices in forward order, as written, without the classifier.

    Args:
        architecture: in any form.
        size: (height, width) of the input in pixels; default: the reference size.

    Raises:
        GraphError: a graph is ill typed.
    """
    flows = architecture.flows(size)
    found = list(_stem(architecture, size, flows[0]))
    for stage, before, after in zip(architecture.stages, flows, flows[1:], strict=False):
        found += _stage(stage, before, after)
    if architecture.head is not None:
        found += _frame(architecture.head, flows[-1])
    return found


def _stem(architecture: Architecture, size: tuple[int, int] | None, made: Flow) -> Iterator[Matrix]:
    channels = architecture.in_channels
    if isinstance(architecture.stem, Graph):
        yield from _frame(architecture.stem, Flow(channels, architecture.image(size)))
        return
    pixels = made.place.height * made.place.width
    for width in architecture.stem:
        yield Matrix(width, 9 * channels, 1, False, width * pixels)
        channels = width


def _stage(stage: Stage, before: Flow, after: Flow) -> tuple[Matrix, ...]:
    key = ("matrices", before, after.place)
    found: tuple[Matrix, ...] | None = stage.memo.get(key)
    if found is None:
        found = stage.memo[key] = tuple(_stage_parts(stage, before, after))
    return found


def _stage_parts(stage: Stage, before: Flow, after: Flow) -> Iterator[Matrix]:
    if stage.transition is not None:
        yield from _frame(stage.transition, before)
    for index, block in enumerate(stage.blocks):
        yield from _block(block, after, before if index == 0 and stage.transition is None else None)


def _block(block: Block, at: Flow, halved: Flow | None) -> Iterator[Matrix]:
    """The graphs of a block, and where it halves the resolution the convolutions of its ways down; `halved` is the map read."""
    project = [] if halved is None or halved.channels == at.channels else [_project(halved.channels, at)]
    yield from project
    for index, graph in enumerate(block.subblocks):
        if graph is not None:
            if index == 0 and block.residual:
                yield from project
            yield from _graph(graph, at)


def _project(channels: int, at: Flow) -> Matrix:
    return Matrix(at.channels, channels, 1, True, at.channels * at.pixels)


def _graph(graph: Graph, at: Flow) -> tuple[Matrix, ...]:
    key = ("matrices", *at)
    found: tuple[Matrix, ...] | None = graph.memo.get(key)
    if found is None:
        found = graph.memo[key] = tuple(_nodes(graph, graph.types(at.channels, at.tokens), at.place))
    return found


def _frame(graph: Graph, given: Flow) -> tuple[Matrix, ...]:
    return tuple(_nodes(graph, given.types(graph), given.place))


def _nodes(graph: Graph, types: tuple[Type, ...], place: Place) -> Iterator[Matrix]:
    for node, made in zip(graph.nodes, types, strict=True):
        if node.op.spec.layer:
            yield _matrix(node.op, types[node.inputs[0]], made, place)


def _matrix(op: Op, given: Type, made: Type, place: Place) -> Matrix:
    if op.name == "token_linear":
        height, width = table_size(made, place)
        tokens = height * width
        return Matrix(tokens, tokens, 1, True, made[0] * tokens)
    groups, pixels = conv_groups(op, given[0]), prod(kernel_sides(op))
    inputs = given[0] // groups * pixels
    return Matrix(made[0], inputs, groups, groups == 1 and pixels == 1, entries(made, place))
