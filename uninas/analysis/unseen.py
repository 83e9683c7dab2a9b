"""Operations that act in a training alone: no zero-cost score sees them, since nothing is dropped while it is computed."""

from __future__ import annotations

from uninas.canonical import TooSymmetric, canonicalise
from uninas.graph import Architecture, Block, Graph, Node, Stage
from uninas.ops import op

__all__ = ["UNSEEN", "seen_digest", "unseen"]

UNSEEN = frozenset({"dropout", "drop_path"})
"""Names of operations."""

_IDENTITY = op("identity")


def unseen(graph: Graph) -> bool:
    """Whether a graph has such an operation."""
    if "unseen" not in graph.memo:
        graph.memo["unseen"] = any(node.op.name in UNSEEN for node in graph.nodes)
    return bool(graph.memo["unseen"])


def seen_digest(architecture: Architecture) -> str:
    """Give the digest of the network without such operations: equal for networks that no zero-cost score tells apart."""
    plain = _plain_network(architecture)
    if plain is architecture:
        return architecture.digest
    try:
        return canonicalise(plain).digest
    except TooSymmetric:  # it is told apart then, and scored beside the other
        return architecture.digest


def _plain_network(architecture: Architecture) -> Architecture:
    stem = _plain(architecture.stem) if isinstance(architecture.stem, Graph) else architecture.stem
    head = None if architecture.head is None else _plain(architecture.head)
    stages = tuple(map(_plain_stage, architecture.stages))
    same = stem is architecture.stem and head is architecture.head and _all_same(stages, architecture.stages)
    return architecture if same else architecture.replace(stages=stages, stem=stem, head=head)


def _plain_stage(stage: Stage) -> Stage:
    transition = None if stage.transition is None else _plain(stage.transition)
    blocks = tuple(map(_plain_block, stage.blocks))
    if transition is stage.transition and _all_same(blocks, stage.blocks):
        return stage
    return Stage(stage.width, blocks, transition, stage.tokens)


def _plain_block(block: Block) -> Block:
    graphs = tuple(None if graph is None else _plain(graph) for graph in block.subblocks)
    return block if _all_same(graphs, block.subblocks) else block.with_subblocks(graphs)


def _all_same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return all(left is right for left, right in zip(one, other, strict=True))


def _plain(graph: Graph) -> Graph:
    if not unseen(graph):
        return graph
    nodes = tuple(Node(_IDENTITY, node.inputs) if node.op.name in UNSEEN else node for node in graph.nodes)
    return Graph(nodes, graph.output)
