"""Dominators of a graph's nodes, where what only reads zeros may stand anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from uninas.graph import Node


class Dominators:
    """A node X dominates a node N where every path from the input to N passes through X; the dominators of N are a chain.

    With `constants`, zeros depend on nothing. What depends on zeros alone is a constant; its chain ends at a constant that reads
    nothing but zeros. Where inputs of a node end at several of those, one counts, and the others stand for themselves: the one on
    which most depends, of equal ones the later (`prefer` 1) or the earlier (-1).
    """

    def __init__(self, nodes: Sequence[Node], *, constants: bool, prefer: int) -> None:
        self.nodes, self.constants, self.prefer = nodes, constants, prefer
        self.above = [-1]  # the immediate dominator of each node; -1 for none
        self.root = [0]  # where its dominators end: at the input, or at a constant, which only reads zeros
        self.weight = self.weights()
        for index in range(1, len(nodes)):
            moving = self.moving(self.inputs(index))
            self.above.append(self.meet(moving))
            self.root.append(self.root[moving[0]] if moving else index)

    def inputs(self, node: int) -> tuple[int, ...]:
        """Return what a node depends on."""
        operation, inputs = self.nodes[node]
        return () if self.constants and operation.name == "zero" else inputs

    def weights(self) -> list[int]:
        """Return how many nodes depend on each node that only reads zeros; of the input more than any."""
        weight = [0] * len(self.nodes)
        if not any(self.is_zero(node) for node in range(1, len(self.nodes))):
            return weight
        roots = [0]  # of each node the constants that it depends on, a bit each
        for node in range(1, len(self.nodes)):
            read = [i for i in self.inputs(node) if not self.is_zero(i)]
            found = 0 if read or self.is_zero(node) else 1 << node
            for i in read:
                found |= roots[i]
            roots.append(found)
            while found:
                weight[found.bit_length() - 1] += 1
                found &= ~(1 << found.bit_length() - 1)
        return [len(self.nodes), *weight[1:]]

    def is_zero(self, node: int) -> bool:
        """Return whether a node is a constant zero."""
        return self.constants and self.nodes[node].op.name == "zero"

    def moving(self, nodes: Sequence[int]) -> list[int]:
        """Return those of some nodes that come from one root: the input, else the constant that counts."""
        found = [node for node in nodes if not self.is_zero(node)]
        if not found:
            return []
        chosen = max((self.root[node] for node in found), key=lambda root: (self.weight[root], self.prefer * root))
        return [node for node in found if self.root[node] == chosen]

    def constant(self, node: int) -> bool:
        """Return whether a node depends on zeros alone."""
        return self.root[node] != 0 or self.is_zero(node)

    def meet(self, nodes: Sequence[int]) -> int:
        """Return the nearest common dominator; -1 for none."""
        if not nodes:
            return -1
        found = nodes[0]
        for node in nodes[1:]:
            while found != node:
                found, node = (self.above[found], node) if found > node else (found, self.above[node])
        return found

    def upwards(self, node: int, start: int) -> Iterator[int]:
        """Return a node and its dominators below `start`, nearest first."""
        while node not in (start, -1):
            yield node
            node = self.above[node]
