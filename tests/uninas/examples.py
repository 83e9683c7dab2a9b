"""What the tests of the space share: small networks, random walks, hand-made graphs, disguises. No torch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from uninas import (
    IDENTITY,
    Architecture,
    Block,
    Edit,
    Graph,
    GraphBuilder,
    Limits,
    Node,
    Rejection,
    Stage,
    mutate,
    op,
    parse_graph,
    preset,
)
from uninas.compile.layer_names import layer_names, subblock_prefix
from uninas.networks.presets import letter_block
from uninas.ops import FeatureMap, Op, Type

_KINDS = (
    "conv depthwise norm act max average tiles gate attention sum zero patches depth place scale windows heads coarse padded mix"
)

SMALL_WIDTHS, SMALL_DEPTHS = (32, 64, 64, 96), (1, 1, 2, 1)


def small(name: str = "coatnet", size: tuple[int, int] = (64, 64)) -> Architecture:
    """A preset at small widths, depths and size."""
    return preset(name, widths=SMALL_WIDTHS, depths=SMALL_DEPTHS, classes=7, input_size=size)


def tiny(letters: str = "ET", size: tuple[int, int] = (40, 40)) -> Architecture:
    """One block a stage, 32 channels wide, a thin stem: the quickest network that has everything."""
    stages = tuple(Stage(32, (letter_block(letter),)) for letter in letters)
    return Architecture(stages, classes=5, input_size=size, stem=(8, 16))


def around(*graphs: Graph | None, width: int = 32, size: tuple[int, int] = (40, 40)) -> Architecture:
    """A network of one stage and one block with the given sub-blocks (a missing second one is absent)."""
    subblocks = (*graphs, None)[:2]
    return Architecture((Stage(width, (Block(subblocks),)),), classes=3, input_size=size, stem=(8, 16))


def walk(
    start: Architecture, rng: random.Random, steps: int, limits: Limits | None = None
) -> Iterator[tuple[Architecture, Edit, Architecture] | Rejection]:
    """`steps` edits one after the other, each accepted child the next parent: (parent, edit, child) or the rejection."""
    parent = start
    for _ in range(steps):
        result = mutate(parent, rng, limits)
        if isinstance(result, Rejection):
            yield result
            continue
        child, edit = result
        yield parent, edit, child
        parent = child


def walked(start: Architecture, rng: random.Random, steps: int, limits: Limits | None = None) -> Architecture:
    """Where a walk ends."""
    end = start
    for step in walk(start, rng, steps, limits):
        if not isinstance(step, Rejection):
            end = step[2]
    return end


def graph_of(*lines: str) -> Graph:
    """The graph of those lines: `%1 = conv(kernel=3) %0`, ..., `return %1`."""
    return parse_graph("\n".join(lines))


def graphs_of(architecture: Architecture) -> list[tuple[int, int, int, Graph]]:
    """(stage, block, sub-block, graph) of every sub-block that is there."""
    return [
        (s, b, k, graph)
        for s, stage in enumerate(architecture.stages)
        for b, block in enumerate(stage.blocks)
        for k, graph in enumerate(block.subblocks)
        if graph is not None
    ]


# --- branches by hand -----------------------------------------------------------------------------------------------------


def headed(
    heads: int,
    *,
    width: int = 32,
    piece: tuple[Op, ...] = (),
    on_map: tuple[Op, ...] = (),
    post: tuple[Op, ...] = (),
    before: tuple[Op, ...] = (),
    after: tuple[Op, ...] = (),
) -> Graph:
    """Attention written head by head, as the reference does: each piece, map and result runs through its own operations."""
    builder = GraphBuilder()
    qkv = builder.chain(0, *before, op("conv", kernel=1, ratio=3))
    ends = []
    for head in range(heads):
        q, k, v = (builder.chain(builder.add(op("slice", index=3 * head + i, count=3 * heads), qkv), *piece) for i in range(3))
        scores = builder.chain(builder.add(op("matmul_qk", head_dim=width // heads), q, k), *on_map, op("softmax"))
        ends.append(builder.chain(builder.add(op("matmul_av"), scores, v), *post))
    return builder.build(builder.chain(builder.add(op("concat"), *ends), *after))


# --- the same computation, written otherwise --------------------------------------------------------------------------------


@dataclass(eq=False)
class _Loose:
    """A node of a graph under rewriting."""

    op: Op
    inputs: list[_Loose]
    type: Type
    origin: int | None = None  # the node of the original graph that it is
    readers: list[tuple[_Loose, int]] = field(default_factory=list)


def disguised(graph: Graph, types: tuple[Type, ...], rng: random.Random, rewrites: int = 6) -> tuple[Graph, dict[int, int]]:
    """The same computation, written otherwise, and where each operation with weights has gone (old node -> new node)."""
    loose: list[_Loose] = []
    for index, (operation, inputs) in enumerate(graph.nodes):
        loose.append(_Loose(operation, [loose[i] for i in inputs], types[index], index))
    end = _Loose(op("identity"), [loose[graph.output]], types[graph.output])
    everything = [*loose, end]

    def new(operation: Op, inputs: list[_Loose], made: Type) -> _Loose:
        node = _Loose(operation, inputs, made)
        everything.append(node)
        return node

    def same(x: _Loose) -> _Loose:
        """Another way to write x."""
        ways = ["identity", "sum of one", "product of one"]
        if isinstance(x.type, FeatureMap):
            ways += ["concat of one", "slice of all", "plus zero", "slice of a concat", "plus a product with zero"]
            if x.type.channels % 2 == 0:
                ways += ["concat of slices"]
            if x.type.pooled:
                ways += ["pool of pooled"]
        way = rng.choice(ways)
        if way == "identity":
            return new(op("identity"), [x], x.type)
        if way == "sum of one":
            return new(op("add"), [x], x.type)
        if way == "product of one":
            return new(op("multiply"), [x], x.type)
        if way == "concat of one":
            return new(op("concat"), [x], x.type)
        if way == "slice of all":
            return new(op("slice", index=0, count=1), [x], x.type)
        if way == "pool of pooled":
            return new(op("global_average_pool"), [x], x.type)
        if way in ("plus zero", "plus a product with zero"):
            nothing = new(op("zero"), [x], x.type)
            if way == "plus a product with zero":
                nothing = new(op("multiply"), rng.sample([nothing, x], 2), x.type)
            for keeps in rng.choices([op("gelu"), op("identity"), op("dropout")], k=rng.randrange(3)):
                nothing = new(keeps, [nothing], x.type)
            return new(op("add"), rng.sample([nothing, x], 2), x.type)
        assert isinstance(x.type, FeatureMap)
        if way == "slice of a concat":
            both = new(op("concat"), [x, x], x.type._replace(channels=2 * x.type.channels))
            return new(op("slice", index=rng.randrange(2), count=2), [both], x.type)
        half = x.type._replace(channels=x.type.channels // 2)
        return new(op("concat"), [new(op("slice", index=i, count=2), [x], half) for i in range(2)], x.type)

    for _ in range(rewrites):
        reader = rng.choice([node for node in everything if node.inputs])
        kind = rng.choice(["rewrite", "duplicate", "commute", "dead"])
        slot = rng.randrange(len(reader.inputs))
        source = reader.inputs[slot]
        if kind == "rewrite":
            reader.inputs[slot] = same(source)
        elif kind == "duplicate" and source.inputs and not source.op.spec.instance:
            reader.inputs[slot] = new(source.op, list(source.inputs), source.type)
        elif kind == "commute" and reader.op.spec.commutative:
            rng.shuffle(reader.inputs)
        elif kind == "dead":
            dead = op("conv", kernel=1) if isinstance(source.type, FeatureMap) else op("softmax")
            new(rng.choice([dead, op("gelu")]), [source], source.type)
    # A random order in which every node comes after what it reads.
    number = {id(loose[0]): 0}
    nodes = [Node(op("input"), ())]
    place: dict[int, int] = {}
    waiting = [node for node in everything if node is not loose[0]]
    while waiting:
        ready = [node for node in waiting if all(id(x) in number for x in node.inputs)]
        node = rng.choice(ready)
        waiting.remove(node)
        number[id(node)] = len(nodes)
        nodes.append(Node(node.op, tuple([number[id(x)] for x in node.inputs])))
        if node.origin is not None and node.op.spec.instance:
            place[node.origin] = number[id(node)]
    return Graph(tuple(nodes), number[id(end)]), place


def disguised_network(architecture: Architecture, rng: random.Random, rewrites: int = 6) -> tuple[Architecture, dict[str, str]]:
    """The same network, written otherwise, and the new name of each searched layer."""
    changed, renamed = architecture, {}

    def rewrite(graph: Graph, types: tuple[Type, ...], prefix: str) -> Graph:
        other, place = disguised(graph, types, rng, rewrites)
        old_names, new_names = layer_names(graph), layer_names(other)
        for old, new in place.items():
            renamed[f"{prefix}{old_names[old]}"] = f"{prefix}{new_names[new]}"
        return other

    for s, b, k, graph in graphs_of(architecture):
        other = rewrite(graph, architecture.stages[s].types(graph), subblock_prefix(s, b, k))
        changed = changed.with_subblock(s, b, k, other)
    flows, stages = architecture.flows(), list(changed.stages)
    for s, stage in enumerate(stages):
        if stage.transition is not None and stage.transition != IDENTITY:
            entry = rewrite(stage.transition, flows[s].types(stage.transition), f"stages.{s}.entry.")
            stages[s] = replace(stage, transition=entry)
    stem, head = architecture.stem, architecture.head
    if isinstance(stem, Graph):
        stem = rewrite(stem, stem.frame_types(architecture.in_channels), "stem.")
    if head is not None:
        head = rewrite(head, flows[-1].types(head), "norm.")
    return changed.replace(stages=tuple(stages), stem=stem, head=head), renamed


# --- graphs of the frame ----------------------------------------------------------------------------------------------------


ACTIVATIONS = ("relu", "relu6", "silu", "hardswish", "hard_sigmoid", "gelu", "sigmoid", "tanh", "negate")


def random_sequence(rng: random.Random, channels: int, *, takes: bool = False) -> Graph:
    """A chain of random operations that a map with a class token can have; in the end takes the token or not."""
    builder, node = GraphBuilder(), 0
    for _ in range(rng.randrange(4)):
        kind = rng.choice(["linear", "norm", "act", "gate", "attention", "token", "zero"])
        if kind == "linear":
            node = builder.chain(node, op("conv", kernel=1, ratio=2), op("gelu"), op("conv", kernel=1, ratio="1/2"))
        elif kind == "norm":
            node = builder.add(rng.choice([op("batch_norm"), op("layer_norm"), op("group_norm"), op("layer_scale")]), node)
        elif kind == "act":
            node = builder.add(op(rng.choice(ACTIVATIONS)), node)
        elif kind == "gate":
            gate = builder.chain(node, op("global_average_pool"), op("conv", kernel=1), op("broadcast"), op("sigmoid"))
            node = builder.add(op("multiply"), node, gate)
        elif kind == "token":
            node = builder.add(op("add"), node, builder.chain(node, op("take_class_token"), op("broadcast")))
        elif kind == "zero":
            node = builder.add(op("add"), node, builder.add(op("zero"), node))
        else:
            node = attend(rng, builder, node, channels)
    return builder.build(builder.add(op("take_class_token"), node) if takes else node)


ON_MAPS = (
    (op("conv", kernel=3), op("batch_norm"), op("gelu")),
    (op("conv", kernel=1, ratio=4), op("layer_norm"), op("tanh"), op("conv", kernel=1, ratio="1/4")),
    (op("conv", kernel=5, groups="depthwise", bias=False, dilation=2), op("max_pool")),
    (op("global_average_pool"), op("conv", kernel=1), op("broadcast"), op("mask", band=2)),
    (op("slice", index=1, count=2), op("average_pool")),
    (op("zero"),),
)
"""Operations on a map of two heads, which are its channels."""


def attend(rng: random.Random, builder: GraphBuilder, node: int, channels: int, windows: int = 0) -> int:
    """Attention of a node to itself, between pixels (whole or in windows) or channels, with as many heads of keys or one."""
    head_dim = channels // 2
    over = "pixels" if windows else rng.choice(["pixels", "channels"])
    single = over == "pixels" and rng.random() < 0.5
    key = builder.add(op("conv", kernel=1, ratio="1/2"), node) if single else node
    scores = op("matmul_qk", head_dim=head_dim, over=over, window=windows, shift=rng.randrange(windows) if windows else 0)
    attention = builder.add(scores, node, key)
    if windows and rng.random() < 0.5:
        attention = builder.add(op("relative_position_bias"), attention)
    if over == "pixels" and not (windows or single) and rng.random() < 0.5:
        attention = builder.chain(attention, *rng.choice(ON_MAPS))
    return builder.add(op("matmul_av"), builder.add(op("softmax"), attention), key)


def random_frame(rng: random.Random, channels: int, steps: int, *, strided: bool = True, zeros: float = 0.0) -> Graph:
    """A chain of random operations with side branches: convolutions and pools of any stride, gates, attention, sums."""
    builder = GraphBuilder()
    node, stride = 0, 1

    def step(down: int = 2) -> int:
        return rng.choice([1, 1, down]) if strided and stride < 16 else 1

    for _ in range(steps):
        kind = rng.choice(_KINDS.split())
        if kind == "zero" and rng.random() >= zeros:
            kind = "conv"
        now = step(3)
        if kind == "conv":
            ratio = rng.choice(["1", "2", "1/2"]) if strided and channels % 16 == 0 and channels < 64 else "1"
            node = builder.add(op("conv", kernel=rng.choice([1, 3, 5]), ratio=ratio, stride=now, bias=rng.random() < 0.5), node)
            channels = channels * int(ratio) if "/" not in ratio else channels // 2
        elif kind == "depthwise":
            node = builder.add(
                op("conv", kernel=3, groups="depthwise", bias=False, stride=now, dilation=rng.choice([1, 2])), node
            )
        elif kind == "norm":
            groups = rng.choice([1, 2]) if channels % 2 == 0 else 1
            now, node = 1, builder.add(rng.choice([op("batch_norm"), op("layer_norm"), op("group_norm", groups=groups)]), node)
        elif kind == "act":
            now, node = 1, builder.add(op(rng.choice(ACTIVATIONS)), node)
        elif kind == "place":
            now, node = 1, builder.add(op("position_embedding"), node)
        elif kind == "scale":
            now, node = 1, builder.add(op("layer_scale", initial="1/2"), node)
        elif kind in ("windows", "heads"):
            now, node = 1, attend(rng, builder, node, channels, rng.randrange(2, 6) if kind == "windows" else 0)
        elif kind == "coarse":
            now, coarse = 1, builder.add(op("conv", kernel=2, stride=2), node)
            scores = builder.chain(builder.add(op("matmul_qk", head_dim=channels // 2), node, coarse), op("softmax"))
            node = builder.add(op("matmul_av"), scores, coarse)
        elif kind == "padded":
            kernel = rng.randrange(2, 6)
            usual = kernel // 2 if kernel % 2 else 0 if kernel == now else kernel
            padding = rng.choice([p for p in range(1 - now, kernel) if p != usual])
            node = builder.add(op("conv", kernel=kernel, stride=now, padding=padding), node)
        elif kind == "mix":
            now, node = 1, builder.add(op("token_linear"), node)
        elif kind in ("patches", "depth"):
            now = step()
            if now == 2 and kind == "patches":
                node = builder.add(op("conv", kernel=2, stride=2, groups=rng.choice([1, "depthwise"])), node)
            elif now == 2:
                node = builder.chain(node, op("space_to_depth"), op("conv", kernel=1, ratio="1/4"))
        elif kind in ("max", "average"):
            node = builder.add(op(f"{kind}_pool", kernel=rng.choice([3, 5]), stride=now), node)
        elif kind == "tiles":
            now = step()
            pool = rng.choice(["average_pool", "max_pool"])
            node = builder.add(op(pool, kernel=2, stride=2), node) if now == 2 else node
        elif kind == "zero":
            node = builder.add(op("zero", stride=now), node)
        elif kind == "gate":
            pooled = builder.chain(node, op("global_average_pool"), op("conv", kernel=1), op("relu"), op("conv", kernel=1))
            now, node = 1, builder.add(op("multiply"), node, builder.chain(pooled, op("broadcast"), op("sigmoid")))
        elif kind == "attention":
            now, scores = 1, builder.add(op("matmul_qk", head_dim=channels // 2), node, node)
            scores = builder.chain(scores, op("relative_position_bias"), op("softmax"))
            node = builder.add(op("matmul_av"), scores, node)
        else:
            deep = builder.chain(node, op("conv", kernel=3, stride=now, bias=False), op("batch_norm"))
            node = builder.add(op("add"), builder.chain(node, op("conv", kernel=1, stride=now)), deep)
        stride *= now
    return builder.build(node)


def framed(rng: random.Random, size: tuple[int, int] = (29, 34), zeros: float = 0.0) -> Architecture:
    """A random network whose stem, entries, head and blocks are graphs or the template's, in any mixture."""
    stem: Graph | tuple[int, int] = (8, 16)
    channels = 16
    if rng.random() < 0.7:
        begin = GraphBuilder()
        begun = begin.chain(0, op("conv", kernel=3, ratio="16/3", bias=False, stride=rng.choice([1, 2])), op("batch_norm"))
        stem = begin.build(begin.include(random_frame(rng, 16, rng.randrange(2), strided=False), begun))
    stages = []
    for _ in range(rng.randrange(1, 3)):
        entry, width = None, channels
        if rng.random() < 0.7:
            entry = random_frame(rng, channels, rng.randrange(4), zeros=zeros)
            width = entry.frame_types(channels)[entry.output][0]
        blocks = []
        for _ in range(rng.randrange(1, 3)):
            graphs: list[Graph | None] = [
                None if rng.random() < 0.2 else random_frame(rng, width, rng.randrange(4), strided=False, zeros=zeros)
                for _ in range(2)
            ]
            blocks.append(Block(tuple(graphs), residual=rng.random() < 0.4))
        stages.append(Stage(width, tuple(blocks), entry))
        channels = width
    head = random_frame(rng, channels, rng.randrange(1, 4), zeros=zeros) if rng.random() < 0.7 else None
    if rng.random() < 0.25:  # a last stage whose map has a class token
        begin = GraphBuilder()
        entry = begin.build(begin.add(op("class_token", position=rng.random() < 0.5), 0))
        graphs = [random_sequence(rng, channels) for _ in range(4)]
        blocks = [Block(tuple(graphs[:2])), Block(tuple(graphs[2:]), residual=False)]
        stages.append(Stage(channels, tuple(blocks), entry, tokens=1))
        head = random_sequence(rng, channels, takes=rng.random() < 0.5) if rng.random() < 0.7 else None
    return Architecture(tuple(stages), classes=5, input_size=size, stem=stem, head=head)
