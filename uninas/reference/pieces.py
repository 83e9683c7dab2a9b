"""Undoing one rule of the canonical form, where that makes a graph series-parallel.

The canonical form has no slice of a concatenation that is one of its parts: its readers read the part. So what was one map read
by two branches, the second of which takes it apart, has readers of the parts beside readers of the whole. Here the readers of a
part read slices of the whole again, where the whole does not depend on them.
"""

from __future__ import annotations

from uninas.graph import Graph, Node
from uninas.ops import Type, op

_MOST_NODES = 2_000  # of a graph that is looked at: each knows all that it depends on


def with_pieces(graph: Graph, types: tuple[Type, ...], *, inner_first: bool) -> tuple[Graph, tuple[Type, ...], list[int]] | None:
    """Return the graph with such slices, its types, and the old number of each node (of a slice its part's); None without any.

    `inner_first`: where two concatenations share a part, the one that depends on less is the whole; else the other one.
    """
    if len(graph.nodes) > _MOST_NODES:
        return None
    nodes = [list(node.inputs) for node in graph.nodes]
    operations = [node.op for node in graph.nodes]
    made, old = list(types), list(range(len(nodes)))
    concats = [i for i, op_ in enumerate(operations) if op_.name == "concat" and len({types[j][0] for j in nodes[i]}) == 1]
    needs = _ancestors(nodes)
    for whole in sorted(concats, key=lambda i: needs[i].bit_count(), reverse=not inner_first):
        parts = nodes[whole]
        for index, part in enumerate(parts):
            readers = [i for i, inputs in enumerate(nodes) if part in inputs and i != whole and not needs[whole] >> i & 1]
            if not readers or len(parts) == 1:
                continue
            nodes.append([whole])
            operations.append(op("slice", index=index, count=len(parts)))
            made.append(types[part])
            old.append(part)
            for reader in readers:
                nodes[reader] = [len(nodes) - 1 if i == part else i for i in nodes[reader]]
            needs = _ancestors(nodes)
    if len(nodes) == len(graph.nodes):
        return None
    order = _order(nodes)
    number = {node: position for position, node in enumerate(order)}
    sorted_nodes = tuple([Node(operations[i], tuple([number[j] for j in nodes[i]])) for i in order])
    return Graph(sorted_nodes, number[graph.output]), tuple([made[i] for i in order]), [old[i] for i in order]


def _order(nodes: list[list[int]]) -> list[int]:
    """The nodes, each after what it reads; the input comes first."""
    order, waiting = [0], [len(inputs) for inputs in nodes]
    readers: list[list[int]] = [[] for _ in nodes]
    for node, inputs in enumerate(nodes):
        for i in inputs:
            readers[i].append(node)
    for node in order:
        for reader in readers[node]:
            waiting[reader] -= 1
            if not waiting[reader]:
                order.append(reader)
    return order


def _ancestors(nodes: list[list[int]]) -> list[int]:
    """Return what each node depends on, one bit per node."""
    found = [0] * len(nodes)
    for node in _order(nodes):
        for i in nodes[node]:
            found[node] |= found[i] | 1 << i
    return found
