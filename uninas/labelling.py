r"""Rule 4 of the canonical form: one numbering for all isomorphic graphs.

Nodes are numbered in the order of a depth-first walk from the output, in which the inputs of commutative nodes are sorted by
colour. Colours are hashes of the operations alone where that settles every order, else they come from colour refinement. Where
colours still tie, tied nodes are individualised one after the other, and the least graph among all leaves of that search wins.
Leaves that coincide give symmetries, and what a symmetry maps onto a subtree already searched is not searched again (McKay and
Piperno, Practical graph isomorphism II, 2014). Equal branches (`uninas.branches`) are symmetries that need no search. The work is
bounded: past the bound the graph is rejected, never numbered arbitrarily, and however it is written: the search begins with the
nodes in the order of one of its leaves, which is the same for all ways to write the graph, as far as its nodes can be told apart.

The same computation, written in two ways. The colours of ReLU and GELU differ, so one walk is enough, and no search is needed:

    >>> from uninas.text import parse_graph
    >>> one = parse_graph("%1 = gelu %0\n%2 = relu %0\n%3 = add %1 %2\nreturn %3")
    >>> other = parse_graph("%1 = relu %0\n%2 = gelu %0\n%3 = add %1 %2\nreturn %3")
    >>> numbered(list(one.nodes), one.output) == numbered(list(other.nodes), other.output)
    True
    >>> graph, work = numbered(list(one.nodes), one.output)
    >>> print(graph.text, work, sep="\n")
    %1 = relu %0
    %2 = gelu %0
    %3 = add %1 %2
    return %3
    0

Three equal norms have three weights. The two that are multiplied tie, and either may come first: the search finds that a symmetry
swaps them, so that one of the two orders is enough:

    >>> three = parse_graph(
    ...     "%1 = batch_norm %0\n%2 = batch_norm %0\n%3 = batch_norm %0\n%4 = multiply %3 %1\n%5 = add %4 %2\nreturn %5"
    ... )
    >>> graph, work = numbered(list(three.nodes), three.output)
    >>> print(graph.text)
    %1 = batch_norm %0
    %2 = batch_norm %0
    %3 = multiply %1 %2
    %4 = batch_norm %0
    %5 = add %3 %4
    return %5
    >>> 0 < work < MOST_WORK
    True
"""

from __future__ import annotations

from itertools import pairwise

from uninas.branches import Branch, branches_of
from uninas.errors import InputError
from uninas.graph import Graph, Node

_MASK64 = (1 << 64) - 1
_MULTIPLIER = 0x9E3779B97F4A7C15
MOST_WORK = 300_000
"""Nodes and edges visited: about half a second, which only adversarial graphs need."""

_WAY_ON = "join equal operations into one, such as a grouped convolution, or let them differ"

_MOST_ROUNDS = 10  # that even the largest graph may have
_DEEPEST = 100  # siblings without a symmetry, nested


class TooSymmetric(InputError):
    """A graph whose symmetries would take too long to resolve; says where the graph is, from outside to inside."""

    def __init__(self, reason: str, places: tuple[str, ...] = (), source: str = "") -> None:
        super().__init__(": ".join(filter(None, (source, ", ".join(places), reason))))
        self.reason, self.places, self.source = reason, places, source

    def within(self, place: str) -> TooSymmetric:
        """Return the error of what has the graph at that place."""
        return TooSymmetric(self.reason, (place, *self.places), self.source)

    def of(self, source: str) -> TooSymmetric:
        """Return the error of a network that was read from that file."""
        return TooSymmetric(self.reason, self.places, source)


def numbered(nodes: list[Node], output: int) -> tuple[Graph, int]:
    """Return the graph of the nodes that `output` needs, numbered canonically, and the work of the search, 0 without one.

    Raises TooSymmetric.
    """
    graph, _, tie = _walk(nodes, output, _upward(nodes, [node.op.code for node in nodes]))
    if tie is None:
        return graph, 0
    search = _Search(_Search(graph).any_leaf())
    return search.run(), search.most_work - search.work_left


# --- colours --------------------------------------------------------------------------------------------------------------


def _mix(start: int, values: list[int]) -> int:
    """Hash a sequence to 64 bits, the same on every platform and Python version."""
    h = start
    for value in values:
        h = ((h ^ value) * _MULTIPLIER) & _MASK64
        h ^= h >> 29
    return (h * 0xBF58476D1CE4E5B9 + 1) & _MASK64


def _upward(nodes: list[Node], base: list[int]) -> list[int]:
    """Colour each node by its own base colour and those of all that feeds it."""
    colours: list[int] = []
    for i, (operation, inputs) in enumerate(nodes):
        values = [colours[j] for j in inputs]
        if operation.spec.commutative:
            values.sort()
        colours.append(_mix(base[i], values))
    return colours


def _downward(nodes: list[Node], up: list[int], output: int) -> list[int]:
    """Colour each node by all that reads it."""
    read_by: list[list[int]] = [[] for _ in nodes]
    read_by[output].append(1)
    colours = [0] * len(nodes)
    for i in range(len(nodes) - 1, -1, -1):
        colours[i] = _mix(up[i], sorted(read_by[i]))
        commutative = nodes[i].op.spec.commutative
        for slot, j in enumerate(nodes[i].inputs):
            read_by[j].append(_mix(colours[i], [0 if commutative else slot + 1]))
    return colours


# --- the walk -------------------------------------------------------------------------------------------------------------

_Order = tuple[int, ...]
"""The nodes in the order of their new numbers."""


def _walk(nodes: list[Node], output: int, colours: list[int]) -> tuple[Graph, _Order, list[int] | None]:
    """Number nodes depth-first from the output, commutative inputs by colour; and the first tie met, if any.

    A tie is two different inputs of one commutative node with one colour: then the numbering is arbitrary. The walk keeps its
    own stack: graphs may be deeper than Python's.
    """
    number: dict[int, int] = {0: 0}
    ordered: list[Node] = [nodes[0]]
    sorted_inputs: dict[int, tuple[int, ...]] = {}
    tie: list[int] | None = None
    stack = [output]
    while stack:
        i = stack[-1]
        if i in number:
            stack.pop()
            continue
        inputs = sorted_inputs.get(i)
        if inputs is None:
            operation, inputs = nodes[i]
            if operation.spec.commutative:
                inputs = tuple(sorted(inputs, key=lambda j: (colours[j], j)))
                if tie is None:
                    for a, b in pairwise(inputs):
                        if a != b and colours[a] == colours[b]:
                            tie = sorted({j for j in inputs if colours[j] == colours[a]})
                            break
            sorted_inputs[i] = inputs
            waiting = [j for j in inputs if j not in number]
            if waiting:
                stack.extend(reversed(waiting))
                continue
        stack.pop()
        number[i] = len(ordered)
        ordered.append(Node(nodes[i].op, tuple([number[j] for j in inputs])))
    return Graph(tuple(ordered), number[output]), tuple(number), tie


# --- the search -----------------------------------------------------------------------------------------------------------


class _Search:
    """Individualisation and refinement over the tied nodes of a graph without unneeded nodes."""

    def __init__(self, graph: Graph) -> None:
        self.nodes, self.output = list(graph.nodes), graph.output
        self.round = len(self.nodes) + sum(len(node.inputs) for node in self.nodes)
        self.most_work = self.work_left = max(MOST_WORK, _MOST_ROUNDS * self.round)
        self.symmetries: list[dict[int, int]] = []  # of each the nodes that it moves
        self.readers: list[list[tuple[int, int]]] = [[] for _ in self.nodes]
        for i in range(len(self.nodes) - 1, -1, -1):
            for slot, j in enumerate(self.nodes[i].inputs):
                self.readers[j].append((i, -1 if self.nodes[i].op.spec.commutative else slot))
        self.base = [node.op.code for node in self.nodes]
        self.begin(branches_of(graph))

    def begin(self, equal: list[tuple[Branch, ...]]) -> None:
        """Take note of equal branches.

        Few of them are set apart one after the other, as all tied nodes are, so that the search is spared their symmetries and
        finds the leaf that it would find without. Without, it goes down along every tie, and from every tie along another one
        of its nodes. Where that alone is beyond the bound, all branches are set apart at once, in any order.
        """
        ties = sum(len(group) - 1 for group in equal if len(group[0]) > 1)  # branches of one node are twins
        at_least = 3 * ties * (ties + 3) // 2  # rounds: two of each refinement, one of each walk
        if at_least > _MOST_ROUNDS and at_least * self.round > MOST_WORK:
            for group in equal:
                for mark, branch in enumerate(group, 1):
                    self.base[branch[0]] = _mix(self.base[branch[0]], [mark])
            return
        for group in equal:
            if len(group[0]) > 1:
                swaps = [zip((*one, *other), (*other, *one), strict=True) for one, other in pairwise(group)]
                self.symmetries += map(dict, swaps)

    def run(self) -> Graph:
        """Return the least leaf."""
        return self.best(self.refine(self.base), (), 0)

    def any_leaf(self) -> Graph:
        """Return a leaf that all ways to write the graph share, as far as a look at the nodes of a tie tells them apart.

        Of those that no known symmetry makes of one another the one is taken whose refined colours are the least.
        """
        colours, fixed = self.refine(self.base), tuple[int, ...]()
        looks = 2 * MOST_WORK // self.round  # at nodes of ties, in rounds
        while True:
            graph, _, tie = self.walk(colours)
            if tie is None:
                return graph
            different, chosen = self.different(tie, fixed, looks), tie[0]
            if 1 < len(different) <= looks:
                rounds = min(3, looks // len(different))
                looks -= rounds * len(different)
                traces = [self.trace(colours, node, rounds) for node in different]
                chosen = different[traces.index(min(traces))]
            colours, apart = self.individualise(colours, tie, chosen)
            fixed = (*fixed, *apart)

    def trace(self, colours: list[int], node: int, rounds: int) -> list[int]:
        """Return the colours of all nodes, sorted, some rounds after a node is set apart."""
        colours = list(colours)
        colours[node] = _mix(colours[node], [1])
        for _ in range(rounds):
            colours = _downward(self.nodes, _upward(self.nodes, colours), self.output)
        return sorted(colours)

    def different(self, tie: list[int], fixed: tuple[int, ...], most: int) -> list[int]:
        """Return nodes of a tie of which no known symmetry makes another one; of more than `most` some."""
        found: list[int] = []
        for node in tie:
            if len(found) <= most and node not in self.images(found, fixed) and not any(self.twins(node, one) for one in found):
                found.append(node)
        return found

    def spend(self) -> None:
        self.work_left -= self.round
        if self.work_left < 0:
            raise TooSymmetric(
                f"the graph of {len(self.nodes)} nodes has too many symmetries to be put in canonical form: {_WAY_ON}"
            )

    def refine(self, base: list[int]) -> list[int]:
        """Colour refinement to the coarsest stable partition that is finer than `base`."""
        classes = 0
        colours = base
        while True:
            self.spend()
            colours = _downward(self.nodes, _upward(self.nodes, colours), self.output)
            count = len(set(colours))
            if count <= classes:
                return colours
            classes = count

    def walk(self, colours: list[int]) -> tuple[Graph, _Order, list[int] | None]:
        self.spend()
        return _walk(self.nodes, self.output, colours)

    def twins(self, a: int, b: int) -> bool:
        """Return whether swapping a and b is a symmetry: same operation, same inputs, same readers."""
        one, other = self.nodes[a], self.nodes[b]
        return (
            one.op is other.op
            and (one.inputs == other.inputs or (one.op.spec.commutative and sorted(one.inputs) == sorted(other.inputs)))
            and sorted(self.readers[a]) == sorted(self.readers[b])
        )

    def individualise(self, colours: list[int], tie: list[int], chosen: int) -> tuple[list[int], tuple[int, ...]]:
        """Return colours that tell `chosen` from the rest of its tie, and the nodes set apart.

        Twins of the chosen node go with it, in any order, since every order of twins is the image of every other.
        """
        apart = (chosen, *[node for node in tie if node != chosen and self.twins(chosen, node)])
        changed = list(colours)
        for mark, node in enumerate(apart, 1):
            changed[node] = _mix(changed[node], [mark])
        return self.refine(changed), apart

    def leaf(self, colours: list[int]) -> tuple[Graph, _Order]:
        """Return the leaf that takes the first of each tie."""
        while True:
            graph, order, tie = self.walk(colours)
            if tie is None:
                return graph, order
            colours, _ = self.individualise(colours, tie, tie[0])

    def best(self, colours: list[int], fixed: tuple[int, ...], depth: int) -> Graph:
        """Return the least leaf below `colours`, in which the nodes `fixed` have been set apart.

        Goes down along the first of each tie, then looks at that tie's other nodes from the deepest tie up, so that the
        symmetries found below are known above.
        """
        if depth > _DEEPEST:
            raise TooSymmetric(f"the graph of {len(self.nodes)} nodes nests too many ties to be put in canonical form: {_WAY_ON}")
        levels: list[tuple[list[int], list[int], tuple[int, ...], tuple[int, ...]]] = []
        while True:
            graph, order, tie = self.walk(colours)
            if tie is None:
                break
            below, apart = self.individualise(colours, tie, tie[0])
            levels.append((colours, tie, fixed, apart))
            colours, fixed = below, (*fixed, *apart)
        least, least_key = graph, _key(graph)
        for colours, tie, fixed, apart in reversed(levels):
            explored = [(tie[0], graph, order)]
            met = set(apart)
            for node in tie[1:]:
                if node in met or node in self.images([n for n, _, _ in explored], fixed):
                    continue
                below, apart = self.individualise(colours, tie, node)
                met.update(apart)
                found, found_order = self.leaf(below)
                if any(self.symmetric(one, node, fixed, found_order, known) for one, leaf, known in explored if leaf == found):
                    continue
                explored.append((node, found, found_order))
                candidate = self.best(below, (*fixed, *apart), depth + 1)
                key = _key(candidate)
                if key < least_key:
                    least, least_key = candidate, key
        return least

    def symmetric(self, one: int, other: int, fixed: tuple[int, ...], order: _Order, known: _Order) -> bool:
        """Return whether two equal leaves show a symmetry that takes `one` to `other` and fixes `fixed`; keep it if so."""
        symmetry = dict(zip(known, order, strict=True))
        if symmetry[one] != other or any(symmetry[node] != node for node in fixed):
            return False
        self.symmetries.append(symmetry)
        return True

    def images(self, seeds: list[int], fixed: tuple[int, ...]) -> set[int]:
        """Return all nodes that the known symmetries, as far as they leave the fixed nodes in place, make of the seeds."""
        useful = [s for s in self.symmetries if all(s.get(node, node) == node for node in fixed)]
        reached = set(seeds)
        waiting = list(seeds)
        while waiting:
            node = waiting.pop()
            for symmetry in useful:
                image = symmetry.get(node, node)
                if image not in reached:
                    reached.add(image)
                    waiting.append(image)
        return reached


def _key(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    return [(node.op.text, node.inputs) for node in graph.nodes]
