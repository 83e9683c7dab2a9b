"""Patterns along a chain of convolutions: MBConv, bottleneck, MLP, ConvNeXt's block and others.

A line is a maximal chain in which each element alone reads the one before; a gate beside the line is one element of it. Its
convolutions are matched against the shapes below. Norms, activations and what is transparent may stand anywhere
between two convolutions unless a shape says otherwise; anything else ends a chain, so that no name is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from uninas.drawing.graph_view import GraphView, factor_text
from uninas.drawing.labels import op_label
from uninas.drawing.naming.pattern import Pattern

_SHORT = {"batch_norm": "BN", "layer_norm": "LN", "group_norm": "GN", "add": "sum", "multiply": "product"}


def short_label(view: GraphView, node: int) -> str:
    """Return what a summary calls one operation."""
    return _SHORT.get(view.name(node), op_label(view.graph.nodes[node].op))


@dataclass
class Unit:
    """A convolution with what follows it on its line up to the next: norms, activations, gates, transparent operations."""

    conv: int
    after: list[int] = field(default_factory=list)  # nodes on the line; a gate stands by its product
    gates: dict[int, Pattern] = field(default_factory=dict)  # product -> gate

    def nodes(self, view: GraphView, *, last: bool = False) -> set[int]:
        """Return all nodes; with `last`, of a pattern's last unit: its norms and what is transparent, up to anything else."""
        found = {self.conv}
        for node in self.after:
            if last and (node in self.gates or not (view.is_norm(node) or view.is_transparent(node))):
                break
            found |= self.gates[node].nodes if node in self.gates else {node}
        return found

    def acts(self, view: GraphView) -> bool:
        """Return whether something nonlinear follows."""
        return any(view.is_activation(node) or node in self.gates for node in self.after)

    def gate_text(self) -> str:
        """Return the gates' names, each behind a plus; SiLU is an activation and no gate."""
        return "".join(f" + {gate.text}" for gate in self.gates.values() if gate.kind != "silu")


def segments(view: GraphView, attention: Sequence[Pattern], gates: Sequence[Pattern]) -> list[list[Unit]]:
    """Return every line of the graph as its units, cut where anything but a unit's parts stands between two convolutions."""
    taken = {node for pattern in attention for node in pattern.nodes}
    beside = {max(gate.nodes): gate for gate in gates if not gate.nodes & taken and gate.kind != "gate"}
    seen = taken.union(*[gate.nodes for gate in beside.values()])  # no line starts there
    found: list[list[Unit]] = []
    for start in range(1, len(view.graph.nodes)):
        if not view.is_conv(start) or not view.full(start) or start in seen:
            continue
        units = [Unit(start)]
        seen.add(start)
        node = start
        while (following := _next(view, node, beside)) is not None and following not in taken:
            node = following
            if node in beside:
                units[-1].gates[node] = beside[node]
                units[-1].after.append(node)
            elif view.is_conv(node) and view.full(node):
                seen.add(node)
                units.append(Unit(node))
            elif view.is_norm(node) or view.is_activation(node) or view.is_transparent(node):
                units[-1].after.append(node)
            else:
                break
        found.append(units)
    return found


def _next(view: GraphView, node: int, beside: dict[int, Pattern]) -> int | None:
    """What alone reads a node and reads it alone: an operation, or the product of a gate that stands beside the line."""
    if node == view.graph.output:
        return None
    for product, gate in beside.items():
        if set(view.readers[node]) <= gate.nodes and view.sources(set(gate.nodes)) == {node}:
            return product if view.exits(set(gate.nodes)) == [product] else None
    reader = view.only_reader(node)
    return reader if reader is not None and view.inputs(reader) == (node,) else None


# --- shapes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """Units in a row, with the channels before the first and behind each."""

    view: GraphView
    units: Sequence[Unit]

    def channels(self, index: int) -> int:
        """Return the channels behind a unit; -1: of what the first reads."""
        if index < 0:
            return self.view.channels(self.view.inputs(self.units[0].conv)[0])
        return self.view.channels(self.units[index].conv)

    def pointwise(self, index: int) -> bool:
        """Return whether a unit is a plain 1x1 convolution."""
        return self.view.is_pointwise(self.units[index].conv)

    def depthwise(self, index: int) -> bool:
        """Return whether a unit is a spatial depthwise convolution."""
        return self.view.is_depthwise(self.units[index].conv) and not self.view.is_conv(self.units[index].conv, 1)

    def spatial(self, index: int) -> bool:
        """Return whether a unit mixes pixels and channels."""
        conv = self.units[index].conv
        return not self.view.is_depthwise(conv) and not self.view.is_conv(conv, 1)

    def text(self, index: int) -> str:
        """Return the convolution in a few letters, with its gates."""
        return self.view.conv_text(self.units[index].conv) + self.units[index].gate_text()

    def gated(self, index: int) -> bool:
        """Return whether a gate other than SiLU follows."""
        return bool(self.units[index].gate_text())


Name = Callable[[Chain], str | None]


def _convnext(chain: Chain) -> str | None:
    """Depthwise, norm and no activation, then an MLP."""
    unit = chain.units[0]
    normed = any(chain.view.is_norm(node) for node in unit.after) and not unit.acts(chain.view)
    if not (normed and chain.depthwise(0)):
        return None
    mlp = _mlp(Chain(chain.view, chain.units[1:]))
    return None if mlp is None else f"ConvNeXt {mlp.removeprefix('MLP ')} {chain.text(0)}"


def _mbconv(chain: Chain) -> str | None:
    """1x1 that widens, an activation, depthwise, 1x1 that narrows (arXiv 1801.04381)."""
    before, inner, after = chain.channels(-1), chain.channels(0), chain.channels(2)
    if not (chain.pointwise(0) and chain.depthwise(1) and chain.pointwise(2)) or chain.gated(0):
        return None
    if chain.channels(1) != inner or not before < inner or not after < inner or not chain.units[0].acts(chain.view):
        return None
    return f"MBConv ×{factor_text(Fraction(inner, before))} {chain.text(1)}"


def _bottleneck(chain: Chain) -> str | None:
    """1x1 that narrows, a spatial convolution, 1x1 that widens (arXiv 1512.03385); grouped, it need not narrow."""
    before, inner, after = chain.channels(-1), chain.channels(0), chain.channels(2)
    if not (chain.pointwise(0) and chain.pointwise(2)) or chain.channels(1) != inner or chain.gated(0):
        return None
    if not (chain.spatial(1) or chain.depthwise(1)):
        return None
    # The first block of a network reads fewer channels than the others: there it need only narrow against what it makes.
    narrows = inner < before if chain.depthwise(1) else inner <= before or 2 * inner <= min(after, 4 * before)
    if inner < after and narrows:
        return f"bottleneck ÷{factor_text(Fraction(after, inner))} {chain.text(1)}"
    grouped = chain.spatial(1) and chain.view.graph.nodes[chain.units[1].conv].op.values["groups"] != 1
    return f"bottleneck {chain.text(1)}" if grouped and inner == after else None


def _fused(chain: Chain) -> str | None:
    """A spatial convolution that widens, an activation, 1x1 that narrows (arXiv 2104.00298)."""
    before, inner, after = chain.channels(-1), chain.channels(0), chain.channels(1)
    plain = chain.spatial(0) and chain.view.graph.nodes[chain.units[0].conv].op.values["groups"] == 1
    if not (plain and chain.pointwise(1) and before < inner and after < inner and chain.units[0].acts(chain.view)):
        return None
    return f"fused MBConv ×{factor_text(Fraction(inner, before))} {chain.text(0)}"


def _mlp(chain: Chain) -> str | None:
    """1x1 that widens, an activation, 1x1 back."""
    before, inner, after = chain.channels(-1), chain.channels(0), chain.channels(1)
    if not (chain.pointwise(0) and chain.pointwise(1) and chain.units[0].acts(chain.view)):
        return None
    if not before < inner or before != after:
        return None
    return f"MLP ×{factor_text(Fraction(inner, before))}{chain.units[0].gate_text()}"


def _convolved_mlp(chain: Chain) -> str | None:
    """An MLP with a depthwise convolution before its activation (arXiv 2106.13797)."""
    before, inner, after = chain.channels(-1), chain.channels(0), chain.channels(2)
    if not (chain.pointwise(0) and chain.depthwise(1) and chain.pointwise(2)) or chain.channels(1) != inner:
        return None
    if not before < inner or before != after or chain.units[0].acts(chain.view) or not chain.units[1].acts(chain.view):
        return None
    return f"MLP ×{factor_text(Fraction(inner, before))} {chain.text(1)}"


def _basic(chain: Chain) -> str | None:
    """Two spatial convolutions with an activation between them; a name only beside a skip connection (arXiv 1512.03385)."""
    if not (chain.spatial(0) and chain.spatial(1)) or chain.channels(0) != chain.channels(1):
        return None
    if not chain.units[0].acts(chain.view) or chain.gated(0):
        return None
    first, second = chain.text(0), chain.text(1)
    return f"basic block {first}" if first.partition("/")[0] == second else f"basic block {first}, {second}"


def _separable(chain: Chain) -> str | None:
    """Depthwise, then 1x1 (arXiv 1704.04861)."""
    return f"separable {chain.text(0)}" if chain.depthwise(0) and chain.pointwise(1) else None


@dataclass(frozen=True)
class Shape:
    """A kind of pattern: units in a row and how to name them; `beside_skip`: the name holds only beside a skip connection."""

    kind: str
    units: int
    name: Name
    beside_skip: bool = False


SHAPES: tuple[Shape, ...] = (
    Shape("convnext", 3, _convnext),
    Shape("mbconv", 3, _mbconv),
    Shape("bottleneck", 3, _bottleneck),
    Shape("mlp", 3, _convolved_mlp),
    Shape("fused", 2, _fused),
    Shape("mlp", 2, _mlp),
    Shape("basic", 2, _basic, beside_skip=True),
    Shape("separable", 2, _separable),
)
"""In the order in which they are tried."""


def conv_runs(view: GraphView, units: Sequence[Unit], taken: set[int]) -> list[Pattern]:
    """Return what is left of a line: convolution [norm] [activation]; equal neighbours are one pattern with a count."""
    runs: list[tuple[str, set[int], int, int]] = []  # text of one, nodes of all, last node, count
    for unit in units:
        if unit.conv in taken:
            continue
        names, nodes, last = [view.conv_text(unit.conv)], {unit.conv}, unit.conv
        waiting = [view.is_norm, view.is_activation]
        for node in unit.after:
            wanted = next((place for place, fits in enumerate(waiting) if fits(node)), None)
            if node in unit.gates or wanted is None or node in taken:
                break
            names.append(short_label(view, node))
            nodes.add(node)
            last, waiting = node, waiting[wanted + 1 :]
        text = "-".join(names)
        if runs and runs[-1][0] == text and view.inputs(unit.conv) == (runs[-1][2],):
            runs[-1] = (text, runs[-1][1] | nodes, last, runs[-1][3] + 1)
        else:
            runs.append((text, nodes, last, 1))
    return [Pattern("conv", text + f" ×{count}" * (count > 1), frozenset(nodes)) for text, nodes, _, count in runs]
