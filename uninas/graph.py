"""An architecture as frozen data: nodes, graphs, blocks, stages. No weights, no torch.

The network template (arXiv 2510.06035): a stem to stride 2, stages that each halve the resolution, a head of LayerNorm, global
average pooling and a linear layer. A block holds two residual sub-blocks,

    x = shortcut(x) + S1(norm1(x));    x = x + S2(norm2(x)),

whose graphs S1 and S2 keep the shape and are what is searched. Spatial sizes halve as ceil(n / 2), at any input size.

Each part of the template can be a graph of the same operations instead, its frame: the stem, the transition into a stage, what
stands before the global average pooling; and a plain block runs its graphs one after the other, x = S(x). So any network fits.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from uninas.ops import INPUT, FeatureMap, IllTyped, Op, Place, Type


class Node(NamedTuple):
    """An operation and the indices of the nodes that feed it."""

    op: Op
    inputs: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Node({self.op.text}, {_short(self.inputs)})"


class GraphError(IllTyped):
    """A graph that is not a well-typed DAG from one input to one output; `node` is where it was seen."""

    def __init__(self, message: str, node: int) -> None:
        super().__init__(message)
        self.node = node


@dataclass(frozen=True, repr=False)
class Graph:
    """A DAG of operations, stored in topological order: node 0 is the input, each node reads earlier ones.

    A node that carries parameters is an instance: two equal convolutions are two weights; one node read twice is one weight.
    """

    nodes: tuple[Node, ...]
    output: int

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """Results derived from this graph (types, canonical form, cost), kept as long as the graph lives."""
        return {}

    @cached_property
    def text(self) -> str:
        """The graph, one line per node: `%2 = conv(kernel=3) %1`. Equal graphs have equal text."""
        lines = [f"%{i} = {node.op.text} {' '.join(f'%{j}' for j in node.inputs)}" for i, node in enumerate(self.nodes) if i]
        return "\n".join([*lines, f"return %{self.output}"])

    def __repr__(self) -> str:
        count = len(self.nodes)
        return f"Graph({count} node{'s' * (count != 1)}: {', '.join(_short([node.op.text for node in self.nodes]))})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Graph, (self.nodes, self.output))

    def types(self, width: int, tokens: int = 0) -> tuple[Type, ...]:
        """Infer the type of each node in a block of that width; the output has the input's type.

        Raises GraphError that names the node.
        """
        key = ("types", width, tokens)
        found: tuple[Type, ...] | None = self.memo.get(key)
        if found is None:
            types = self._infer(width, tokens)
            if types[self.output] != types[0] or type(types[self.output]) is not FeatureMap:
                made = types[self.output]
                raise GraphError(f"a graph returns its input's type ({types[0]}), got {made}", self.output)
            found = self.memo[key] = types
        return found

    def frame_types(self, channels: int, tokens: int = 0) -> tuple[Type, ...]:
        """Infer the type of each node for an input of that kind; the output may be any feature map.

        Raises GraphError that names the node.
        """
        key = ("frame types", channels, tokens)
        found: tuple[Type, ...] | None = self.memo.get(key)
        if found is None:
            types = self._infer(channels, tokens)
            made = types[self.output]
            if type(made) is not FeatureMap:
                raise GraphError(f"a graph of the frame returns a feature map, got {made}", self.output)
            found = self.memo[key] = types
        return found

    def _infer(self, width: int, tokens: int) -> tuple[Type, ...]:
        types: list[Type] = [FeatureMap(width, False, 1, tokens)]
        if not self.nodes or self.nodes[0].op is not INPUT or not 0 <= self.output < len(self.nodes):
            raise GraphError("a graph starts with its input and returns one of its nodes", 0)
        for index in range(1, len(self.nodes)):
            op, inputs = self.nodes[index]
            spec = op.spec
            if not (len(inputs) == spec.arity if spec.arity is not None else len(inputs) >= 1) or op is INPUT:
                expected = "no second input node" if op is INPUT else f"{spec.arity or 'one or more'} input(s)"
                raise GraphError(f"{op.text} expects {expected}, got {len(inputs)}", index)
            if not all(0 <= i < index for i in inputs):
                raise GraphError("a node reads only earlier nodes: the graph has a cycle or a missing node", index)
            try:
                types.append(spec.infer(op, tuple([types[i] for i in inputs])))
            except GraphError:
                raise
            except IllTyped as error:
                raise GraphError(str(error), index) from None
        return tuple(types)


IDENTITY = Graph((Node(INPUT, ()),), 0)
"""The graph that returns its input."""


class GraphBuilder:
    """Builds a graph node by node; operations without parameters or randomness are shared when they are equal."""

    def __init__(self) -> None:
        self._nodes: list[Node] = [Node(INPUT, ())]
        self._seen: dict[Node, int] = {}

    def add(self, op: Op, *inputs: int) -> int:
        """Append a node, or find its equal; returns its index."""
        node = Node(op, inputs)
        if not op.spec.instance:
            found = self._seen.get(node)
            if found is not None:
                return found
            self._seen[node] = len(self._nodes)
        self._nodes.append(node)
        return len(self._nodes) - 1

    def chain(self, start: int, *ops: Op) -> int:
        """Append operations of one input one after the other; returns the last index."""
        for op in ops:
            start = self.add(op, start)
        return start

    def include(self, graph: Graph, start: int) -> int:
        """Append a copy of a graph that reads node `start`; returns its output's index."""
        index = [start]
        for node in graph.nodes[1:]:
            index.append(self.add(node.op, *(index[i] for i in node.inputs)))
        return index[graph.output]

    def build(self, output: int) -> Graph:
        """Return the frozen graph."""
        return Graph(tuple(self._nodes), output)


@dataclass(frozen=True, repr=False)
class Block:
    """Residual sub-blocks (two in the template), or plain ones: x = S(x), without norm or addition. None: it is absent."""

    subblocks: tuple[Graph | None, ...]
    residual: bool = True

    def __repr__(self) -> str:
        kind = "residual" if self.residual else "plain"
        return f"Block({kind}: {', '.join(_short(['absent' if graph is None else repr(graph) for graph in self.subblocks]))})"

    def with_subblocks(self, subblocks: tuple[Graph | None, ...]) -> Block:
        """Return a block of the same kind with other sub-blocks."""
        return Block(subblocks, self.residual)


@dataclass(frozen=True, repr=False, init=False)
class Stage:
    """Blocks of one width at one resolution.

    `transition` leads from the previous feature map to this width, at any stride. Without one the template does: the first block
    halves the resolution, a residual one on both of its paths, a plain one before its graphs. `tokens`: class tokens that the
    map has, as the transition leaves them. Version 0.1 called the transition `entry`, which works until version 0.3.
    """

    width: int
    blocks: tuple[Block, ...]
    transition: Graph | None = None
    tokens: int = 0

    def __init__(
        self, width: int, blocks: tuple[Block, ...], transition: Graph | None = None, tokens: int = 0, **renamed: Graph | None
    ) -> None:
        if renamed:
            transition = _formerly_entry(**renamed)
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "blocks", blocks)
        object.__setattr__(self, "transition", transition)
        object.__setattr__(self, "tokens", tokens)

    @property
    def entry(self) -> Graph | None:
        """The transition, by the name it had in version 0.1."""
        return _formerly_entry(self.transition)

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """Results derived from this stage, kept as long as it lives: neighbours share all stages but the edited one."""
        return {}

    def __repr__(self) -> str:
        transition = "" if self.transition is None else ", transition"
        tokens = f", {self.tokens} class token(s)" if self.tokens else ""
        return f"Stage({self.width} channels, {len(self.blocks)} block{'s' * (len(self.blocks) != 1)}{transition}{tokens})"

    def with_blocks(self, blocks: tuple[Block, ...]) -> Stage:
        """Return the stage with other blocks."""
        return Stage(self.width, blocks, self.transition, self.tokens)

    def types(self, graph: Graph) -> tuple[Type, ...]:
        """Infer the type of each node of a graph in one of the stage's blocks. Raises GraphError."""
        return graph.types(self.width, self.tokens)


def _formerly_entry(entry: Graph | None) -> Graph | None:
    warnings.warn("a stage's `entry` is now its `transition`", DeprecationWarning, stacklevel=3)
    return entry


class Flow(NamedTuple):
    """The feature map that passes from one part of a network to the next: its channels, its size, its class tokens."""

    channels: int
    place: Place
    tokens: int = 0

    @property
    def pixels(self) -> int:
        """Pixels and class tokens."""
        return self.place.height * self.place.width + self.tokens

    def types(self, graph: Graph) -> tuple[Type, ...]:
        """Infer the type of each node of a graph of the frame that reads the map. Raises GraphError."""
        return graph.frame_types(self.channels, self.tokens)


@dataclass(frozen=True, repr=False)
class Architecture:
    """A whole network. `input_size` is the reference (height, width): tables that depend on size keep that size.

    `stem`: the channels of the template's two convolutions, or a graph that reads the image. `head`: a graph between the last
    stage and global average pooling, which may pool; None is the template's LayerNorm. A linear layer to the classes
    always ends the network. `rounding`: whether the template halves odd sides "up", keeping the last row and column, or "down",
    as the reference implementation does.
    """

    stages: tuple[Stage, ...]
    classes: int = 1000
    input_size: tuple[int, int] = (224, 224)
    stem: tuple[int, int] | Graph = (32, 64)
    in_channels: int = 3
    head: Graph | None = None
    rounding: str = "up"

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """Results derived from this architecture, kept as long as it lives."""
        return {}

    def replace(self, **changes: Any) -> Architecture:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def with_subblock(self, stage: int, block: int, sub: int, graph: Graph | None) -> Architecture:
        """Return a copy with one sub-block's graph changed; everything else is shared."""
        subblocks = list(self.stages[stage].blocks[block].subblocks)
        subblocks[sub] = graph
        return self.with_block(stage, block, self.stages[stage].blocks[block].with_subblocks(tuple(subblocks)))

    def with_block(self, stage: int, block: int, new: Block) -> Architecture:
        """Return a copy with one block changed; everything else is shared."""
        blocks = list(self.stages[stage].blocks)
        blocks[block] = new
        return self.with_blocks(stage, tuple(blocks))

    def with_blocks(self, stage: int, blocks: tuple[Block, ...]) -> Architecture:
        """Return a copy with one stage's blocks changed; everything else is shared."""
        stages = list(self.stages)
        stages[stage] = stages[stage].with_blocks(blocks)
        return replace(self, stages=tuple(stages))

    def image(self, size: tuple[int, int] | None = None) -> Place:
        """Return the height and width of an input of `size` (default: the reference size), beside the reference ones."""
        return Place(*(size or self.input_size), *self.input_size)

    def flows(self, size: tuple[int, int] | None = None) -> tuple[Flow, ...]:
        """Infer what leaves the stem and each stage, for an input of `size` (default: the reference size).

        Raises GraphError for a graph of the frame that is ill typed, a transition that does not lead to its stage's width, or
        an input of which nothing is left where halves are rounded down.
        """
        return self._reference_flows if size is None or size == self.input_size else self._flows(size)

    @cached_property
    def _reference_flows(self) -> tuple[Flow, ...]:
        return self._flows(self.input_size)

    def _flows(self, size: tuple[int, int]) -> tuple[Flow, ...]:
        place = self.image(size)
        if isinstance(self.stem, Graph):
            flow = _after(Flow(self.in_channels, place), leads_to(self.stem, self.in_channels))
        else:
            flow = Flow(self.stem[1], place.strided(2))
        flows = [flow]
        for stage in self.stages:
            if stage.transition is None and not (
                flow.tokens or stage.tokens
            ):  # of each candidate of a search, so without detours
                flow = Flow(stage.width, flow.place.halved(self.rounding))
                if not min(flow.place):
                    raise GraphError(f"an input of {size[0]}x{size[1]} is too small: halves are rounded down", 0)
            else:
                flow = _after(flow, transition_map(stage, flow))
            flows.append(flow)
        return tuple(flows)

    def places(self, size: tuple[int, int] | None = None) -> tuple[Place, ...]:
        """Return the height and width of each stage for an input of `size`, beside those at the reference size."""
        return tuple([flow.place for flow in self.flows(size)[1:]])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical text, 64 hexadecimal characters: equal digests are one function.

        The rules of `uninas.canonical` decide which functions are found to be one; plain blocks, for one, are not joined.
        """
        found: str = _derived("digest")(self)
        return found

    def __repr__(self) -> str:
        return str(_derived("one line")(self))

    def _repr_svg_(self) -> str | None:
        """What a notebook shows."""
        return _derived("picture")(self)  # type: ignore[no-any-return]


_DERIVED = {
    "digest": "uninas.canonical:digest",
    "one line": "uninas.drawing.display:one_line",
    "picture": "uninas.drawing.display:notebook_picture",
}
"""What an architecture offers of modules above this one, which import it: they are looked up by name, on first use."""


def _derived(what: str) -> Callable[[Architecture], Any]:
    module, _, function = _DERIVED[what].partition(":")
    return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]


def _short(items: Sequence[Any]) -> Sequence[Any]:
    """Some items for a `repr`, which must stay a line however many there are."""
    return items if len(items) <= _MOST_SHOWN else (*items[: _MOST_SHOWN - 1], "...")


_MOST_SHOWN = 6


def _after(flow: Flow, made: FeatureMap) -> Flow:
    return Flow(made.channels, flow.place.strided(made.stride), made.tokens)


def leads_to(graph: Graph, channels: int, tokens: int = 0) -> FeatureMap:
    """Infer the full map that a stem or a transition makes of a map of that kind. Raises GraphError."""
    made = graph.frame_types(channels, tokens)[graph.output]
    assert type(made) is FeatureMap
    if made.pooled:
        raise GraphError(f"a stem or a transition returns a full feature map, got {made}", graph.output)
    return made


def transition_map(stage: Stage, given: Flow) -> FeatureMap:
    """Infer what the way into a stage makes of a map: its width, at some stride. Raises GraphError where it leads elsewhere."""
    if stage.transition is None:
        if given.tokens or stage.tokens:
            raise GraphError("the template halves maps without class tokens: the stage needs a transition", 0)
        return FeatureMap(stage.width, False, 2)
    made = leads_to(stage.transition, given.channels, given.tokens)
    if (made.channels, made.tokens) != (stage.width, stage.tokens):
        wanted = FeatureMap(stage.width, False, 1, stage.tokens)
        raise GraphError(f"a transition leads to its stage's {wanted}, got {made}", stage.transition.output)
    return made


def head_channels(architecture: Architecture) -> int:
    """Return the channels that the linear layer reads. Raises GraphError."""
    given = architecture.flows()[-1]
    return given.channels if architecture.head is None else given.types(architecture.head)[architecture.head.output][0]
