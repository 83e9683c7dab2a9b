"""Which node of one graph is which of another: the alignment behind a comparison.

`align` looks for the pairing of least cost. A node without a partner costs 1; a pair of unequal operations costs less, the less
the more alike they are; an edge between paired nodes that only one of the graphs has costs EDGE. Three steps: nodes with a unique
equal past (all they are computed from) or future (all that is computed from them) are pairs; the rest is paired greedily by how
many neighbours agree; then single pairs are moved, swapped and dissolved as long as the cost sinks.

Guaranteed: the pairing is one to one, pairs input with input, and equal canonical graphs node by node. Where one piece was put on
an edge, taken out, or replaced, no node is both before and behind it, so each other node kept its past or its future, and is
found by it unless it has a twin of the same past and future. For more and larger changes, and among twins, the result is a local
optimum, with no bound on how far the least cost is away: the exact problem (graph edit distance) is NP-hard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from heapq import heappop, heappush

from uninas.graph import Graph
from uninas.ops import Op

EDGE = 0.3
_OUT = -1  # what reads a graph's output
_PASSES = 20  # of improvement; small changes settle in one or two


def align(a: Graph, b: Graph) -> dict[int, int]:
    """Map nodes of `a` to nodes of `b`, as far as they have a partner. See the head of this file for what is guaranteed."""
    if a == b:
        return {index: index for index in range(len(a.nodes))}
    search = _Search(_Side(a), _Side(b))
    search.anchor()
    search.grow()
    search.improve()
    return {first: second for first, second in search.pairs.items() if first != _OUT}


def pairing_cost(a: Graph, b: Graph, pairs: dict[int, int]) -> float:
    """Return what `align` minimises, for any pairing."""
    search = _Search(_Side(a), _Side(b))
    for first, second in pairs.items():
        search.pair(first, second)
    return search.cost()


class _Side:
    """A graph with its edges: (source, slot) of what a node reads and (reader, slot) of what reads it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.reads: list[Counter[tuple[int, int]]] = []
        self.readers: list[Counter[tuple[int, int]]] = [Counter() for _ in graph.nodes]
        for index, node in enumerate(graph.nodes):
            unordered = node.op.spec.commutative or node.op.name == "concat"
            self.reads.append(Counter((source, 0 if unordered else slot) for slot, source in enumerate(node.inputs)))
            for (source, slot), times in self.reads[-1].items():
                self.readers[source][index, slot] += times
        self.readers[graph.output][_OUT, 0] += 1
        self.past = self._pasts()
        self.future = self._futures()

    def op(self, index: int) -> Op:
        return self.graph.nodes[index].op

    def ends(self, index: int) -> tuple[Counter[tuple[int, int]], Counter[tuple[int, int]]]:
        """Return what a node reads, and what reads it; of the reader of the output, the output."""
        if index == _OUT:
            return Counter({(self.graph.output, 0): 1}), Counter()
        return self.reads[index], self.readers[index]

    def _pasts(self) -> list[Hashable]:
        found: list[Hashable] = []
        for node in self.graph.nodes:
            inputs: list[Hashable] = [found[source] for source in node.inputs]
            found.append(hash((node.op.code, tuple(sorted(inputs, key=hash)) if node.op.spec.commutative else tuple(inputs))))
        return found

    def _futures(self) -> list[Hashable]:
        found: list[Hashable] = [0] * len(self.graph.nodes)
        for index in range(len(self.graph.nodes) - 1, -1, -1):
            readers = [(_OUT if r == _OUT else found[r], slot, n) for (r, slot), n in self.readers[index].items()]
            found[index] = hash((self.op(index).code, tuple(sorted(map(hash, readers)))))
        return found


def unlikeness(one: Op, other: Op) -> float:
    """Return how unlike two operations are: 0 equal, 0.3 but for attributes, 0.6 of one family, 0.9 otherwise."""
    if one is other:
        return 0.0
    if one.name == other.name:
        return 0.3
    return 0.6 if one.spec.family == other.spec.family else 0.9


def _comparable(one: Op, other: Op) -> bool:
    """Whether one operation may be said to have become the other: both read one value, or both several."""
    return one is other or (one.name != "input" and other.name != "input" and (one.spec.arity == 1) == (other.spec.arity == 1))


class _Search:
    """A pairing that grows: `pairs` from a to b, `back` from b to a."""

    def __init__(self, a: _Side, b: _Side) -> None:
        self.a, self.b = a, b
        self.pairs: dict[int, int] = {_OUT: _OUT}
        self.back: dict[int, int] = {_OUT: _OUT}
        self.pair(0, 0)

    def pair(self, first: int, second: int) -> None:
        self.pairs[first], self.back[second] = second, first

    def part(self, first: int) -> None:
        del self.back[self.pairs.pop(first)]

    # --- first step

    def anchor(self) -> None:
        """Pair what is the only one with its past and future on both sides; then with its past; then with its future."""
        a, b = self.a, self.b
        keys: tuple[Callable[[_Side, int], Hashable], ...] = (
            lambda side, n: (side.past[n], side.future[n]),
            lambda side, n: side.past[n],
            lambda side, n: side.future[n],
        )
        for key in keys:
            ours = _unique(a, self.pairs, key)
            theirs = _unique(b, self.back, key)
            for value, first in ours.items():
                if value in theirs:
                    self.pair(first, theirs[value])

    # --- second step

    def grow(self) -> None:
        """Pair the two that agree most, again and again, until no neighbours of a pair agree enough."""
        waiting: list[tuple[tuple[float, ...], int, int]] = []

        def look_around(first: int) -> None:
            for one, other in self._neighbours(first):
                score = self._score(one, other)
                if score is not None:
                    heappush(waiting, (tuple(-value for value in score), one, other))

        for first in list(self.pairs):
            look_around(first)
        while waiting:
            negative, first, second = heappop(waiting)
            if first in self.pairs or second in self.back or self._score(first, second) is None:
                continue
            del negative  # a pair that agrees more by now has been put in once more
            self.pair(first, second)
            look_around(first)

    def _neighbours(self, first: int) -> Iterator[tuple[int, int]]:
        """Unpaired nodes that read, or are read by, a paired node and its partner in the same slot."""
        sides = (self.a.ends(first), self.b.ends(self.pairs[first]))
        for ours, theirs in zip(*sides, strict=True):
            for end, slot in ours:
                for other, place in theirs:
                    if slot == place and end not in self.pairs and other not in self.back:
                        yield end, other

    def _score(self, first: int, second: int) -> tuple[float, ...] | None:
        """How much speaks for a pair; None where they are not to be paired."""
        one, other = self.a.op(first), self.b.op(second)
        if not _comparable(one, other):
            return None
        reads = self._agreeing(self.a.reads[first], self.b.reads[second])
        readers = self._agreeing(self.a.readers[first], self.b.readers[second])
        agreeing = reads + readers
        if not agreeing:
            return None
        if one is not other and not (reads and readers):
            torn = self.a.readers[first] if reads else self.a.reads[first]
            facing = self.b.readers[second] if reads else self.b.reads[second]
            if self._settled(torn, self.pairs) or self._settled(facing, self.back):
                return None  # on the other side both stand beside nodes that are known, and these are not the same
        degree = max(
            self.a.reads[first].total() + self.a.readers[first].total(),
            self.b.reads[second].total() + self.b.readers[second].total(),
        )
        same = (self.a.past[first] == self.b.past[second]) + (self.a.future[first] == self.b.future[second])
        return (agreeing / degree - unlikeness(one, other), same, -abs(first - second))

    def _agreeing(self, ours: Counter[tuple[int, int]], theirs: Counter[tuple[int, int]]) -> int:
        return sum(min(n, theirs[self.pairs[end], slot]) for (end, slot), n in ours.items() if end in self.pairs)

    @staticmethod
    def _settled(edges: Counter[tuple[int, int]], known: dict[int, int]) -> bool:
        return bool(edges) and all(end in known for end, _ in edges)

    # --- third step

    def cost(self) -> float:
        """Return the cost of the pairing so far."""
        alone = len(self.a.graph.nodes) + len(self.b.graph.nodes) + 2 - 2 * len(self.pairs)
        unlike = sum(unlikeness(self.a.op(f), self.b.op(s)) for f, s in self.pairs.items() if f != _OUT)
        missing = 0
        for side, other, known in ((self.a, self.b, self.pairs), (self.b, self.a, self.back)):
            for index, readers in enumerate(side.readers):
                if index in known:
                    theirs = other.readers[known[index]]
                    missing += sum(max(n - theirs[known[r], slot], 0) for (r, slot), n in readers.items() if r in known)
        return alone + unlike + EDGE * missing

    def improve(self) -> None:
        """Try other partners for every node that has none, an unequal one, or an edge that its partner has not."""
        best = self.cost()
        for _ in range(_PASSES):
            before = best
            for first in self._doubtful():
                best = self._best_partner(first, best)
            if best >= before - 1e-9:
                return

    def _doubtful(self) -> list[int]:
        found = []
        for first in range(1, len(self.a.graph.nodes)):
            second = self.pairs.get(first)
            if second is None or self.a.op(first) is not self.b.op(second):
                found.append(first)
                continue
            ours, theirs = self.a.reads[first], self.b.reads[second]
            agreeing = self._agreeing(ours, theirs) + self._agreeing(self.a.readers[first], self.b.readers[second])
            if agreeing < max(ours.total() + self.a.readers[first].total(), theirs.total() + self.b.readers[second].total()):
                found.append(first)
        return found

    def _best_partner(self, first: int, best: float) -> float:
        """Give a node the partner that lowers the cost most, if any does; the node that had it takes this node's in exchange."""
        start, chosen = self.pairs.get(first), None
        for second in [None, *sorted(self._candidates(first))]:
            if second == start or (second is not None and not _comparable(self.a.op(first), self.b.op(second))):
                continue
            undo = self._exchange(first, second)
            cost = self.cost()
            undo()
            if cost < best - 1e-9:
                best, chosen = cost, (second,)
        if chosen is not None:
            self._exchange(first, chosen[0])
        return best

    def _candidates(self, first: int) -> set[int]:
        """Nodes of b that would agree with a node in one neighbour at least."""
        found = set()
        for ours, pick in zip(self.a.ends(first), (1, 0), strict=True):
            for end, slot in ours:
                if end in self.pairs:
                    found |= {other for other, place in self.b.ends(self.pairs[end])[pick] if place == slot}
        return found - {0, _OUT}

    def _exchange(self, first: int, second: int | None) -> Callable[[], None]:
        """Pair a node anew, or with nothing; returns what undoes it."""
        old = self.pairs.get(first)
        rival = self.back.get(second) if second is not None else None
        for node in (first, rival):
            if node is not None and node in self.pairs:
                self.part(node)
        if second is not None:
            self.pair(first, second)
        if rival is not None and old is not None and _comparable(self.a.op(rival), self.b.op(old)):
            self.pair(rival, old)

        def undo() -> None:
            for node in (first, rival):
                if node is not None and node in self.pairs:
                    self.part(node)
            if old is not None:
                self.pair(first, old)
            if rival is not None and second is not None:
                self.pair(rival, second)

        return undo


def _unique(side: _Side, known: dict[int, int], key: Callable[[_Side, int], Hashable]) -> dict[Hashable, int]:
    """Key -> node, of the keys that one node alone has among those without a partner."""
    nodes = [node for node in range(len(side.graph.nodes)) if node not in known]
    keys = [key(side, node) for node in nodes]
    counts = Counter(keys)
    return {value: node for value, node in zip(keys, nodes, strict=True) if counts[value] == 1}
