"""What several published networks share: convolution with norm and activation, squeeze and excitation, stages."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from uninas.graph import Architecture, Block, Graph, GraphBuilder, Stage
from uninas.ops import Op, op

NORM, RELU = op("batch_norm"), op("relu")


def conv(channels: int, out: int, kernel: int = 1, *, stride: int = 1, groups: int | str = 1, bias: bool = False) -> Op:
    """Build a convolution from `channels` to `out` channels; the graph stores their ratio."""
    return op("conv", kernel=kernel, ratio=Fraction(out, channels), groups=groups, bias=bias, stride=stride)


def normed(channels: int, out: int, kernel: int = 1, act: Op | None = RELU, **more: int | str) -> tuple[Op, ...]:
    """Return a convolution without bias, BatchNorm, activation."""
    ops = (conv(channels, out, kernel, **more), NORM)  # type: ignore[arg-type]
    return ops if act is None else (*ops, act)


def gated(builder: GraphBuilder, x: int, channels: int, reduced: int, act: Op, gate: Op) -> int:
    """Add squeeze and excitation (arXiv 1709.01507): x times gate(expand(act(reduce(mean of x)))), with biases."""
    squeezed = builder.chain(x, op("global_average_pool"), conv(channels, reduced, bias=True), act)
    return builder.add(op("multiply"), x, builder.chain(squeezed, conv(reduced, channels, bias=True), gate, op("broadcast")))


def chain(*ops: Op) -> Graph:
    """Build a graph that is one path."""
    builder = GraphBuilder()
    return builder.build(builder.chain(0, *ops))


def stage(width: int, transition: Graph, blocks: Iterable[Graph]) -> Stage:
    """Make a stage of plain blocks; the first block of the published network is its transition."""
    return Stage(width, tuple([Block((graph,), residual=False) for graph in blocks]), transition)


def network(stem: Graph, stages: Iterable[Stage], head: Graph | None, classes: int, input_size: tuple[int, int]) -> Architecture:
    """Build the whole network, unchecked."""
    return Architecture(tuple(stages), classes, input_size, stem, 3, head)
