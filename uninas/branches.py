r"""Branches that may change places: symmetries of a graph that are seen without a search (`uninas.labelling`).

A branch is a tree of nodes, each of which one node reads, once, whose root a commutative node reads: a chain from a shared source
to a shared sum, for one. What it reads of other nodes is shared. Two branches of one commutative node that are equal trees, in
which commutative inputs may stand in any order, and read the same shared nodes at the same places, may change places: nothing
else reads their nodes, so that everything else stays as it is. All orders of such branches are images of one another.

Three equal chains, two of which read the GELU and so are equal branches of the sum:

    >>> from uninas.text import parse_graph
    >>> graph = parse_graph(
    ...     "%1 = gelu %0\n%2 = conv(kernel=3) %1\n%3 = batch_norm %2\n%4 = conv(kernel=3) %1\n%5 = batch_norm %4\n"
    ...     "%6 = conv(kernel=3) %0\n%7 = batch_norm %6\n%8 = add %7 %5 %3\nreturn %8"
    ... )
    >>> branches_of(graph)
    [((3, 2), (5, 4))]
"""

from __future__ import annotations

from collections.abc import Sequence

from uninas.graph import Graph

Branch = tuple[int, ...]
"""Its nodes, the root first; those of equal branches correspond, place by place."""


def branches_of(graph: Graph) -> list[tuple[Branch, ...]]:
    """Return the sets of two or more branches that may change places, inner ones too; of a graph without unneeded nodes."""
    nodes = graph.nodes
    readers = [0] * len(nodes)
    for _, inputs in nodes:
        for i in inputs:
            readers[i] += 1
    readers[0] = readers[graph.output] = 2  # no part of a branch
    known: dict[object, int] = {}
    codes = [-1] * len(nodes)  # equal for equal trees
    ordered: list[tuple[int, ...]] = [()] * len(nodes)  # what a node has of its own, in an order that equal trees share
    for index, (operation, inputs) in enumerate(nodes):
        read = [(readers[i] == 1, codes[i] if readers[i] == 1 else i, i) for i in inputs]
        if operation.spec.commutative:
            read.sort()
        ordered[index] = tuple([i for own, _, i in read if own])
        if readers[index] == 1:
            key = (operation.text, *(entry[:2] for entry in read))
            codes[index] = known.setdefault(key, len(known))
    found = []
    for index, (operation, _) in enumerate(nodes):
        if operation.spec.commutative:
            groups: dict[int, list[int]] = {}
            for i in ordered[index]:
                groups.setdefault(codes[i], []).append(i)
            found += [tuple([_tree(root, ordered) for root in roots]) for roots in groups.values() if len(roots) > 1]
    return found


def _tree(root: int, ordered: Sequence[tuple[int, ...]]) -> Branch:
    nodes, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting.extend(reversed(ordered[node]))
    return tuple(nodes)
