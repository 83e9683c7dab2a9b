"""What one graph costs: exact integers, kept with the graph."""

from __future__ import annotations

from uninas.graph import Flow, Graph
from uninas.ops import AttentionMap, Place, Type, entries, sides_of

Counts = tuple[int, int, int, int, int]
"""Parameters, MACs, convolution and linear layers, activation entries at batch 1, tokens of the largest attention map."""


def graph_cost(graph: Graph, at: Flow) -> Counts:
    """Return the counts of one graph in a block on that map. Raises GraphError."""
    key = ("cost", *at)
    found: Counts | None = graph.memo.get(key)
    if found is None:
        found = graph.memo[key] = _graph_cost(graph, graph.types(at.channels, at.tokens), at.place)
    return found


def frame_cost(graph: Graph, given: Flow) -> Counts:
    """Return the counts of one graph of the frame that reads that map. Raises GraphError."""
    key = ("frame cost", *given)
    found: Counts | None = graph.memo.get(key)
    if found is None:
        found = graph.memo[key] = _graph_cost(graph, given.types(graph), given.place)
    return found


def _graph_cost(graph: Graph, types: tuple[Type, ...], place: Place) -> Counts:
    params = macs = layers = activations = tokens = 0
    for index in range(1, len(graph.nodes)):
        operation, inputs = graph.nodes[index]
        spec, made = operation.spec, types[index]
        activations += entries(made, place)
        if spec.parameters is not None:
            params += spec.parameters(operation, types[inputs[0]], made, place)
            layers += spec.layer
        if spec.macs is not None:
            macs += spec.macs(operation, types[inputs[0]], made, place)
        if type(made) is AttentionMap:
            tokens = max(tokens, *sides_of(made, place)[1:])
    return params, macs, layers, activations, tokens
