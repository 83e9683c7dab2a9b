"""Several nodes become one box: parallel branches that are alike (twelve heads are one column), and patterns that are shut.

Two nodes are alike when they do the same to alike inputs and alike nodes read them in the same way. The classes are the
coarsest stable colouring, found by refinement; alike nodes have equal depth, so the folded graph stays acyclic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from uninas.graph import Graph

LEAST_FOLD = 3  # two equal branches are as easily drawn as folded


@dataclass(frozen=True)
class Folded:
    """A graph to draw: boxes with the nodes each stands for, and edges between boxes.

    `members[b]` are the indices of the nodes that box b stands for, in order; one unless branches were folded.
    """

    members: tuple[tuple[int, ...], ...]
    edges: tuple[tuple[int, int], ...]
    box_of: tuple[int, ...]


def fold(graph: Graph, marks: Mapping[int, str] | None = None) -> Folded:
    """Fold classes of at least `LEAST_FOLD` alike nodes into one box each; other nodes keep a box of their own.

    Nodes with different `marks` are not alike.
    """
    colours = _stable_colours(graph, marks or {})
    sizes = Counter(colours)
    return _boxes(graph, [colour if sizes[colour] >= LEAST_FOLD else None for colour in colours])


def shut(graph: Graph, groups: Sequence[frozenset[int]]) -> Folded:
    """Make one box of each of some disjoint groups of nodes; a group that others stand within stays open.

    A node stands within a group where it both depends on the group and is needed by it. Where two groups stand within each other,
    all stay open.
    """
    before: list[int] = []  # what each node depends on, one bit per node
    for node in graph.nodes:
        found = 0
        for source in node.inputs:
            found |= before[source] | 1 << source
        before.append(found)
    key: list[int | None] = [None] * len(graph.nodes)
    for number, group in enumerate(groups):
        members, needed = sum(1 << node for node in group), 0
        for member in group:
            needed |= before[member]
        within = range(min(group), max(group))  # what depends on the group and is needed by it
        if not any(needed & ~members & 1 << node and before[node] & members for node in within):
            for member in group:
                key[member] = number
    folded = _boxes(graph, key)
    order = TopologicalSorter[int]()
    for source, target in folded.edges:
        order.add(target, source)
    try:
        order.prepare()
    except CycleError:
        return _boxes(graph, [None] * len(graph.nodes))
    return folded


def _boxes(graph: Graph, key: Sequence[int | None]) -> Folded:
    """Nodes of one key are one box; those without a key have a box of their own. Boxes stand in the order of their last node."""
    last = {k: index for index, k in enumerate(key) if k is not None}
    order = sorted({last[k] if k is not None else index for index, k in enumerate(key)})
    number = {index: box for box, index in enumerate(order)}
    box_of = [number[index if k is None else last[k]] for index, k in enumerate(key)]
    members: list[list[int]] = [[] for _ in order]
    for index, box in enumerate(box_of):
        members[box].append(index)
    edges = []
    for index, node in enumerate(graph.nodes):
        for source in node.inputs:
            if box_of[source] != box_of[index]:
                edges.append((box_of[source], box_of[index]))
    folded = {box for box, nodes in enumerate(members) if len(nodes) > 1}
    # Between boxes that stand for one node each, a node read twice keeps two edges.
    kept = [edge for edge in edges if not folded & set(edge)]
    kept += list(dict.fromkeys(edge for edge in edges if folded & set(edge)))
    return Folded(tuple(map(tuple, members)), tuple(kept), tuple(box_of))


def _stable_colours(graph: Graph, marks: Mapping[int, str]) -> list[int]:
    """Colour refinement over inputs and consumers, from the operations (a slice's index aside) to the fixed point."""
    consumers: list[list[tuple[int, int]]] = [[] for _ in graph.nodes]
    for index, node in enumerate(graph.nodes):
        ordered = not (node.op.spec.commutative or node.op.name == "concat")
        for position, source in enumerate(node.inputs):
            consumers[source].append((index, position if ordered else 0))
    colours = _renumber([(_alike_key(graph, index), marks.get(index)) for index in range(len(graph.nodes))])
    while True:
        keys: list[Any] = []
        for index, node in enumerate(graph.nodes):
            inputs = [colours[source] for source in node.inputs]
            if node.op.spec.commutative or node.op.name == "concat":
                inputs.sort()
            # How often equal readers occur does not matter: what is read by one head is like what is read by its twin.
            readers = sorted({(colours[reader], position) for reader, position in consumers[index]})
            keys.append((colours[index], tuple(inputs), tuple(readers)))
        refined = _renumber(keys)
        if len(set(refined)) == len(set(colours)):
            return colours
        colours = refined


def _alike_key(graph: Graph, index: int) -> Any:
    operation = graph.nodes[index].op
    text = f"slice of {operation.values['count']}" if operation.name == "slice" else operation.text
    return (text, index == graph.output)


def _renumber(keys: list[Any]) -> list[int]:
    numbers: dict[Any, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]
