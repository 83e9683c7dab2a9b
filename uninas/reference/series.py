"""From a graph to the reference's tree: a series of nodes, each with series of its own inside.

A graph is read from its output upwards. A node X dominates a node N where every path from the input to N passes through X; the
dominators of a node are a chain. What the reference writes as one node begins at a dominator of its last operation:

- leaf: its input;
- expansion (or global average): the nearest dominator that the last convolution (or broadcast) undoes;
- sum and gate: the nearest dominator of all branches that has their type;
- chunk/concat: the nearest map whose pieces dominate the branches;
- attention: the map before the convolution to q, k and v, whose pieces dominate all that its heads read.

What has no parameters may stand in several branches: reading the file makes one node of it again. What has parameters must
stand once, and that is what makes a graph series-parallel here.

Where that fails, slices that the canonical form has left out are put back (`uninas.reference.pieces`).

Zeros are read in two ways. An imported file has dead operations before a zero, which stay where they are. A canonical form has
none: there a zero is a constant, which may stand anywhere, and where a constant lacks the beginning of an expansion, of an
average or of an attention, the reference gets a layer that it never looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

from uninas.errors import InputError
from uninas.graph import Graph, Node
from uninas.ops import AttentionMap, Op, Type, op
from uninas.reference.classes import CLASS_OF, HEAD_DIM, HEADS, MOST_BRANCHES, Part, sequence, treats_each_channel
from uninas.reference.dominators import Dominators
from uninas.reference.pieces import with_pieces

_MOST_STEPS = 20_000  # nodes written, and tried without success
_QKV = op("conv", kernel=1, ratio=3)


class Unsayable(InputError):
    """A graph that the reference cannot express; `node` is where, None for the whole of it."""

    def __init__(self, message: str, node: int | None = None) -> None:
        super().__init__(message)
        self.node = node


class _TooLong(Unsayable):
    """A graph for which another attempt would not help either."""


def tree_of(graph: Graph, types: tuple[Type, ...], *, any_heads: bool = False) -> Part:
    """Return the reference's SequentialModule that computes the graph. Raises Unsayable.

    `any_heads`: also of another number of heads than the reference's attention may have.
    """
    fault = Unsayable("nested too deeply")
    try:
        for parser, old in _readings(graph, types, any_heads):
            try:
                made = parser.whole()
            except _TooLong:
                raise
            except Unsayable as error:
                fault = fault if old else error  # of the graph as it is
            else:
                return _renumbered(made, old) if old else made
    except RecursionError:
        pass
    raise fault


def _readings(graph: Graph, types: tuple[Type, ...], any_heads: bool) -> Iterator[tuple[_Parser, list[int]]]:
    """Ways to read a graph, and the old number of each node where it is renumbered."""
    yield _Parser(graph, types, any_heads=any_heads), []
    if any(node.op.name == "zero" for node in graph.nodes):
        for prefer in (1, -1):
            yield _Parser(graph, types, any_heads=any_heads, constants=True, prefer=prefer), []
    for inner_first in (True, False):
        sliced = with_pieces(graph, types, inner_first=inner_first)
        if sliced is not None:
            yield _Parser(*sliced[:2], any_heads=any_heads, constants=True), sliced[2]


def _renumbered(part: Part, old: list[int]) -> Part:
    """A tree whose nodes have their old numbers."""
    opens, closes = [None if node is None else old[node] for node in (part.opens, part.closes)]
    return replace(part, opens=opens, closes=closes, inner=tuple([_renumbered(inner, old) for inner in part.inner]))


def layers_of(part: Part) -> Iterator[int]:
    """Return our nodes that a tree names, each as often as it stands there."""
    yield from (node for node in (part.opens, part.closes) if node is not None)
    for inner in part.inner:
        yield from layers_of(inner)


def _alike(one: Type, other: Type) -> bool:
    return one == other and type(one) is type(other)


class _Parser:
    def __init__(
        self, graph: Graph, types: tuple[Type, ...], *, any_heads: bool, constants: bool = False, prefer: int = 1
    ) -> None:
        self.nodes, self.output, self.types = graph.nodes, graph.output, types
        self.any_heads = any_heads
        self.steps_left = _MOST_STEPS
        self.heads_as_one = False  # whether a map that is read stands for those of all heads, of one channel each
        self.dominators = Dominators(graph.nodes, constants=constants, prefer=prefer)

    def whole(self) -> Part:
        """Return the tree, in which everything that costs anything stands once."""
        made = self.series(self.output, 0)
        times = [0] * len(self.nodes)
        for node in layers_of(made):
            times[node] += 1
        reached = [False] * len(self.nodes)
        reached[self.output] = True
        for index in range(len(self.nodes) - 1, 0, -1):
            if reached[index]:
                for i in self.dominators.inputs(index):
                    reached[i] = True
            spec = self.nodes[index].op.spec
            if not reached[index] and (spec.parameters or spec.macs):
                raise Unsayable("it leads nowhere; its canonical form would be without it", index)
            if times[index] > 1:
                raise Unsayable(
                    f"it would stand in {times[index]} branches, each with weights of its own; needed: a series-parallel graph",
                    index,
                )
        return made

    def series(self, node: int, start: int) -> Part:
        """Parse what computes `node` from its dominator `start`, whose type it has; of a constant from anything."""
        type_ = self.types[node]
        parts: list[Part] = []
        while node not in (start, -1):
            self.steps_left -= 1
            if self.steps_left < 0:
                raise _TooLong(f"more than {_MOST_STEPS} nodes would have to be written; needed: a series-parallel graph")
            part, node = self.step(node, start)
            parts.append(part)
        return sequence(type_, tuple(reversed(parts)))

    def step(self, node: int, start: int) -> tuple[Part, int]:
        """Return the last part of a series that ends at `node`, and the node that it reads (-1: it may read anything)."""
        operation, inputs = self.nodes[node]
        made, name = self.types[node], operation.name
        if self.dominators.is_zero(node):
            return Part("Zero", made), -1
        kind = CLASS_OF.get(operation)
        if kind == "RelPosBias" and made[0] > 1 and operation.values.get("shared") is self.heads_as_one:
            raise Unsayable("a map has one table, whatever its channels, and each head has a map", node)
        if kind is not None:
            return Part(kind, made, opens=node if operation.spec.instance else None), inputs[0]
        if len(inputs) == 1 and self.is_identity(node):
            return Part("Identity", made), inputs[0]
        if name == "conv" and operation.values["ratio"] != 1 and operation is _dense(operation.values["ratio"]):
            return self.expansion(node, start)
        rule = self.RULES.get(name)
        if rule is None:
            raise Unsayable(_WITHOUT.get(name, "the reference has no such operation"), node)
        return rule(self, node, start)

    def is_identity(self, node: int) -> bool:
        operation, inputs = self.nodes[node]
        if operation.name == "slice":
            return bool(operation.values["count"] == 1)
        if operation.name == "global_average_pool":
            return self.types[inputs[0]].pooled
        return operation.name in ("add", "multiply", "concat")

    # --- around a series --------------------------------------------------------------------------------------------------

    def around(self, node: int, start: int, opens: Callable[[Node], bool]) -> tuple[int, int, Part]:
        """Return (first node, what it reads, what is inside) of a part that ends at `node`; (-1, -1, ...) before a constant."""
        (last,) = self.nodes[node].inputs
        for first in self.dominators.upwards(last, start):
            if opens(self.nodes[first]) and _alike(self.types[self.nodes[first].inputs[0]], self.types[node]):
                return first, self.nodes[first].inputs[0], self.series(last, first)
        if self.dominators.constant(last):
            return -1, -1, self.series(last, -1)
        raise Unsayable("nothing before it, on all paths, begins what it ends", node)

    def expansion(self, node: int, start: int) -> tuple[Part, int]:
        ratio: Fraction = self.nodes[node].op.values["ratio"]
        factor = max(ratio, 1 / ratio)
        if factor.denominator != 1:
            raise Unsayable("channels are multiplied or divided by whole numbers", node)
        opening = _dense(1 / ratio)
        first, read, inside = self.around(node, start, lambda before: before.op is opening)
        kind = "ExpandAndReduce" if ratio < 1 else "ReduceAndExpand"
        opens = None if first < 0 else first
        return Part(kind, self.types[node], (inside,), opens, node, factor=int(factor)), read

    def average(self, node: int, start: int) -> tuple[Part, int]:
        _, read, inside = self.around(node, start, lambda before: before.op.name == "global_average_pool")
        return Part("AvgAndUpsample", self.types[node], (inside,)), read

    # --- forks ------------------------------------------------------------------------------------------------------------

    def fork(self, node: int, start: int, ends: Sequence[int], merge: str) -> tuple[Part, int]:
        """Parse branches that copy one map."""
        moving = self.dominators.moving(ends)
        read = self.dominators.meet(moving)
        while read not in (start, -1) and not _alike(self.types[read], self.types[node]):
            read = self.dominators.above[read]
        if -1 < read < start:
            raise Unsayable("one of its inputs comes from before the branches that it ends", node)
        branches = tuple([self.series(end, read if end in moving else -1) for end in ends])
        return Part("ForkMerge", self.types[node], branches, merge=merge), read

    def add(self, node: int, start: int) -> tuple[Part, int]:
        inputs = self.nodes[node].inputs
        if len(inputs) > MOST_BRANCHES:
            raise Unsayable(f"a sum has at most {MOST_BRANCHES} branches, here {len(inputs)}", node)
        return self.fork(node, start, inputs, "add")

    def multiply(self, node: int, start: int) -> tuple[Part, int]:
        inputs = self.nodes[node].inputs
        pairs = [inputs, inputs[::-1]] if len(inputs) == 2 else []
        ways = [(one, self.nodes[other].inputs[0]) for one, other in pairs if self.nodes[other].op.name == "sigmoid"]
        if not ways:
            raise Unsayable("a product is of one map and the sigmoid of another; needed: a sigmoid right before it", node)
        try:
            return self.fork(node, start, ways[0], "multiply")
        except Unsayable:
            if len(ways) == 1:
                raise
        return self.fork(node, start, ways[1], "multiply")

    def concat(self, node: int, start: int) -> tuple[Part, int]:
        inputs, made = self.nodes[node].inputs, self.types[node]
        if len({self.types[i][0] for i in inputs}) != 1:
            raise Unsayable("what is concatenated has equal channels", node)
        if len(inputs) > MOST_BRANCHES and len(inputs) * HEAD_DIM != made[0]:
            raise Unsayable(
                f"at most {MOST_BRANCHES} pieces are concatenated, or heads of {HEAD_DIM} channels, here {len(inputs)}", node
            )
        if len(inputs) > MOST_BRANCHES:
            return self.heads(node, start)
        try:
            return self.chunk(node, start)
        except Unsayable:
            if len(inputs) * HEAD_DIM != made[0] or not any(self.attends(i, start) for i in inputs):
                raise
        return self.heads(node, start)

    def attends(self, node: int, start: int) -> bool:
        return any(self.nodes[d].op.name == "matmul_av" for d in self.dominators.upwards(node, start))

    def chunk(self, node: int, start: int) -> tuple[Part, int]:
        """Parse branches that each read a piece of one map."""
        inputs, made = self.nodes[node].inputs, self.types[node]
        begins: list[dict[int, int]] = []  # of each branch: map -> its piece that dominates the branch
        for index, end in enumerate(inputs):
            piece = op("slice", index=index, count=len(inputs))
            begins.append({self.nodes[d].inputs[0]: d for d in self.dominators.upwards(end, start) if self.nodes[d].op is piece})
        moving = [set(begin) for end, begin in zip(inputs, begins, strict=True) if not self.dominators.constant(end)]
        fitting = set.intersection(*moving) if moving else {-1}.union(*begins)
        fault = Unsayable("its inputs are not the pieces of one map of its channels, in order, each on a path of its own", node)
        for read in sorted((i for i in fitting if i < 0 or _alike(self.types[i], made)), reverse=True):
            try:
                branches = [self.series(end, begin.get(read, -1)) for end, begin in zip(inputs, begins, strict=True)]
            except Unsayable as error:
                fault = error
            else:
                return Part("ForkMerge", made, tuple(branches), merge="concat"), read
        raise fault

    # --- attention --------------------------------------------------------------------------------------------------------

    def heads(self, node: int, start: int) -> tuple[Part, int]:
        """Parse attention head by head: pieces of 32 channels, each head's results concatenated."""
        inputs, made = self.nodes[node].inputs, self.types[node]
        count = self.counted(node, len(inputs))
        pieces: list[Part] = []
        maps: list[Part] = []
        results: list[Part] = []
        source = -1
        for head, end in enumerate(inputs):
            product = next((d for d in self.dominators.upwards(end, start) if self.nodes[d].op.name == "matmul_av"), None)
            if product is None and not self.dominators.constant(end):
                raise Unsayable(f"what is concatenated as head {head + 1} is no attention", node)
            if product is None:
                piece = sequence(self.types[end])
                pieces, maps = [*pieces, piece, piece, piece], [*maps, sequence(AttentionMap(1, made.pooled))]
                results.append(self.series(end, -1))
                continue
            found, scored, source = self.products(product, start, (3 * head, 3 * count), source)
            pieces, maps, results = [*pieces, *found], [*maps, scored], [*results, self.series(end, product)]
        inside = (*pieces, *maps, *results)
        return Part("ForkMergeAttention", made, inside, self.known(source), heads=count), self.before(source)

    def fused(self, node: int, start: int) -> tuple[Part, int]:
        """Parse attention of all heads at once; on each head it does the same."""
        made = self.types[node]
        count = self.counted(node, self.types[self.nodes[node].inputs[0]][0])
        self.heads_as_one = True
        try:
            pieces, scored, source = self.products(node, start, (0, 3), -1)
        finally:
            self.heads_as_one = False
        inside = (*pieces, scored, sequence(made))
        for part in inside:
            self.check_each_channel(part, node)
        return Part("ForkMergeAttention", made, inside, self.known(source), heads=count, fused=True), self.before(source)

    def known(self, source: int) -> int | None:
        return None if source < 0 else source

    def before(self, source: int) -> int:
        return -1 if source < 0 else self.nodes[source].inputs[0]

    def counted(self, node: int, count: int) -> int:
        channels = self.types[node][0]
        if channels != count * HEAD_DIM or not (self.any_heads or count in HEADS):
            raise Unsayable(
                f"attention has {', '.join(map(str, HEADS[:-1]))} or {HEADS[-1]} heads of {HEAD_DIM} channels, "
                f"here {count} of {Fraction(channels, count)}",
                node,
            )
        return count

    def products(self, node: int, start: int, piece: tuple[int, int], source: int) -> tuple[list[Part], Part, int]:
        """Return query, key, value and map of the product `node`, and the convolution whose pieces they are.

        `piece`: number of the query's piece, and how many there are; `source`: the convolution, where it is known.
        """
        scores, value = self.nodes[node].inputs
        query_key = next((d for d in self.dominators.upwards(scores, start) if self.nodes[d].op.name == "matmul_qk"), None)
        if query_key is None and self.dominators.constant(scores):  # of a map of zeros, whatever query and key are
            any_piece = sequence(self.types[value])
            found, source = self.taken(node, start, {"value": value}, piece, source)
            return [any_piece, any_piece, *found], self.series(scores, -1), source
        if query_key is None:
            raise Unsayable("its map does not come from one product of a query and a key", node)
        if self.nodes[query_key].op is not op("matmul_qk", head_dim=HEAD_DIM):
            raise Unsayable(f"attention is over all pixels, with heads of {HEAD_DIM} channels", query_key)
        query, key = self.nodes[query_key].inputs
        found, source = self.taken(node, start, {"query": query, "key": key, "value": value}, piece, source)
        return found, self.series(scores, query_key), source

    def taken(self, node: int, start: int, ends: dict[str, int], piece: tuple[int, int], source: int) -> tuple[list[Part], int]:
        """Return what leads from a piece of the convolution to each of `ends`, which `node` reads; the convolution."""
        found: list[Part] = []
        for role, end in ends.items():
            number, count = piece[0] + ("query", "key", "value").index(role), piece[1]
            wanted = op("slice", index=number, count=count)
            at = next((d for d in self.dominators.upwards(end, start) if self.nodes[d].op is wanted), None)
            if at is None and self.dominators.constant(end):
                found.append(self.series(end, -1))
                continue
            read = -1 if at is None else self.nodes[at].inputs[0]
            if at is None or self.nodes[read].op is not _QKV or source not in (-1, read):
                raise Unsayable(f"its {role} is not made of piece {number + 1} of {count} of the one {_QKV.text} before it", node)
            source = read
            found.append(self.series(end, at))
        return found, source

    def check_each_channel(self, part: Part, node: int) -> None:
        if not treats_each_channel(part):
            raise Unsayable(
                f"{part.kind} on all heads at once is none on each; needed: operations that treat each channel by itself",
                node if part.opens is None else part.opens,
            )
        for inner in part.inner:
            self.check_each_channel(inner, node)

    RULES: ClassVar[dict[str, Callable[[_Parser, int, int], tuple[Part, int]]]] = {
        "broadcast": average,
        "add": add,
        "multiply": multiply,
        "concat": concat,
        "matmul_av": fused,
    }
    """What ends a part with series inside -> what reads it."""


def _dense(ratio: Fraction | int) -> Op:
    return op("conv", kernel=1, ratio=ratio)


_WITHOUT = {
    "slice": "a piece of the channels is only used within chunk/concat and attention",
    "global_average_pool": "a global average is only used with a broadcast behind it on all paths",
    "matmul_qk": "scores are only used for a map that is applied to values",
}
"""Operations that are no part by themselves -> what would make them one."""

__all__ = ["Unsayable", "tree_of"]
