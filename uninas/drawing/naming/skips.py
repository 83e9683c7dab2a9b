"""The skip connection around a pattern: the sum of what it makes and what it reads, with the norm before and the act behind."""

from __future__ import annotations

from dataclasses import dataclass

from uninas.drawing.graph_view import GraphView

_POOLS = ("average_pool", "max_pool")


@dataclass(frozen=True)
class Skip:
    """All nodes of a pattern with its skip connection, and what that adds to its name: ` + skip`, ` + pooled conv1 skip`."""

    nodes: frozenset[int]
    text: str


def find_skip(view: GraphView, nodes: set[int]) -> Skip | None:
    """Find the skip connection around some nodes, if they have one input, one exit, and are added to what they read.

    Norms, activations and pools before and norms behind the nodes may lie within the skip; the shortcut may hold 1x1
    convolutions, norms and pools. One activation behind the sum belongs to it, as in ResNet.
    """
    tail = _tail(view, nodes)
    if tail is None:
        return None
    whole, addition = tail
    pooled = ""
    while True:
        sources = view.sources(whole)
        if len(sources) != 1:
            return None
        source = min(sources)
        shortcut = _shortcut(view, addition, whole, source)
        if shortcut is not None:
            names, extra = shortcut
            whole = whole | extra | {addition}
            behind = view.only_reader(addition)
            if behind is not None and view.is_activation(behind):
                whole = whole | {behind}
            return Skip(frozenset(whole), f"{pooled} + {' '.join([*names, 'skip'])}")
        pool = view.name(source) in _POOLS
        pooled = " of a pooled map" if pool else pooled
        before = pool or view.is_norm(source) or view.is_activation(source) or view.is_transparent(source)
        if not before or not set(view.readers[source]) <= whole or source == view.graph.output:
            return None
        whole = whole | {source}


def _tail(view: GraphView, nodes: set[int]) -> tuple[set[int], int] | None:
    """The nodes with norms and what is transparent behind them, and the sum of two that alone reads the last."""
    exits = view.exits(nodes)
    if len(exits) != 1:
        return None
    whole, node = set(nodes), exits[0]
    while (reader := view.only_reader(node)) is not None:
        if view.name(reader) == "add":
            return (whole, reader) if len(view.inputs(reader)) == 2 else None
        if not (view.is_norm(reader) or view.is_transparent(reader) or view.is_activation(reader)):
            return None
        whole.add(reader)
        node = reader
    return None


def _shortcut(view: GraphView, addition: int, whole: set[int], source: int) -> tuple[list[str], set[int]] | None:
    """The words for the other path from `source` to the sum and the nodes on it, if it is a shortcut."""
    others = [node for node in view.inputs(addition) if node not in whole]
    if len(others) != 1:
        return None
    node, names, extra = others[0], list[str](), set[int]()
    while node != source:
        plain = view.is_norm(node) or view.is_transparent(node)
        pool = view.name(node) in _POOLS
        if not (plain or pool or view.is_conv(node, 1)) or view.only_reader(node) is None:
            return None
        if not plain:
            names.insert(0, "pooled" if pool else view.conv_text(node))
        extra.add(node)
        node = view.inputs(node)[0]
    return names, extra
