"""Familiar names for groups of operations: attention, MBConv, squeeze-and-excitation, MLP, ResNet's blocks.

A graph holds primitive operations only; this file finds the familiar shapes in it again, by structure alone, for drawings and
one-line summaries. Nothing else depends on what is found here. What has no name is listed operation by operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from uninas.drawing.graph_view import GraphView, factor_text
from uninas.drawing.naming.chains import SHAPES, Chain, Shape, Unit, conv_runs, segments, short_label
from uninas.drawing.naming.operands import find_attention, find_gates, find_mixers
from uninas.drawing.naming.pattern import NAMES, Pattern, outermost, union
from uninas.drawing.naming.skips import find_skip
from uninas.graph import Block, Graph

__all__ = ["NAMES", "Pattern", "find_patterns", "outermost", "summarise_block", "summarise_graph"]

_SILENT = {"input", "identity", "slice", "broadcast", "concat"}  # plumbing that a summary need not mention


def find_patterns(
    graph: Graph, width: int, tokens: int = 0, *, count_heads: bool = True, residual: bool = False
) -> tuple[Pattern, ...]:
    """Return the patterns of a graph in the order of their first nodes; two are disjoint, or one lies inside the other.

    Args:
        graph: a sub-block's graph.
        width: the block's number of channels.
        tokens: its number of class tokens.
        count_heads: name attention by its number of heads, which depends on the width; else by the heads' size alone.
        residual: the block adds its input to what the graph makes.
    """
    view = GraphView(graph, width, tokens)
    attention, gates = find_attention(view, count_heads), find_gates(view)
    lines = segments(view, attention, gates)
    found = [*attention, *find_mixers(view), *_named(view, lines, residual)]
    found = _with_skips(view, found)
    for gate in gates:
        if _fits(gate, found):
            found.append(gate)
    enclosures, ends = _enclosures(view, found)
    taken = union(found) | ends
    found += enclosures
    for units in lines:
        found += conv_runs(view, units, taken)
    found += _dense(view, found)
    return tuple(sorted(found, key=lambda pattern: (min(pattern.nodes), -len(pattern.nodes), pattern.text)))


def _fits(pattern: Pattern, found: Sequence[Pattern]) -> bool:
    """Whether a pattern is disjoint from each of the others, or one of the two lies inside the other."""
    return all(not pattern.nodes & other.nodes or pattern.nodes < other.nodes or other.nodes < pattern.nodes for other in found)


def _named(view: GraphView, lines: Sequence[Sequence[Unit]], residual: bool) -> list[Pattern]:
    """The shapes along each line: of two that share a unit, the one that stands first in SHAPES, then the first on the line."""
    found: list[Pattern] = []
    taken: set[int] = set()
    for shape in SHAPES:
        for units in lines:
            for place in range(len(units) - shape.units + 1):
                row = units[place : place + shape.units]
                if not taken.intersection(unit.conv for unit in row):
                    pattern = _shaped(view, shape, row, residual)
                    if pattern is not None:
                        found.append(pattern)
                        taken |= pattern.nodes
    return found


def _shaped(view: GraphView, shape: Shape, row: Sequence[Unit], residual: bool) -> Pattern | None:
    text = shape.name(Chain(view, row))
    if text is None:
        return None
    nodes = {node for unit in row[:-1] for node in unit.nodes(view)} | row[-1].nodes(view, last=True)
    if shape.beside_skip and find_skip(view, nodes) is None:
        nodes = {node for unit in row for node in unit.nodes(view)}
        if not residual or nodes != set(range(1, len(view.graph.nodes))):
            return None
    return Pattern(shape.kind, text, frozenset(nodes))


def _with_skips(view: GraphView, found: Sequence[Pattern]) -> list[Pattern]:
    """The patterns, each with the skip connection around it, where that takes no node of another."""
    result: list[Pattern] = []
    for pattern in found:
        skip = find_skip(view, set(pattern.nodes))
        others = [other for other in found if other is not pattern]
        if skip is not None and all(skip.nodes.isdisjoint(other.nodes) for other in (*others, *result)):
            pattern = Pattern(pattern.kind, f"{pattern.text}{skip.text}", skip.nodes)
        result.append(pattern)
    return result


# --- regions ----------------------------------------------------------------------------------------------------------


def _enclosures(view: GraphView, found: Sequence[Pattern]) -> tuple[list[Pattern], set[int]]:
    """Two 1x1 convolutions around any inner graph that is no named shape: the space's expand and reduce; and these convolutions.

    Norms behind the second, and what is transparent, belong to it.
    """
    result: list[Pattern] = []
    ends: set[int] = set()
    named = union(found)
    covered = set(named)
    for first in range(len(view.graph.nodes)):
        if not view.is_pointwise(first) or first in covered or not view.full(first):
            continue
        outer, inner = view.channels(view.inputs(first)[0]), view.channels(first)
        region = _enclosed(view, first, outer) if outer != inner else set()
        kind = "expand" if inner > outer else "reduce"
        sign, ratio = ("×", Fraction(inner, outer)) if inner > outer else ("÷", Fraction(outer, inner))
        within = [one.text for one in outermost(found) if one.nodes < region]
        if any(view.name(node) == "multiply" and node not in named for node in region):
            within.append("product")  # a gated MLP, say: what multiplies is no detail
        convs = [view.conv_text(n) for n in sorted(region) if _spatial(view, n) and n not in named]
        text = " + ".join([" ".join([f"{kind} {sign}{factor_text(ratio)}", *dict.fromkeys(convs)]), *dict.fromkeys(within)])
        last = max(region, default=first)
        behind = view.only_reader(last)
        while region and behind is not None and (view.is_norm(behind) or view.is_transparent(behind)):
            region.add(behind)
            behind = view.only_reader(behind)
        pattern = Pattern(kind, text, frozenset(region))
        inside = convs or within or any(view.is_activation(node) for node in region)
        if region and inside and _fits(pattern, [*found, *result]):
            result.append(pattern)
            covered |= region
            ends |= {first, last}
    return result, ends


def _spatial(view: GraphView, node: int) -> bool:
    return view.is_conv(node) and not view.is_conv(node, 1) and view.full(node)


def _enclosed(view: GraphView, first: int, outer: int) -> set[int]:
    """All nodes from `first` to the next 1x1 convolution back to `outer` channels, with no other way in or out."""
    for last in range(first + 1, len(view.graph.nodes)):
        if not view.is_pointwise(last) or not view.depends(last, first) or not view.full(last):
            continue
        if view.channels(last) != outer or view.channels(view.inputs(last)[0]) == outer:
            continue
        region = view.between(first, last)
        closed = all(set(view.inputs(node)) <= region for node in region - {first})
        if closed and view.exits(region) == [last]:
            return region
    return set()


def _dense(view: GraphView, found: Sequence[Pattern]) -> list[Pattern]:
    """Concatenations of a map with what is computed from it (arXiv 1608.06993); those that read one another are one."""
    groups: list[set[int]] = []
    for index in range(len(view.graph.nodes)):
        if view.name(index) != "concat":
            continue
        parts = set(view.inputs(index))
        earliest = min(parts)
        inside = view.between(earliest, index) - {earliest}
        layers = parts - {earliest}
        if not layers or not all(view.depends(part, earliest) for part in layers):
            continue
        if not any(view.is_conv(node) for node in inside) or not all(view.sources({n}) <= inside | {earliest} for n in inside):
            continue
        nodes = inside
        for other in [group for group in groups if group & nodes or earliest in group]:
            groups.remove(other)
            nodes |= other
        groups.append(nodes)
    result = []
    for nodes in groups:
        joins = [node for node in nodes if view.name(node) == "concat"]
        layers = {part for join in joins for part in view.inputs(join) if part in nodes and part not in joins}
        text = f"dense concat, {len(layers)} layer{'s' * (len(layers) != 1)}"
        pattern = Pattern("dense", text, frozenset(nodes))
        if _fits(pattern, found):
            result.append(pattern)
    return result


# --- summaries --------------------------------------------------------------------------------------------------------


def summarise_graph(
    graph: Graph | None, width: int, tokens: int = 0, *, count_heads: bool = True, residual: bool = False, limit: int = 4
) -> str:
    """Summarise a sub-block in one line: its outermost patterns and what is left, in order; "" for an absent one.

    Args:
        graph: the sub-block, or None.
        width: the block's number of channels.
        tokens: its number of class tokens.
        count_heads: see `find_patterns`.
        residual: see `find_patterns`.
        limit: how many items are named before "n more".
    """
    if graph is None:
        return ""
    if graph.nodes[graph.output].op.name == "zero":
        return "zero"
    key = ("summary", width, tokens, count_heads, residual, limit)
    if key not in graph.memo:  # many sub-blocks may name the same graph
        graph.memo[key] = _summary(graph, width, tokens, count_heads, residual, limit)
    found: str = graph.memo[key]
    return found


def _summary(graph: Graph, width: int, tokens: int, count_heads: bool, residual: bool, limit: int) -> str:
    view = GraphView(graph, width, tokens)
    outer = outermost(find_patterns(graph, width, tokens, count_heads=count_heads, residual=residual))
    items = [(min(pattern.nodes), pattern.text) for pattern in outer]
    covered = union(outer)
    for index, node in enumerate(graph.nodes):
        if index not in covered and node.op.name not in _SILENT:
            items.append((index, short_label(view, index)))
    texts: list[str] = []
    counts: dict[str, int] = {}
    for _, text in sorted(items):
        counts[text] = counts.get(text, 0) + 1
        if counts[text] == 1:
            texts.append(text)
    named = [text if counts[text] == 1 else f"{counts[text]} × {text}" for text in texts]
    if len(named) > limit:
        named = [*named[:limit], f"{len(named) - limit} more"]
    return ", ".join(named) or "identity"


def summarise_block(block: Block, width: int, tokens: int = 0, *, count_heads: bool = True) -> str:
    """Summarise a block in one line: "attention 6 heads of 32 + bias | MLP ×4". A zero sub-block is left out beside another."""
    texts = [summarise_graph(graph, width, tokens, count_heads=count_heads, residual=block.residual) for graph in block.subblocks]
    working = [text for text in texts if text and text != "zero"]
    return " | ".join(working) or "no operation"
