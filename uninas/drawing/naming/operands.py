"""Patterns that meet in one node: attention, where a map is applied to values, and gates, where two values are multiplied."""

from __future__ import annotations

from uninas.drawing.graph_view import GraphView
from uninas.drawing.labels import qualifiers
from uninas.drawing.naming.pattern import Pattern
from uninas.ops import AttentionMap

# --- attention --------------------------------------------------------------------------------------------------------


def find_attention(view: GraphView, count_heads: bool) -> list[Pattern]:
    """Find every application of an attention map, with its nodes, projections and slices; what shares a projection is one."""
    groups: list[set[int]] = []
    for index in range(len(view.graph.nodes)):
        if not _applies_map(view, index):
            continue
        nodes = {index} | {node for node in view.past(index) if isinstance(view.types[node], AttentionMap)}
        for operand in sorted(view.sources(nodes)):
            nodes |= _back_to_projection(view, operand)
        for other in [group for group in groups if group & nodes]:
            groups.remove(other)
            nodes |= other
        groups.append(nodes)
    for nodes in groups:
        nodes |= _reduced_keys(view, nodes)
        nodes |= _output_projection(view, nodes)
    return [Pattern("attention", _attention_text(view, nodes, count_heads), frozenset(nodes)) for nodes in groups]


def _applies_map(view: GraphView, index: int) -> bool:
    if isinstance(view.types[index], AttentionMap):
        return False
    return any(isinstance(view.types[source], AttentionMap) for source in view.inputs(index))


def _scores(view: GraphView, nodes: set[int]) -> list[int]:
    """The nodes that make an attention map of feature maps."""
    made = [node for node in sorted(nodes) if isinstance(view.types[node], AttentionMap)]
    return [n for n in made if not any(isinstance(view.types[source], AttentionMap) for source in view.inputs(n))]


def _back_to_projection(view: GraphView, operand: int) -> set[int]:
    """The chain of nodes from a query, key or value up to its 1x1 convolution; nothing where there is none."""
    chain = set()
    node = operand
    while len(view.inputs(node)) == 1:
        chain.add(node)
        if view.is_conv(node, 1):
            return chain
        node = view.inputs(node)[0]
    return set()


def _reduced_keys(view: GraphView, nodes: set[int]) -> set[int]:
    """Where keys and values are computed from a coarser copy of what the queries read: the chain that makes the copy."""
    sources = view.sources(nodes)
    if len(sources) != 2:
        return set()
    first, second = sorted(sources)
    chain: set[int] = set()
    node = second
    while node != first:
        if len(view.inputs(node)) != 1 or not set(view.readers[node]) <= nodes | chain or node == view.graph.output:
            return set()
        chain.add(node)
        node = view.inputs(node)[0]
    return chain


def _output_projection(view: GraphView, nodes: set[int]) -> set[int]:
    """The concatenation of the heads and the 1x1 convolution that alone read what attention makes."""
    found: set[int] = set()
    readers = {reader for node in nodes if _applies_map(view, node) for reader in view.readers[node]}
    while len(readers) == 1 and view.graph.output not in nodes | found:
        reader = min(readers)
        joins = view.name(reader) == "concat" and set(view.inputs(reader)) <= nodes | found
        if not (joins or view.is_conv(reader, 1) or view.is_transparent(reader)):
            break
        found.add(reader)
        if view.is_conv(reader, 1):
            return found
        readers = set(view.readers[reader])
    return {node for node in found if view.name(node) == "concat"}


def _attention_text(view: GraphView, nodes: set[int], count_heads: bool) -> str:
    """Heads, their size, and whatever the operations' labels say beside their names: windows, shifts, strides."""
    scores = _scores(view, nodes)
    operations = [view.graph.nodes[node].op for node in scores]
    sizes = sorted({op.values["head_dim"] for op in operations if "head_dim" in op.values})
    of = f" of {'/'.join(map(str, sizes))}" if sizes else ""
    heads = sum(view.channels(node) for node in scores)
    text = f"attention {heads} head{'s' * (heads != 1)}{of}" if count_heads else f"attention, heads{of}"
    maps = [view.types[node] for node in scores]
    key_heads = sum(map_.key_heads for map_ in maps if isinstance(map_, AttentionMap))
    words = [f"{key_heads} of keys" if count_heads else "shared keys"] if key_heads else []
    words += [word for op in operations for word in qualifiers(op, known=("head_dim",))]
    names = {view.name(node) for node in nodes if isinstance(view.types[node], AttentionMap)}
    text = ", ".join([text, *dict.fromkeys(words)]) + " without softmax" * ("softmax" not in names)
    steps = {view.types[source].stride for node in scores for source in view.inputs(node)}
    if len(steps) == 2:
        text += f" + keys at 1/{max(steps) // min(steps)}"
    text += " + bias" * ("relative_position_bias" in names) + " + mask" * ("mask" in names)
    return text + " + conv on maps" * ("conv" in names)


# --- mixers -----------------------------------------------------------------------------------------------------------


def find_mixers(view: GraphView) -> list[Pattern]:
    """Find means of a pixel's neighbours less the pixel (arXiv 2111.11418)."""
    found = []
    for index in range(len(view.graph.nodes)):
        pair = sorted(view.inputs(index), key=view.name)
        if view.name(index) == "add" and [view.name(node) for node in pair] == ["average_pool", "negate"]:
            pool, minus = pair
            alone = view.only_reader(pool) == view.only_reader(minus) == index
            if alone and view.inputs(pool) == view.inputs(minus):
                text = f"pool mixer {view.graph.nodes[pool].op.values['kernel']}"
                found.append(Pattern("mixer", text, frozenset((pool, minus, index))))
    return found


# --- gates ------------------------------------------------------------------------------------------------------------


def find_gates(view: GraphView) -> list[Pattern]:
    """Find multiply(x, sigmoid(y)): squeeze-and-excitation where y is a small network on the mean of x, SiLU where y is x."""
    found = []
    for index in range(len(view.graph.nodes)):
        if view.name(index) != "multiply" or len(view.inputs(index)) != 2:
            continue
        for operand, other in zip(view.inputs(index), reversed(view.inputs(index)), strict=True):
            path = _back_through_sigmoid(view, operand)
            if path:
                found.append(_gate(view, index, path, other))
                break
    return found


def _back_through_sigmoid(view: GraphView, operand: int) -> list[int]:
    """The nodes from a factor back through a sigmoid and broadcasts beside it; empty where there is no sigmoid."""
    path: list[int] = []
    node = operand
    while "sigmoid" in view.name(node) or view.name(node) == "broadcast":
        path.append(node)
        node = view.inputs(node)[0]
    return path if any("sigmoid" in view.name(node) for node in path) else []


def _gate(view: GraphView, product: int, path: list[int], gated: int) -> Pattern:
    nodes = {product, *path}
    source = view.inputs(path[-1])[0]  # what the gate is computed from
    if source == gated:
        return Pattern("silu", "SiLU" if view.name(path[-1]) == "sigmoid" else "x·sigmoid(x)", frozenset(nodes))
    for squeeze in (*view.past(source), source):
        if view.name(squeeze) != "global_average_pool" or view.inputs(squeeze) != (gated,):
            continue
        inside = view.between(squeeze, source)
        if not any(view.full(node) for node in inside):
            chain = all(len(view.inputs(node)) == 1 for node in inside)
            excites = chain and sum(view.is_conv(node, 1) for node in inside) == 2
            return Pattern("squeeze-excite", "SE" if excites else "global gate", frozenset(nodes | inside))
    return Pattern("gate", "gate", frozenset(nodes))
