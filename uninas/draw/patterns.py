"""Names that people give to groups of operations: attention, MBConv, squeeze-and-excitation, MLP, conv-norm-act.

A graph holds primitive operations only; this file finds the familiar shapes in it again, for drawings and one-line
summaries. Nothing else depends on what is found here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from uninas.draw.labels import family_of, op_label
from uninas.graph import Block, Graph
from uninas.ops import AttentionMap, Type

_SHORT = {"batch_norm": "BN", "layer_norm": "LN", "add": "sum", "multiply": "product"}
_SILENT = {"input", "identity", "slice", "broadcast", "concat"}  # plumbing that a summary need not mention


@dataclass(frozen=True)
class Pattern:
    """A named group of nodes: `kind` from a fixed set of words, `text` for a summary, indices of its nodes.

    Kinds: attention, squeeze-excite, silu, gate, mbconv, expand, mlp, bottleneck, conv.
    """

    kind: str
    text: str
    nodes: frozenset[int]


class _View:
    """A graph with its types and the sets of nodes before and after each node."""

    def __init__(self, graph: Graph, width: int) -> None:
        self.graph = graph
        self.types: tuple[Type, ...] = graph.frame_types(width)
        count = len(graph.nodes)
        self.consumers: list[list[int]] = [[] for _ in range(count)]
        self.before: list[set[int]] = []
        for index, node in enumerate(graph.nodes):
            past: set[int] = set()
            for source in node.inputs:
                self.consumers[source].append(index)
                past |= self.before[source] | {source}
            self.before.append(past)

    def name(self, index: int) -> str:
        return self.graph.nodes[index].op.name

    def inputs(self, index: int) -> tuple[int, ...]:
        return self.graph.nodes[index].inputs

    def is_conv(self, index: int, kernel: int | None = None) -> bool:
        operation = self.graph.nodes[index].op
        return operation.name == "conv" and (kernel is None or operation.values["kernel"] == kernel)

    def between(self, first: int, last: int) -> set[int]:
        """Nodes on some path from `first` to `last`, both ends included."""
        return {node for node in self.before[last] | {last} if node == first or first in self.before[node]}

    def channels(self, index: int) -> int:
        return self.types[index][0]


def find_patterns(graph: Graph, width: int, *, count_heads: bool = True) -> tuple[Pattern, ...]:
    """The patterns of a graph in the order of their first nodes; two are disjoint, or one lies inside the other.

    Args:
        graph: a sub-block's graph.
        width: the block's number of channels.
        count_heads: name attention by its number of heads, which depends on the width; else by the heads' size.
    """
    view = _View(graph, width)
    attention = _attention(view, count_heads)
    gates = _gates(view)
    taken = _union(attention) | _union(gates)
    expansions = _expansions(view, taken, attention, gates)
    convs = _conv_chains(view, taken | _union(expansions))
    found = [*attention, *gates, *expansions, *convs]
    return tuple(sorted(found, key=lambda pattern: (min(pattern.nodes), -len(pattern.nodes), pattern.text)))


def _union(patterns: Iterable[Pattern]) -> set[int]:
    return {node for pattern in patterns for node in pattern.nodes}


# --- attention --------------------------------------------------------------------------------------------------------


def _attention(view: _View, count_heads: bool) -> list[Pattern]:
    """Every map · v with the nodes of its map, its projections and slices; branches that share a projection are one."""
    groups: list[set[int]] = []
    for index in range(len(view.graph.nodes)):
        if view.name(index) != "matmul_av":
            continue
        nodes = {index} | {node for node in view.before[index] if isinstance(view.types[node], AttentionMap)}
        operands = [view.inputs(index)[1]]
        operands += [operand for node in nodes if view.name(node) == "matmul_qk" for operand in view.inputs(node)]
        for operand in operands:
            nodes |= _back_to_projection(view, operand)
        for other in [group for group in groups if group & nodes]:
            groups.remove(other)
            nodes |= other
        groups.append(nodes)
    for nodes in groups:
        nodes |= _output_projection(view, nodes)
    return [Pattern("attention", _attention_text(view, nodes, count_heads), frozenset(nodes)) for nodes in groups]


def _back_to_projection(view: _View, operand: int) -> set[int]:
    """The chain of nodes from a query, key or value up to its 1x1 convolution; nothing where there is none."""
    chain = set()
    node = operand
    while len(view.inputs(node)) == 1:
        chain.add(node)
        if view.is_conv(node, 1):
            return chain
        node = view.inputs(node)[0]
    return set()


def _output_projection(view: _View, nodes: set[int]) -> set[int]:
    """The concatenation of the heads and the 1x1 convolution that alone read what attention makes."""
    made = [node for node in nodes if view.name(node) == "matmul_av"]
    readers = {reader for node in made for reader in view.consumers[node]}
    found: set[int] = set()
    if len(readers) == 1 and view.name(min(readers)) == "concat" and set(view.inputs(min(readers))) <= nodes:
        found |= readers
        readers = set(view.consumers[min(readers)])
    if len(readers) == 1 and view.is_conv(min(readers), 1):
        found |= readers
    return found


def _attention_text(view: _View, nodes: set[int], count_heads: bool) -> str:
    names = {view.name(node) for node in nodes if isinstance(view.types[node], AttentionMap)}
    maps = [node for node in nodes if view.name(node) == "matmul_qk"]
    if count_heads:
        heads = sum(view.types[node][0] for node in maps)
        text = f"attention {heads} head{'s' * (heads != 1)}"
    else:
        sizes = sorted({view.graph.nodes[node].op.values["head_dim"] for node in maps})
        text = f"attention, heads of {'/'.join(map(str, sizes))}"
    if "softmax" not in names:
        text += " without softmax"
    return text + " + bias" * ("relative_position_bias" in names) + " + mask" * ("mask" in names)


# --- gates ------------------------------------------------------------------------------------------------------------


def _gates(view: _View) -> list[Pattern]:
    """multiply(x, sigmoid(y)): squeeze-and-excitation where y went through a global average, SiLU where y is x."""
    found = []
    for index in range(len(view.graph.nodes)):
        if view.name(index) != "multiply":
            continue
        for operand in view.inputs(index):
            path = _back_through_sigmoid(view, operand)
            if path:
                found.append(_gate(view, index, path))
                break
    return found


def _back_through_sigmoid(view: _View, operand: int) -> list[int]:
    """The nodes from a factor back through a sigmoid and broadcasts beside it; empty where there is no sigmoid."""
    path: list[int] = []
    node = operand
    while view.name(node) in ("sigmoid", "broadcast"):
        path.append(node)
        node = view.inputs(node)[0]
    return path if any(view.name(node) == "sigmoid" for node in path) else []


def _gate(view: _View, product: int, path: list[int]) -> Pattern:
    nodes = {product, *path}
    source = view.inputs(path[-1])[0]  # what the gate is computed from
    for squeeze in sorted(view.before[source] | {source}):
        inside = view.between(squeeze, source)
        if view.name(squeeze) == "global_average_pool" and all(view.types[node].pooled for node in inside):
            text = "SE" if any(view.is_conv(node) for node in inside) else "global gate"
            return Pattern("squeeze-excite", text, frozenset(nodes | inside))
    if source in view.inputs(product):
        return Pattern("silu", "SiLU", frozenset(nodes))
    return Pattern("gate", "gate", frozenset(nodes))


# --- expansions and bottlenecks ---------------------------------------------------------------------------------------


def _expansions(view: _View, taken: set[int], attention: list[Pattern], gates: list[Pattern]) -> list[Pattern]:
    """Two 1x1 convolutions around an inner graph: MBConv, MLP and the bottleneck that narrows first."""
    found: list[Pattern] = []
    for first in range(len(view.graph.nodes)):
        if not view.is_conv(first, 1) or first in taken | _union(found) or view.types[first][1]:
            continue
        outer, inner = view.channels(view.inputs(first)[0]), view.channels(first)
        if outer == inner:
            continue
        region = _enclosed(view, first, outer, taken | _union(found))
        if region:
            found.append(_expansion(view, first, region, max(inner, outer) / min(inner, outer), attention + gates))
    return found


def _enclosed(view: _View, first: int, outer: int, taken: set[int]) -> set[int]:
    """All nodes from `first` to the next 1x1 convolution back to `outer` channels, with no other way in or out."""
    for last in range(first + 1, len(view.graph.nodes)):
        if not view.is_conv(last, 1) or last in taken or first not in view.before[last] or view.types[last][1]:
            continue
        if view.channels(last) != outer or view.channels(view.inputs(last)[0]) == outer:
            continue
        region = view.between(first, last)
        closed_above = all(set(view.inputs(node)) <= region for node in region - {first})
        closed_below = all(set(view.consumers[node]) <= region for node in region - {last})
        if closed_above and closed_below and view.graph.output not in region - {last}:
            return region
    return set()


def _expansion(view: _View, first: int, region: set[int], factor: float, inner: list[Pattern]) -> Pattern:
    widens = view.channels(first) > view.channels(view.inputs(first)[0])
    spatial = [node for node in sorted(region) if view.is_conv(node) and not view.is_conv(node, 1) and not view.types[node][1]]
    kernels = list(dict.fromkeys(_kernel_text(view, node) for node in spatial))
    depthwise = any(view.graph.nodes[node].op.values["groups"] == "depthwise" for node in spatial)
    if not widens:
        kind, name = "bottleneck", "bottleneck ÷"
    elif depthwise:
        kind, name = "mbconv", "MBConv ×"
    elif spatial:
        kind, name = "expand", "expand ×"
    else:
        kind, name = "mlp", "MLP ×"
    text = " ".join([f"{name}{factor:g}", *kernels])
    within = [pattern.text for pattern in inner if pattern.nodes <= region]
    last = max(region)
    norms = [node for node in view.consumers[last] if family_of(view.graph.nodes[node].op) == "normalisation"]
    tail = set(norms) if norms == view.consumers[last] and len(norms) == 1 else set()  # the norm behind belongs to it
    return Pattern(kind, " + ".join([text, *dict.fromkeys(within)]), frozenset(region | tail))


def _kernel_text(view: _View, node: int) -> str:
    values = view.graph.nodes[node].op.values
    return f"{'dw' if values['groups'] == 'depthwise' else 'conv'}{values['kernel']}"


# --- convolution, norm, activation ------------------------------------------------------------------------------------


def _conv_chains(view: _View, taken: set[int]) -> list[Pattern]:
    """Runs of convolution [norm] [activation]; equal neighbours are one pattern with a count."""
    runs: list[tuple[str, set[int], int]] = []  # text of one, nodes of all, last node
    counts: list[int] = []
    for first in range(len(view.graph.nodes)):
        if not view.is_conv(first) or first in taken or view.types[first][1]:
            continue
        names, nodes, last = [_kernel_text(view, first)], {first}, first
        for family in ("normalisation", "activation"):
            after = view.consumers[last]
            if len(after) == 1 and after[0] not in taken and family_of(view.graph.nodes[after[0]].op) == family:
                last = after[0]
                nodes.add(last)
                names.append(_SHORT.get(view.name(last), op_label(view.graph.nodes[last].op)))
        text = "-".join(names)
        if runs and runs[-1][0] == text and view.inputs(first) == (runs[-1][2],):
            runs[-1] = (text, runs[-1][1] | nodes, last)
            counts[-1] += 1
        else:
            runs.append((text, nodes, last))
            counts.append(1)
    return [
        Pattern("conv", text + f" ×{count}" * (count > 1), frozenset(nodes))
        for (text, nodes, _), count in zip(runs, counts, strict=True)
    ]


# --- summaries --------------------------------------------------------------------------------------------------------


def summarise_graph(graph: Graph | None, width: int, *, count_heads: bool = True, limit: int = 4) -> str:
    """One line for a sub-block: its outermost patterns and what is left, in order; "" for an absent one.

    Args:
        graph: the sub-block, or None.
        width: the block's number of channels.
        count_heads: see `find_patterns`.
        limit: how many items are named before "+ n more".
    """
    if graph is None:
        return ""
    if graph.nodes[graph.output].op.name == "zero":
        return "zero"
    patterns = find_patterns(graph, width, count_heads=count_heads)
    outer = [one for one in patterns if not any(one.nodes < other.nodes for other in patterns)]
    items = [(min(pattern.nodes), pattern.text) for pattern in outer]
    covered = _union(outer)
    for index, node in enumerate(graph.nodes):
        if index not in covered and node.op.name not in _SILENT:
            items.append((index, _SHORT.get(node.op.name, op_label(node.op))))
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


def summarise_block(block: Block, width: int, *, count_heads: bool = True) -> str:
    """One line for a block: "attention 6 heads + bias | MLP ×4". A Zero sub-block is left out beside another."""
    texts = [summarise_graph(graph, width, count_heads=count_heads) for graph in block.subblocks]
    working = [text for text in texts if text and text != "zero"]
    return " | ".join(working) or "no operation"
