"""Valid networks that would take minutes to draw: a picture in seconds, or one line about its size."""

from __future__ import annotations

import random

import pytest

from benchmarks.hostile import graphs
from uninas import Architecture, Block, Graph, InputError, Stage, op, parse
from uninas.drawing import draw_architecture, draw_subblock
from uninas.graph import Node
from uninas.ops import INPUT


def sums(read: list[tuple[int, ...]]) -> Graph:
    """Sums that each read earlier nodes."""
    nodes = [Node(INPUT, ()), *(Node(op("add"), inputs) for inputs in read)]
    return Graph(tuple(nodes), len(nodes) - 1)


def test_many_symmetric_graphs() -> None:
    """One of the fuzzer's: well over a hundred graphs of a hundred nodes each, which took minutes."""
    network = parse(graphs.symmetric(random.Random(3)).decode())
    with pytest.raises(InputError, match="drawing: expected at most 12,000 nodes and edges of blocks that differ, got"):
        draw_architecture(network)


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (sums([(i, max(0, i - 1)) for i in range(3000)]), "at most 4,000 nodes and edges of one graph, got 9,001"),
        (sums([(i, 0) for i in range(300)]), "at most 20,000 places that edges pass"),
    ],
)
def test_a_graph_too_large_for_a_picture(graph: Graph, said: str) -> None:
    with pytest.raises(InputError, match=f"drawing: expected {said}"):
        draw_subblock(graph, 8)


def test_graphs_too_large_together() -> None:
    """One of them by itself is drawn."""
    chains = [sums([(i, max(0, i - 1)) for i in range(500 + number)]) for number in range(9)]
    stage = Stage(8, tuple(Block((chain,), residual=False) for chain in chains))
    network = Architecture((stage,), classes=2, input_size=(8, 8), stem=(8, 8))
    with pytest.raises(InputError, match="blocks that differ, got 13,617: draw a stage or a block alone"):
        draw_architecture(network)
    assert draw_architecture(network, stage=1, block=1).startswith("<svg")
