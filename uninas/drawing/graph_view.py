"""A graph as pattern matching sees it: types, readers, what lies between two nodes, and what an operation is good for."""

from __future__ import annotations

from fractions import Fraction

from uninas.drawing.labels import family_of
from uninas.graph import Graph
from uninas.ops import Type
from uninas.rules.inference import kernel_sides

TRANSPARENT = {"identity", "dropout", "drop_path", "layer_scale"}
"""Operations that stand within a pattern without changing its name."""


class GraphView:
    """A graph with its types, the readers of each node and what lies before it.

    Raises:
        GraphError: the graph is ill typed for an input of `width` channels and `tokens` class tokens.
    """

    def __init__(self, graph: Graph, width: int, tokens: int = 0) -> None:
        self.graph = graph
        self.types: tuple[Type, ...] = graph.frame_types(width, tokens)
        self.readers: list[list[int]] = [[] for _ in graph.nodes]
        self._before: list[int] = []  # one bit per node: as sets, the pasts of a chain of 10,000 nodes take gigabytes
        for index, node in enumerate(graph.nodes):
            past = 0
            for source in dict.fromkeys(node.inputs):
                self.readers[source].append(index)
                past |= self._before[source] | 1 << source
            self._before.append(past)

    def name(self, index: int) -> str:
        """Return the operation's name."""
        return self.graph.nodes[index].op.name

    def inputs(self, index: int) -> tuple[int, ...]:
        """Return the nodes that a node reads."""
        return self.graph.nodes[index].inputs

    def only_reader(self, index: int) -> int | None:
        """Return the one node that reads this one, which is not the graph's output; else None."""
        readers = self.readers[index]
        return readers[0] if len(readers) == 1 and index != self.graph.output else None

    def is_conv(self, index: int, kernel: int | None = None) -> bool:
        """Return whether a node is a convolution (of that kernel)."""
        operation = self.graph.nodes[index].op
        return operation.name == "conv" and (kernel is None or kernel_sides(operation) == (kernel, kernel))

    def is_pointwise(self, index: int) -> bool:
        """Return whether a node mixes the channels of each pixel, as 1x1 convolutions without groups do."""
        values = self.graph.nodes[index].op.values
        return self.is_conv(index, 1) and values["groups"] == 1 and values["stride"] == 1

    def is_depthwise(self, index: int) -> bool:
        """Return whether a node is a convolution of each channel by itself."""
        return self.is_conv(index) and self.graph.nodes[index].op.values["groups"] == "depthwise"

    def is_norm(self, index: int) -> bool:
        """Return whether a node normalises."""
        return family_of(self.graph.nodes[index].op) == "normalisation" and self.name(index) not in TRANSPARENT

    def is_activation(self, index: int) -> bool:
        """Return whether a node is a nonlinear function of each entry."""
        linear = self.name(index) in TRANSPARENT or self.name(index) == "negate"
        return family_of(self.graph.nodes[index].op) == "activation" and not linear

    def is_transparent(self, index: int) -> bool:
        """Return whether a node may stand anywhere within a pattern."""
        return self.name(index) in TRANSPARENT

    def channels(self, index: int) -> int:
        """Return the channels of a feature map; heads of an attention map."""
        return self.types[index][0]

    def full(self, index: int) -> bool:
        """Return whether a node's value is not pooled to one pixel."""
        return not self.types[index].pooled

    def depends(self, index: int, earlier: int) -> bool:
        """Return whether a node's value is computed from the earlier node's."""
        return bool(self._before[index] >> earlier & 1)

    def past(self, index: int) -> list[int]:
        """Return all nodes that a node is computed from, in order."""
        return [node for node, bit in enumerate(reversed(f"{self._before[index]:b}")) if bit == "1"]

    def between(self, first: int, last: int) -> set[int]:
        """Return the nodes on some path from `first` to `last`, both ends included; empty where there is no path."""
        if first == last:
            return {first}
        if not self.depends(last, first):
            return set()
        return {n for n in range(first, last + 1) if n in (first, last) or (self.depends(last, n) and self.depends(n, first))}

    def sources(self, nodes: set[int]) -> set[int]:
        """Return the nodes outside of some that these read."""
        return {source for node in nodes for source in self.inputs(node)} - nodes

    def exits(self, nodes: set[int]) -> list[int]:
        """Return those of some nodes that are read from outside or are the graph's output."""
        return [n for n in sorted(nodes) if n == self.graph.output or any(reader not in nodes for reader in self.readers[n])]

    def conv_text(self, index: int) -> str:
        """Write a convolution in short: conv3, conv1x7, dw5, conv3g32 (32 groups), conv3d2 (dilated), conv7/2 (strided)."""
        values = self.graph.nodes[index].op.values
        depthwise, groups = values["groups"] == "depthwise", values["groups"]
        text: str = f"{'dw' if depthwise else 'conv'}{values['kernel']}"
        text += f"x{values['columns']}" * (values["columns"] != 0)
        text += f"g{groups}" * (not depthwise and groups != 1)
        text += f"d{values['dilation']}" * (values["dilation"] != 1)
        text += f"/{values['stride']}" * (values["stride"] != 1)
        return text


def factor_text(ratio: Fraction) -> str:
    """Return a ratio of channels for a name: 4, 1.5, 2.3."""
    return f"{float(ratio):.3g}"
