"""The canonical form: one graph for all the ways to write the same computation.

Rules, applied to each sub-block:
1. Identities vanish: identity, a sum, product or concatenation of one, a slice of everything, a pool of a pooled map, the
   concatenation of all slices of one map in order, and the slice of a concatenation that is one of its parts.
2. What comes before a zero vanishes: operations that keep zeros become a zero that reads the input; a sum drops its zeros, a
   product with a zero is a zero. A sub-block that is zero is absent, with its norm; a block with neither sub-block is absent,
   unless it is the first of its stage (which halves the resolution).
3. Equal operations without parameters or randomness are one node; unreachable nodes vanish.
4. Commutative inputs are sorted and nodes are numbered in the order of a depth-first walk from the output, so that isomorphic
   graphs become equal. Sorting is by colour refinement; where colours tie between nodes that are not twins, each is
   individualised in turn and the least text wins (McKay and Piperno, Practical graph isomorphism II, 2014).

The digest of an architecture is the SHA-256 of its canonical text.
"""

from __future__ import annotations

import hashlib
from fractions import Fraction
from itertools import pairwise

from uninas.errors import InputError
from uninas.graph import Architecture, Block, Graph, Node, Stage
from uninas.ops import INPUT, FeatureMap, Op, Type, op

_ADD, _MULTIPLY = op("add"), op("multiply")
_MASK64 = (1 << 64) - 1
_MULTIPLIER = 0x9E3779B97F4A7C15
_MAX_LEAVES = 4096  # of the individualisation tree: only adversarial graphs come near


class TooSymmetric(InputError):
    """A graph whose symmetries would take too long to sort out."""


def canonicalise(architecture: Architecture) -> Architecture:
    """The canonical form. Returns the same object when it is canonical already. Raises GraphError, TooSymmetric."""
    stages = []
    changed = False
    for stage in architecture.stages:
        blocks: list[Block] = []
        for block in stage.blocks:
            subblocks = tuple([None if graph is None else canonical_graph(graph, stage.width) for graph in block.subblocks])
            if all(new is old for new, old in zip(subblocks, block.subblocks, strict=True)):
                new_block = block
            else:
                new_block = Block(subblocks)
            if blocks and not any(subblocks):
                continue
            blocks.append(new_block)
        if len(blocks) == len(stage.blocks) and all(a is b for a, b in zip(blocks, stage.blocks, strict=True)):
            stages.append(stage)
        else:
            stages.append(Stage(stage.width, tuple(blocks)))
            changed = True
    return architecture.replace(stages=tuple(stages)) if changed else architecture


def canonical_text(architecture: Architecture) -> str:
    """The text that the digest is made of: complete, without names or formatting choices."""
    canonical = canonicalise(architecture)
    height, width = canonical.input_size
    parts = [f"uninas 1 in={canonical.in_channels} {height}x{width} stem={canonical.stem} classes={canonical.classes}"]
    for stage in canonical.stages:
        parts.append(f"stage {stage.width}")
        for block in stage.blocks:
            parts.append("block")
            parts += ["absent" if graph is None else graph.text for graph in block.subblocks]
    return "\n".join(parts)


def digest(architecture: Architecture) -> str:
    """SHA-256 of the canonical text."""
    return hashlib.sha256(canonical_text(architecture).encode()).hexdigest()


def canonical_graph(graph: Graph, width: int) -> Graph | None:
    """The canonical form of a sub-block's graph in a block of that width; None when it is zero.

    The result does not depend on the width, which only serves to infer types. Raises GraphError, TooSymmetric.
    """
    memo = graph.memo
    types = graph.types(width)  # asked for each width, since a graph may fit one and not another
    if "canonical" not in memo:
        nodes, output = _simplify(graph, types)
        if nodes[output].op.name == "zero":
            memo["canonical"] = None
        else:
            result = _order(nodes, output)
            # One object for one form: a canonical graph is its own canonical form.
            result = graph if result == graph else result
            result.memo["canonical"] = result
            memo["canonical"] = result
    found: Graph | None = memo["canonical"]
    return found


# --- rules 1 to 3 ---------------------------------------------------------------------------------------------------------


def _simplify(graph: Graph, types: tuple[Type, ...]) -> tuple[list[Node], int]:
    """Rules 1 to 3 in one pass; the result may hold unreachable nodes (rule 4's walk leaves them out)."""
    nodes: list[Node] = [Node(INPUT, ())]
    seen: dict[Node, int] = {}
    alias: list[int] = [0]  # stored index -> new index
    made: list[Type] = [types[0]]

    def emit(operation: Op, inputs: tuple[int, ...], type_: Type) -> int:
        node = Node(operation, inputs)
        if not operation.spec.instance:
            found = seen.get(node)
            if found is not None:
                return found
            seen[node] = len(nodes)
        nodes.append(node)
        made.append(type_)
        return len(nodes) - 1

    def zero_of(type_: Type) -> int:
        assert type(type_) is FeatureMap, "zeros are feature maps: keeps_zero operations only see feature maps"
        ratio = Fraction(type_.channels, types[0][0])
        return emit(op("zero", ratio=ratio, pooled=type_.pooled), (0,), type_)

    for index in range(1, len(graph.nodes)):
        operation, stored_inputs = graph.nodes[index]
        inputs = tuple([alias[i] for i in stored_inputs])
        name, spec = operation.name, operation.spec
        zeros = [nodes[i].op.name == "zero" for i in inputs]
        if name == "zero" or (any(zeros) and spec.keeps_zero and (all(zeros) or name == "multiply")):
            alias.append(zero_of(types[index]))
            continue
        if any(zeros) and name == "add":
            inputs = tuple([i for i, zero in zip(inputs, zeros, strict=True) if not zero])
        if len(inputs) == 1 and _is_identity(operation, made[inputs[0]]):
            alias.append(inputs[0])
            continue
        if name == "concat":
            whole = _all_slices_of(nodes, inputs)
            if whole is not None:
                alias.append(whole)
                continue
        elif name == "slice":
            part = _part_of_concat(nodes, made, inputs[0], operation)
            if part is not None:
                alias.append(part)
                continue
        alias.append(emit(operation, inputs, types[index]))
    return nodes, alias[graph.output]


def _is_identity(operation: Op, given: Type) -> bool:
    name = operation.name
    if name in ("identity", "add", "multiply", "concat"):
        return True
    if name == "slice":
        return bool(operation.values["count"] == 1)
    return name == "global_average_pool" and given.pooled


def _all_slices_of(nodes: list[Node], inputs: tuple[int, ...]) -> int | None:
    """The map of which `inputs` are all the slices in order, if they are."""
    source: int | None = None
    for position, i in enumerate(inputs):
        operation, feeds = nodes[i]
        if operation.name != "slice" or operation.values != {"index": position, "count": len(inputs)}:
            return None
        if source is not None and feeds[0] != source:
            return None
        source = feeds[0]
    return source


def _part_of_concat(nodes: list[Node], made: list[Type], source: int, operation: Op) -> int | None:
    """The input of the concatenation `source` that the slice takes, if it takes exactly one."""
    if nodes[source].op.name != "concat":
        return None
    wanted = made[source][0] // operation.values["count"]
    start = wanted * operation.values["index"]
    offset = 0
    for i in nodes[source].inputs:
        if offset == start and made[i][0] == wanted:
            return i
        offset += made[i][0]
    return None


# --- rule 4 ---------------------------------------------------------------------------------------------------------------


def _mix(start: int, values: list[int]) -> int:
    """A 64-bit hash of a sequence, the same on every platform and Python version."""
    h = start
    for value in values:
        h = ((h ^ value) * _MULTIPLIER) & _MASK64
        h ^= h >> 29
    return (h * 0xBF58476D1CE4E5B9 + 1) & _MASK64


def _upward(nodes: list[Node], base: list[int]) -> list[int]:
    """Colour of each node from its own base colour and those of all that feeds it."""
    colours: list[int] = []
    for i, (operation, inputs) in enumerate(nodes):
        values = [colours[j] for j in inputs]
        if operation.spec.commutative:
            values.sort()
        colours.append(_mix(base[i], values))
    return colours


def _downward(nodes: list[Node], live: list[bool], up: list[int], output: int) -> list[int]:
    """Colour of each node from all that reads it."""
    read_by: list[list[int]] = [[] for _ in nodes]
    read_by[output].append(1)
    colours = [0] * len(nodes)
    for i in range(len(nodes) - 1, -1, -1):
        if not live[i]:
            continue
        colours[i] = _mix(up[i], sorted(read_by[i]))
        commutative = nodes[i].op.spec.commutative
        for slot, j in enumerate(nodes[i].inputs):
            read_by[j].append(_mix(colours[i], [0 if commutative else slot + 1]))
    return colours


def _refine(nodes: list[Node], live: list[bool], output: int, base: list[int]) -> list[int]:
    """Colour refinement to the coarsest stable partition that is finer than `base`."""
    classes = 0
    colours = base
    while True:
        up = _upward(nodes, colours)
        colours = _downward(nodes, live, up, output)
        count = len({c for c, alive in zip(colours, live, strict=True) if alive})
        if count == classes:
            return colours
        classes = count


def _order(nodes: list[Node], output: int) -> Graph:
    base = [node.op.code for node in nodes]
    colours = _upward(nodes, base)
    walked, tie = _walk(nodes, output, colours)
    if tie is None:
        return walked
    live = [False] * len(nodes)
    live[output] = True
    for i in range(len(nodes) - 1, -1, -1):
        if live[i]:
            for j in nodes[i].inputs:
                live[j] = True
    return _Sorter(nodes, live, output).best(_refine(nodes, live, output, base))


def _walk(nodes: list[Node], output: int, colours: list[int]) -> tuple[Graph, list[int] | None]:
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
    return Graph(tuple(ordered), number[output]), tie


class _Sorter:
    """Search over the individualisations of tied nodes for the least graph."""

    def __init__(self, nodes: list[Node], live: list[bool], output: int) -> None:
        self.nodes, self.live, self.output = nodes, live, output
        self.leaves = 0
        self.readers: list[list[tuple[int, int]]] = [[] for _ in nodes]
        for i, node in enumerate(nodes):
            if live[i]:
                for slot, j in enumerate(node.inputs):
                    self.readers[j].append((i, -1 if node.op.spec.commutative else slot))

    def individualise(self, colours: list[int], node: int) -> list[int]:
        changed = list(colours)
        changed[node] = _mix(changed[node], [1])
        return _refine(self.nodes, self.live, self.output, changed)

    def twins(self, a: int, b: int) -> bool:
        """Whether swapping a and b is a symmetry: same operation, same inputs, same readers."""
        return (
            self.nodes[a].op is self.nodes[b].op
            and sorted(self.nodes[a].inputs) == sorted(self.nodes[b].inputs)
            and (self.nodes[a].inputs == self.nodes[b].inputs or self.nodes[a].op.spec.commutative)
            and sorted(self.readers[a]) == sorted(self.readers[b])
        )

    def greedy(self, colours: list[int]) -> Graph:
        """The leaf that takes the first of each tie."""
        while True:
            self.leaves += 1
            if self.leaves > _MAX_LEAVES:
                raise TooSymmetric(f"the graph of {len(self.nodes)} nodes has too many symmetries to be put in canonical form")
            graph, tie = _walk(self.nodes, self.output, colours)
            if tie is None:
                return graph
            colours = self.individualise(colours, tie[0])

    def best(self, colours: list[int]) -> Graph:
        """The least leaf below `colours`; a tied node whose greedy leaf equals the first's is its image and is not searched."""
        graph, tie = _walk(self.nodes, self.output, colours)
        if tie is None:
            return graph
        first = tie[0]
        below = self.individualise(colours, first)
        candidates = [self.best(below)]
        others = [node for node in tie[1:] if not self.twins(first, node)]
        if others:
            like_first = self.greedy(below)
            for node in others:
                below = self.individualise(colours, node)
                if self.greedy(below) != like_first:
                    candidates.append(self.best(below))
        return min(candidates, key=_key)


def _key(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    return [(node.op.text, node.inputs) for node in graph.nodes]
