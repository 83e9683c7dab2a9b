"""Parallel branches that are alike become one: twelve heads are drawn as one column with a count.

Two nodes are alike when they do the same to alike inputs and alike nodes read them in the same way. The classes are the
coarsest stable colouring, found by refinement; alike nodes have equal depth, so the folded graph stays acyclic.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
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


def fold(graph: Graph) -> Folded:
    """Fold classes of at least `LEAST_FOLD` alike nodes into one box each; other nodes keep a box of their own."""
    colours = _stable_colours(graph)
    sizes = Counter(colours)
    box_of: list[int] = []
    members: list[list[int]] = []
    seen: dict[int, int] = {}
    for index, colour in enumerate(colours):
        if sizes[colour] >= LEAST_FOLD and colour in seen:
            box_of.append(seen[colour])
        else:
            seen[colour] = len(members)
            box_of.append(len(members))
            members.append([])
        members[box_of[index]].append(index)
    edges = []
    for index, node in enumerate(graph.nodes):
        for source in node.inputs:
            edges.append((box_of[source], box_of[index]))
    folded = {box for box, nodes in enumerate(members) if len(nodes) > 1}
    # Between boxes that stand for one node each, a node read twice keeps two edges.
    kept = [edge for edge in edges if not folded & set(edge)]
    kept += list(dict.fromkeys(edge for edge in edges if folded & set(edge)))
    return Folded(tuple(map(tuple, members)), tuple(kept), tuple(box_of))


def _stable_colours(graph: Graph) -> list[int]:
    """Colour refinement over inputs and consumers, from the operations (a slice's index aside) to the fixed point."""
    consumers: list[list[tuple[int, int]]] = [[] for _ in graph.nodes]
    for index, node in enumerate(graph.nodes):
        ordered = not (node.op.spec.commutative or node.op.name == "concat")
        for position, source in enumerate(node.inputs):
            consumers[source].append((index, position if ordered else 0))
    colours = _renumber([_alike_key(graph, index) for index in range(len(graph.nodes))])
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
