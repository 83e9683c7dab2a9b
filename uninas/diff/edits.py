"""What happened between two graphs whose nodes are paired: operations inserted, removed, replaced, rewired, with their places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from uninas.diff.matching import align
from uninas.graph import Graph

OUTPUT = -1
"""Stands for whatever reads a graph's output."""


@dataclass(frozen=True)
class NodeEdit:
    """One change of a graph.

    kind       inserted: `after` are nodes of B that A has not, in one piece. removed: `before` are nodes of A that B has not.
               replaced: one operation became another, or has other attributes.
               rewired: the same operation reads something else.
    reads      nodes beside the piece that it reads, and
    readers    that read it, OUTPUT among them: of B; of A where the piece was removed.
    lost, won  only where it is rewired: nodes of A that it no longer reads, nodes of B that it reads now.
    """

    kind: str
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    reads: tuple[int, ...] = ()
    readers: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    won: tuple[int, ...] = ()


@dataclass(frozen=True)
class GraphDiff:
    """The edits that lead from graph A to graph B, and which node is which; None: there is no such graph.

    `reads_a`, `reads_b`: the channels and class tokens of the map that each reads.
    """

    a: Graph | None
    b: Graph | None
    reads_a: tuple[int, int]
    reads_b: tuple[int, int]
    pairs: Mapping[int, int]
    edits: tuple[NodeEdit, ...]

    @property
    def kind(self) -> str:
        """equal, changed, added (A has no such graph), removed (B has none)."""
        if self.a is None and self.b is not None:
            return "added"
        if self.a is not None and self.b is None:
            return "removed"
        return "changed" if self.a != self.b else "equal"


def diff_graphs(a: Graph | None, b: Graph | None, reads_a: tuple[int, int], reads_b: tuple[int, int]) -> GraphDiff:
    """Compare two canonical graphs that read maps of (channels, class tokens)."""
    if a is None or b is None:
        return GraphDiff(a, b, reads_a, reads_b, {}, ())
    pairs = align(a, b)
    return GraphDiff(a, b, reads_a, reads_b, pairs, tuple(_edits(a, b, pairs)))


def _edits(a: Graph, b: Graph, pairs: Mapping[int, int]) -> list[NodeEdit]:
    """List pieces added and removed, then what changed of the nodes that stayed; sorted by their places."""
    back = {second: first for first, second in pairs.items()}
    found = [_piece(a, piece, "removed") for piece in _pieces(a, pairs)]
    found += [_piece(b, piece, "inserted") for piece in _pieces(b, back)]
    for first, second in sorted(pairs.items()):
        if a.nodes[first].op is not b.nodes[second].op:
            reads, readers = _ends(b, {second})
            found.append(NodeEdit("replaced", (first,), (second,), reads, readers))
        lost, won = _rewired(a, b, first, second, pairs, back)
        if lost or won:
            found.append(NodeEdit("rewired", (first,), (second,), lost=lost, won=won))
    lost, won = _direct((a.output,), (b.output,), a, b, pairs, back)
    if lost or won:
        found.append(NodeEdit("rewired", (OUTPUT,), (OUTPUT,), lost=lost, won=won))
    return sorted(
        found, key=lambda edit: (min(back.get(n, n) for n in edit.after) if edit.after else min(edit.before), edit.kind)
    )


def _pieces(graph: Graph, known: Mapping[int, int]) -> list[set[int]]:
    """The nodes without a partner, those that read one another together."""
    pieces: list[set[int]] = []
    for index, node in enumerate(graph.nodes):
        if index in known:
            continue
        piece = {index}
        for other in [one for one in pieces if one & set(node.inputs)]:
            pieces.remove(other)
            piece |= other
        pieces.append(piece)
    return sorted(pieces, key=min)


def _piece(graph: Graph, piece: set[int], kind: str) -> NodeEdit:
    reads, readers = _ends(graph, piece)
    nodes = tuple(sorted(piece))
    if kind == "removed":
        return NodeEdit(kind, before=nodes, reads=reads, readers=readers)
    return NodeEdit(kind, after=nodes, reads=reads, readers=readers)


def _ends(graph: Graph, piece: set[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a piece reads, and what reads it."""
    reads = {source for node in piece for source in graph.nodes[node].inputs} - piece
    readers = {index for index, node in enumerate(graph.nodes) if index not in piece and piece & set(node.inputs)}
    return tuple(sorted(reads)), tuple(sorted(readers | ({OUTPUT} if graph.output in piece else set())))


def _rewired(
    a: Graph, b: Graph, first: int, second: int, pairs: Mapping[int, int], back: Mapping[int, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a node no longer reads, and what it reads now, unless an inserted or removed piece explains it."""
    ours, theirs = a.nodes[first].inputs, b.nodes[second].inputs
    lost, won = _direct(ours, theirs, a, b, pairs, back)
    ordered = not a.nodes[first].op.spec.commutative and len(ours) == len(theirs) > 1
    if not lost and not won and ordered:
        moved = [pair for pair in zip(ours, theirs, strict=True) if pair[0] in pairs and pair[1] in back]
        if any(pairs[mine] != other for mine, other in moved):  # the same inputs in another order
            return ours, theirs
    return lost, won


def _direct(
    ours: tuple[int, ...], theirs: tuple[int, ...], a: Graph, b: Graph, pairs: Mapping[int, int], back: Mapping[int, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    reached_a = _reached(a, ours, pairs.__contains__)
    reached_b = _reached(b, theirs, back.__contains__)
    lost = tuple(sorted(n for n in set(ours) if n in pairs and pairs[n] not in reached_b))
    won = tuple(sorted(n for n in set(theirs) if n in back and back[n] not in reached_a))
    return lost, won


def _reached(graph: Graph, nodes: Iterable[int], known: Callable[[int], bool]) -> set[int]:
    """The nearest nodes with a partner from some nodes upward, themselves included."""
    found, waiting = set(), list(nodes)
    while waiting:
        node = waiting.pop()
        if known(node):
            found.add(node)
        else:
            waiting += graph.nodes[node].inputs
    return found
