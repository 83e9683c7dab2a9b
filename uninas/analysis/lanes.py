"""What of a map is read: its pixels, its class token, or both. A network that reads the token alone may never read the pixels.

    x -> class_token -> 1x1 convolution -> take_class_token -> classes

Each operation here acts on the token and on each pixel alone, so the logits do not depend on x: nothing before the token learns.
One attention between the two, and all of it does. Followed backwards from the logits, as evaluation computes them: batch
statistics, which mix the two in training, are constants.
"""

from __future__ import annotations

from typing import Any

from uninas.graph import Architecture, Flow, Graph
from uninas.ops import FeatureMap, Type

Lanes = frozenset[str]
Place = tuple[Any, ...]
"""Of a graph in the network: ("stem",), (stage,), (stage, block, sub) or ("head",), counted from 0."""

PIXELS, TOKEN = "pixels", "token"
_PIXELS, _TOKEN, _BOTH, _NONE = Lanes({PIXELS}), Lanes({TOKEN}), Lanes({PIXELS, TOKEN}), Lanes()
_MIXES = ("matmul_qk", "matmul_av", "group_norm")  # of operations from a map with a token to one, those that join its places


def lanes_of(kind: Type) -> Lanes:
    """Give what a map consists of; one without a class token is all pixels."""
    return _BOTH if type(kind) is FeatureMap and kind.tokens and not kind.pooled else _PIXELS


def read_lanes(graph: Graph, types: tuple[Type, ...], wanted: Lanes) -> list[Lanes]:
    """For each node of a graph, what of it is read where `wanted` of the output is; nothing behind a zero."""
    read = [_NONE] * len(graph.nodes)
    read[graph.output] = wanted
    for place in range(len(graph.nodes) - 1, 0, -1):
        operation, inputs = graph.nodes[place]
        if not read[place] or operation.name == "zero":
            continue
        for given in inputs:
            if operation.name == "take_class_token":
                needs = _TOKEN
            elif operation.name == "class_token":
                needs = read[place] & _PIXELS
            elif lanes_of(types[place]) == lanes_of(types[given]) == _BOTH and operation.name not in _MIXES:
                needs = read[place]
            else:
                needs = lanes_of(types[given])
            read[given] |= needs
    return read


def cuts_of(canonical: Architecture) -> dict[Place, Lanes]:
    """Find the graphs that put a class token in and whose pixels nobody reads: place -> what is read of their output."""
    if not _has_tokens(canonical):
        return {}
    flows, found = canonical.flows(), dict[Place, Lanes]()

    def through(place: Place, graph: Graph, types: tuple[Type, ...], wanted: Lanes) -> Lanes:
        read = read_lanes(graph, types, wanted)
        tokens = [lanes for node, lanes in zip(graph.nodes, read, strict=True) if node.op.name == "class_token"]
        if any(lanes == _TOKEN for lanes in tokens):
            found[place] = wanted
        return read[0]

    wanted = _BOTH if flows[-1].tokens else _PIXELS
    if canonical.head is not None:
        types = flows[-1].types(canonical.head)
        wanted = through(("head",), canonical.head, types, lanes_of(types[canonical.head.output]))
    for number, stage in reversed(list(enumerate(canonical.stages))):
        for index, block in reversed(list(enumerate(stage.blocks))):
            for sub, graph in reversed(list(enumerate(block.subblocks))):
                if graph is not None:
                    given = through((number, index, sub), graph, stage.types(graph), wanted)
                    wanted = wanted | given if block.residual else given
        if stage.transition is not None:
            wanted = through((number,), stage.transition, flows[number].types(stage.transition), wanted)
    if isinstance(canonical.stem, Graph):
        stem = Flow(canonical.in_channels, canonical.image())
        through(("stem",), canonical.stem, stem.types(canonical.stem), wanted)
    return found


def _has_tokens(canonical: Architecture) -> bool:
    graphs = [canonical.head, canonical.stem if isinstance(canonical.stem, Graph) else None]
    for stage in canonical.stages:
        graphs += [stage.transition, *(graph for block in stage.blocks for graph in block.subblocks)]
    return any(graph is not None and _puts_token(graph) for graph in graphs)


def _puts_token(graph: Graph) -> bool:
    if "puts token" not in graph.memo:
        graph.memo["puts token"] = any(node.op.name == "class_token" for node in graph.nodes)
    found: bool = graph.memo["puts token"]
    return found
