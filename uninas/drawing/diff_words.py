"""A comparison in words: what happened to a graph, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from uninas.attributes import print_value
from uninas.diff import BlockDiff, GraphDiff, NodeEdit, StageDiff
from uninas.diff.edits import OUTPUT
from uninas.drawing.graph_view import GraphView
from uninas.drawing.labels import op_label
from uninas.drawing.naming.patterns import find_patterns, outermost, summarise_graph
from uninas.graph import Graph, Node
from uninas.ops import INPUT, FeatureMap

SIGNS = {
    "equal": "=",
    "changed": "~",
    "replaced": "~",
    "rewired": "~",
    "added": "+",
    "inserted": "+",
    "removed": "−",
    "moved": "→",
}
"""What stands before a line, so that nothing is said by colour alone."""

MARKS = {"inserted": "added", "removed": "removed", "replaced": "changed", "rewired": "changed"}
"""Kind of edit -> mark of its nodes in a picture."""

_MOST = 4  # names in one enumeration
_LEAST_COMMON = 0.4  # share of operations that two versions of one graph have in common


class Words(NamedTuple):
    """One edit: its sign and a sentence without a full stop."""

    sign: str
    text: str


def edit_words(graph: GraphDiff, edit: NodeEdit) -> Words:
    """Describe an edit: `+ GELU %4 between conv 3×3 %3 and BatchNorm %5`; numbers are B's where it has the node, else A's."""
    if edit.kind == "inserted":
        assert graph.b is not None
        return Words("+", f"{_piece(graph.b, edit.after, graph.reads_b)} {_between(graph.b, edit, '')}")
    if edit.kind == "removed":
        assert graph.a is not None
        return Words("−", f"{_piece(graph.a, edit.before, graph.reads_a)} {_between(graph.a, edit, 'was ')}")
    assert graph.a is not None
    assert graph.b is not None
    if edit.kind == "replaced":
        return Words("~", _replaced(graph.a, graph.b, edit))
    parts = []
    if edit.won:
        parts.append(f"now reads {_names(graph.b, edit.won)}")
    if edit.lost:
        parts.append(f"no longer {_names(graph.a, edit.lost)}" if parts else f"no longer reads {_names(graph.a, edit.lost)}")
    who = "the output" if edit.after == (OUTPUT,) else _name(graph.b, edit.after[0])
    return Words("~", f"{who} {', '.join(parts)}")


def _replaced(a: Graph, b: Graph, edit: NodeEdit) -> str:
    one, other = a.nodes[edit.before[0]].op, b.nodes[edit.after[0]].op
    after, between = _name(b, edit.after[0]), _between(b, edit, "")
    if one.name != other.name:
        return f"{op_label(one)} became {after} {between}"
    changes = [
        f"{name.replace('_', ' ')} {print_value(value)} became {print_value(other.values[name])}"
        for name, value in one.values.items()
        if value != other.values[name]
    ]
    return f"{after} {between}: {', '.join(changes)}"


def is_another(graph: GraphDiff) -> bool:
    """Return whether two graphs have so little in common that they are named whole, and not edit by edit."""
    if graph.a is None or graph.b is None or len(graph.edits) < 3:
        return False
    kept = sum(graph.a.nodes[one].op is graph.b.nodes[other].op for one, other in graph.pairs.items()) - 1  # the input
    return kept < _LEAST_COMMON * (max(len(graph.a.nodes), len(graph.b.nodes)) - 1)


def graph_words(graph: GraphDiff, residual: bool) -> list[Words]:
    """Describe all that happened to a graph: that it was added, removed or exchanged as a whole, or its edits one by one."""
    before = summarise_graph(graph.a, *graph.reads_a, residual=residual)
    after = summarise_graph(graph.b, *graph.reads_b, residual=residual)
    if graph.kind == "added":
        return [Words("+", after)]
    if graph.kind == "removed":
        return [Words("−", before)]
    if is_another(graph):
        return [Words("~", f"{before} became {after}")]
    return [edit_words(graph, edit) for edit in graph.edits]


def block_place(blocks: Sequence[BlockDiff]) -> str:
    """Name some blocks: `block 2`, `blocks 2 to 4`; with A's number where it differs: `block 3 (block 2 of A)`."""
    first, last = blocks[0], blocks[-1]
    if first.after is None:
        assert first.before is not None
        assert last.before is not None
        return f"{_numbers(first.before, last.before)} of A"
    assert last.after is not None
    place = _numbers(first.after, last.after)
    if first.before is None or last.before is None or first.before == first.after:
        return place
    stage = f"stage {first.before[0]}, " if first.before[0] != first.after[0] else ""
    return f"{place} ({stage}{_numbers(first.before, last.before)} of A)"


def _numbers(first: tuple[int, int], last: tuple[int, int]) -> str:
    return f"block {first[1]}" if first == last else f"blocks {first[1]} to {last[1]}"


def stage_facts(stage: StageDiff) -> tuple[str, bool]:
    """Describe the width and size of a stage, and whether they differ: `96 ch, 56×56`, `width 96 became 112, 56×56`."""
    texts = []
    for values, one, two in (
        (stage.widths, "{} ch", "width {} became {}"),
        ([f"{size[0]}×{size[1]}" if size else None for size in stage.sizes], "{}", "{} became {}"),
    ):
        known = list(dict.fromkeys(value for value in values if value is not None))
        texts.append(one.format(*known) if len(known) == 1 else two.format(*known))
    return ", ".join(texts), any("became" in text for text in texts)


def block_runs(stage: StageDiff) -> list[list[BlockDiff]]:
    """Return a stage's blocks, neighbours to which the same happened together."""
    runs: list[list[BlockDiff]] = []
    for block in stage.blocks:
        if runs and runs[-1][-1].kind == block.kind and runs[-1][-1].block == block.block and runs[-1][-1].graphs == block.graphs:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs


def _between(graph: Graph, edit: NodeEdit, was: str) -> str:
    reads, readers = _names(graph, edit.reads), _names(graph, edit.readers)
    if not edit.readers:
        return f"{was}behind {reads}"
    return f"{was}between {reads} and {readers}"


def _piece(graph: Graph, nodes: Iterable[int], reads: tuple[int, int]) -> str:
    """Some nodes by the patterns among them, then by label; a single node with its number."""
    nodes = tuple(nodes)
    if len(nodes) == 1:
        return _name(graph, nodes[0])
    alone = _by_itself(graph, nodes, reads)
    if alone is not None:
        return summarise_graph(*alone)
    inside = [pattern for pattern in find_patterns(graph, *reads) if pattern.nodes <= set(nodes) and len(pattern.nodes) > 1]
    named = outermost(inside)
    covered = {node for pattern in named for node in pattern.nodes}
    items = [(min(pattern.nodes), pattern.text) for pattern in named]
    items += [(node, op_label(graph.nodes[node].op)) for node in nodes if node not in covered]
    return _enumerate([text for _, text in sorted(items)])


def _by_itself(graph: Graph, nodes: tuple[int, ...], reads: tuple[int, int]) -> tuple[Graph, int, int] | None:
    """Some nodes as a graph of their own, the channels and tokens it reads, where they read one full map and have one exit."""
    view = GraphView(graph, *reads)
    sources, exits = view.sources(set(nodes)), view.exits(set(nodes))
    if len(sources) != 1 or len(exits) != 1:
        return None
    source = min(sources)
    if any(not isinstance(view.types[node], FeatureMap) or not view.full(node) for node in (source, exits[0])):
        return None
    number = {node: place for place, node in enumerate((source, *nodes))}
    rest = [Node(graph.nodes[n].op, tuple([number[i] for i in graph.nodes[n].inputs])) for n in nodes]
    return Graph((Node(INPUT, ()), *rest), number[exits[0]]), view.channels(source), view.types[source].tokens


def _names(graph: Graph, nodes: Iterable[int]) -> str:
    return _enumerate([_name(graph, node) for node in nodes])


def _name(graph: Graph, node: int) -> str:
    if node == OUTPUT:
        return "the output"
    return "the input" if node == 0 else f"{op_label(graph.nodes[node].op)} %{node}"


def _enumerate(texts: list[str]) -> str:
    return ", ".join([*texts[:_MOST], *[f"{len(texts) - _MOST} more"] * (len(texts) > _MOST)])
