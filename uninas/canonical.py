r"""The canonical form: one graph for all the ways to write the same computation.

Rules, applied to each sub-block and to each graph of the frame (stem, transitions, head):
1. Identities vanish: identity, a sum, product or concatenation of one, a slice of everything, a pool of a pooled map, the
   concatenation of all slices of one map in order, and the slice of a concatenation that is one of its parts.
2. What comes before a zero vanishes: operations that keep zeros (a convolution without bias is one) become a zero that reads
   the input; a sum drops its zeros; a product with a zero is a zero, and so is attention by a zero map or to zero values;
   scores of a zero query or key are scores of zeros. A residual sub-block that is zero is absent, with its norm; so is a plain
   one that is the identity. A plain sub-block or a graph of the frame that is zero stays, as one zero: its output is zero. A
   block without sub-blocks is absent, unless it halves the resolution as the first of its stage, or is the stage's last one;
   then it is written residual.
3. Equal operations without parameters or randomness are one node, whatever the order of commutative inputs; unreachable nodes
   vanish.
4. Commutative inputs are sorted and nodes are numbered, so that isomorphic graphs become equal (`uninas.labelling`).

The digest of an architecture is the SHA-256 of its canonical text.

A residual sub-block before and after. The identity goes (rule 1), the convolution goes since only a zero reads it, and the zero
goes from its sum (rule 2); the two GELUs are one node (rule 3):

    >>> from uninas.text import parse_graph
    >>> written = parse_graph(
    ...     "%1 = identity %0\n%2 = conv(kernel=3) %1\n%3 = zero %2\n%4 = gelu %0\n"
    ...     "%5 = add %3 %4\n%6 = gelu %1\n%7 = add %6 %5\nreturn %7"
    ... )
    >>> print(canonical_graph(written, Stage(8, ())).text)
    %1 = gelu %0
    %2 = add %1 %1
    return %2

What adds nothing is absent:

    >>> canonical_graph(parse_graph("%1 = conv(kernel=3) %0\n%2 = zero %1\nreturn %2"), Stage(8, ())) is None
    True
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from operator import is_
from typing import Literal

from uninas.graph import Architecture, Block, Flow, Graph, Node, Stage
from uninas.labelling import MOST_WORK, TooSymmetric, numbered
from uninas.ops import INPUT, AttentionMap, Op, Type, op

EMPTY = Block((None, None))
"""The block that does nothing, in the one form that canonical architectures have for it."""

READ_FROM = "read from"
"""Key of an architecture's memo: the file that it was read from, for messages."""

_BLOCKS_KEPT = 32  # of a stage whose text is kept for its neighbours


def canonicalise(architecture: Architecture) -> Architecture:
    """Return the canonical form, the same object where it is canonical already. Raises GraphError, TooSymmetric."""
    if "canonical" in architecture.memo:  # needed several times for each candidate of a search
        return architecture
    try:
        return _canonical(architecture)
    except TooSymmetric as error:
        raise error.of(architecture.memo.get(READ_FROM, "")) from None


def _canonical(architecture: Architecture) -> Architecture:
    flows, stem, head = architecture.flows(), architecture.stem, architecture.head
    tally = _Tally()
    if isinstance(stem, Graph):
        stem = _frame(stem, Flow(architecture.in_channels, architecture.image()), "stem")
        tally.count([stem])
    stages = []
    changed = stem is not architecture.stem
    for number, (stage, before) in enumerate(zip(architecture.stages, flows, strict=False), start=1):
        try:
            form = _canonical_stage(stage, before, tally)
        except TooSymmetric as error:
            raise error.within(f"stage {number}") from None
        changed = changed or form is not stage
        stages.append(form)
    if head is not None:
        head = _frame(head, flows[-1], "head")
        tally.count([head])
        changed = changed or head is not architecture.head
    result = architecture.replace(stages=tuple(stages), stem=stem, head=head) if changed else architecture
    result.memo["canonical"] = True
    return result


class _Tally:
    """The work of an architecture's searches for symmetries. A file may hold many graphs, each within the bound of one."""

    def __init__(self) -> None:
        self.met: dict[int, int] = {}

    def count(self, graphs: Iterable[Graph | None]) -> None:
        """Raise TooSymmetric where all graphs met are more than twice what one may be."""
        for graph in graphs:
            if graph is not None and "work" in graph.memo:
                self.met[id(graph)] = graph.memo["work"]
                if len(self.met) > 1 and sum(self.met.values()) > 2 * MOST_WORK:
                    raise TooSymmetric("the network's graphs have too many symmetries to be put in canonical form together")


def _frame(graph: Graph, given: Flow, place: str) -> Graph:
    try:
        return canonical_frame(graph, given)
    except TooSymmetric as error:
        raise error.within(place) from None


def _canonical_stage(stage: Stage, given: Flow, tally: _Tally) -> Stage:
    """The canonical form of a stage that reads that map."""
    transition = stage.transition
    if stage.memo.get("canonical", 0) == (None if transition is None else given[::2]):  # channels and class tokens
        for block in stage.blocks:
            tally.count(block.subblocks)
        return stage
    if transition is not None:
        transition = _frame(transition, given, "transition")
        tally.count([transition])
    blocks: list[Block] = []
    for number, block in enumerate(stage.blocks, start=1):
        try:
            form = _canonical_block(block, stage)
            tally.count(form.subblocks)
        except TooSymmetric as error:
            raise error.within(f"block {number}") from None
        if form is not EMPTY or (not blocks and transition is None):
            blocks.append(block if form is EMPTY and block == EMPTY else form)
    if not blocks and stage.blocks:
        blocks.append(stage.blocks[0] if stage.blocks[0] == EMPTY else EMPTY)
    same = len(blocks) == len(stage.blocks) and all(map(is_, blocks, stage.blocks))
    same = same and transition is stage.transition
    result = stage if same else Stage(stage.width, tuple(blocks), transition, stage.tokens)
    result.memo["canonical"] = None if transition is None else given[::2]  # only a transition depends on the map that it reads
    return result


def _canonical_block(block: Block, stage: Stage) -> Block:
    """The canonical form of a block: the same object where it is canonical, EMPTY where it does nothing."""
    forms: list[Graph | None] = []
    for number, graph in enumerate(block.subblocks, start=1):
        try:
            forms.append(
                None if graph is None else canonical_graph(graph, stage) if block.residual else canonical_plain(graph, stage)
            )
        except TooSymmetric as error:
            raise error.within(f"sub-block {number}") from None
    if block.residual:
        subblocks = tuple(forms)
    else:
        subblocks = tuple([graph for graph in forms if graph is not None and graph.output != 0])
    if not any(subblocks):
        return EMPTY
    if len(subblocks) == len(block.subblocks) and all(map(is_, subblocks, block.subblocks)):
        return block
    return block.with_subblocks(subblocks)


def canonical_text(architecture: Architecture) -> str:
    """Return the text that the digest is made of: complete, without names or formatting choices."""
    return "\n".join(_parts(canonicalise(architecture)))


def digest(architecture: Architecture) -> str:
    """Return the SHA-256 of the canonical text."""
    made = hashlib.sha256()
    for number, part in enumerate(_parts(canonicalise(architecture))):  # never whole: a small file can mean a text of gigabytes
        made.update(f"\n{part}".encode() if number else part.encode())
    return made.hexdigest()


def _parts(canonical: Architecture) -> Iterator[str]:
    """The lines of the canonical text, several at a time."""
    height, width = canonical.input_size
    stem = "graph" if isinstance(canonical.stem, Graph) else canonical.stem
    rounding = "" if canonical.rounding == "up" else f" rounding={canonical.rounding}"
    yield f"uninas 1 in={canonical.in_channels} {height}x{width} stem={stem} classes={canonical.classes}{rounding}"
    if isinstance(canonical.stem, Graph):
        yield canonical.stem.text
    for stage in canonical.stages:
        if len(stage.blocks) > _BLOCKS_KEPT:
            yield from _stage_parts(stage)
            continue
        if "text" not in stage.memo:
            stage.memo["text"] = "\n".join(_stage_parts(stage))
        yield stage.memo["text"]
    if canonical.head is not None:
        yield "head"
        yield canonical.head.text


def _stage_parts(stage: Stage) -> Iterator[str]:
    yield f"stage {stage.width}" + (f" tokens={stage.tokens}" if stage.tokens else "")
    if stage.transition is not None:
        yield "entry"
        yield stage.transition.text
    for block in stage.blocks:
        yield "block" if block.residual else "plain block"
        yield from ("absent" if graph is None else graph.text for graph in block.subblocks)


def canonical_graph(graph: Graph, stage: Stage) -> Graph | None:
    """Return the canonical form of a residual sub-block's graph in a block of that stage; None when it is zero.

    The result does not depend on the stage, which only serves to infer types. Raises GraphError, TooSymmetric.
    """
    form = canonical_plain(graph, stage)
    return None if form.nodes[form.output].op.name == "zero" else form


def canonical_plain(graph: Graph, stage: Stage) -> Graph:
    """Return the canonical form of a plain sub-block's graph, one zero when it is zero. Raises GraphError, TooSymmetric."""
    return _form(graph, stage.types(graph))  # types are asked for each stage, since a graph may fit one and not another


def canonical_frame(graph: Graph, given: Flow) -> Graph:
    """Return the canonical form of a graph of the frame that reads that map. Raises GraphError, TooSymmetric."""
    return _form(graph, given.types(graph))


def _form(graph: Graph, types: tuple[Type, ...]) -> Graph:
    memo = graph.memo
    if "canonical" not in memo:
        result, work = numbered(*_simplify(graph, types))
        # One object for one form: a canonical graph is its own, and says so by True. Were it to refer to itself, only Python's
        # collector could free it, whose passes over all that a search keeps take seconds.
        result = graph if result == graph else result
        memo["canonical"] = result
        result.memo["canonical"] = True
        if work:
            result.memo["work"] = work
    found: Graph | Literal[True] = memo["canonical"]
    return graph if found is True else found


# --- rules 1 to 3 ---------------------------------------------------------------------------------------------------------


def _simplify(graph: Graph, types: tuple[Type, ...]) -> tuple[list[Node], int]:
    """Rules 1 to 3 in one pass; the result may hold unreachable nodes (rule 4's walk leaves them out)."""
    nodes: list[Node] = [Node(INPUT, ())]
    seen: dict[Node, int] = {}
    alias: list[int] = [0]  # stored index -> new index
    made: list[Type] = [types[0]]
    parts = _Parts(nodes, made)

    def emit(operation: Op, inputs: tuple[int, ...], type_: Type) -> int:
        node = Node(operation, inputs)
        if not operation.spec.instance:
            key = Node(operation, tuple(sorted(inputs))) if operation.spec.commutative else node
            found = seen.get(key)
            if found is not None:
                return found
            seen[key] = len(nodes)
        nodes.append(node)
        made.append(type_)
        return len(nodes) - 1

    def zero_of(type_: Type) -> int:
        attributes = {"map": True} if type(type_) is AttentionMap else {}
        ratio = Fraction(type_[0], types[0][0])
        tokens = type_.tokens - types[0][3]
        return emit(op("zero", ratio=ratio, pooled=type_.pooled, stride=type_.stride, tokens=tokens, **attributes), (0,), type_)

    for index in range(1, len(graph.nodes)):
        operation, stored_inputs = graph.nodes[index]
        inputs = tuple([alias[i] for i in stored_inputs])
        name = operation.name
        zeros = [nodes[i].op.name == "zero" for i in inputs]
        if name == "zero" or (any(zeros) and _makes_zero(operation, zeros)):
            alias.append(zero_of(types[index]))
            continue
        if any(zeros) and name == "add":
            inputs = tuple([i for i, zero in zip(inputs, zeros, strict=True) if not zero])
        elif any(zeros) and name == "matmul_qk":
            inputs = tuple([zero_of(made[i]) for i in inputs])
        if len(inputs) == 1 and _is_identity(operation, made[inputs[0]]):
            alias.append(inputs[0])
            continue
        if name == "concat":
            whole = _all_slices_of(nodes, inputs)
            if whole is not None:
                alias.append(whole)
                continue
        elif name == "slice":
            part = parts.taken_by(operation, inputs[0])
            if part is not None:
                alias.append(part)
                continue
        alias.append(emit(operation, inputs, types[index]))
    return nodes, alias[graph.output]


def _makes_zero(operation: Op, zeros: list[bool]) -> bool:
    """Whether the result is zero where the marked inputs are."""
    if operation.name == "conv":
        return not operation.values["bias"]
    if operation.name == "matmul_av":
        return any(zeros)
    return operation.spec.keeps_zero and (all(zeros) or operation.name == "multiply")


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


class _Parts:
    """The inputs of concatenations by where they lie in them; each concatenation is measured once, however many slices it has."""

    def __init__(self, nodes: list[Node], made: list[Type]) -> None:
        self.nodes, self.made = nodes, made
        self.found: dict[int, dict[tuple[int, int], int]] = {}

    def taken_by(self, operation: Op, source: int) -> int | None:
        """Return the input of the concatenation `source` that the slice takes, if it takes exactly one."""
        if self.nodes[source].op.name != "concat":
            return None
        parts = self.found.get(source)
        if parts is None:
            parts = self.found[source] = {}
            offset = 0
            for i in self.nodes[source].inputs:
                parts[offset, self.made[i][0]] = i
                offset += self.made[i][0]
        channels = self.made[source][0] // operation.values["count"]
        return parts.get((channels * operation.values["index"], channels))


__all__ = [
    "EMPTY",
    "TooSymmetric",
    "canonical_frame",
    "canonical_graph",
    "canonical_plain",
    "canonical_text",
    "canonicalise",
    "digest",
]
