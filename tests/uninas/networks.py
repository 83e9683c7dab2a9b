"""What the tests of the space share: small networks, random walks, hand-made graphs, disguises. No torch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from uninas import (
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
from uninas.names import layer_names, subblock_prefix
from uninas.ops import FeatureMap, Op, Type
from uninas.presets import letter_block

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


def disguised(graph: Graph, width: int, rng: random.Random, rewrites: int = 6) -> tuple[Graph, dict[int, int]]:
    """The same computation, written otherwise, and where each operation with weights has gone (old node -> new node)."""
    types = graph.types(width)
    loose: list[_Loose] = []
    for index, (operation, inputs) in enumerate(graph.nodes):
        loose.append(_Loose(operation, [loose[i] for i in inputs], types[index], index))
    end = _Loose(op("identity"), [loose[graph.output]], types[0])
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
            both = new(op("concat"), [x, x], FeatureMap(2 * x.type.channels, x.type.pooled))
            return new(op("slice", index=rng.randrange(2), count=2), [both], x.type)
        half = FeatureMap(x.type.channels // 2, x.type.pooled)
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
            dead = op("conv", kernel=1) if isinstance(source.type, FeatureMap) else op("relative_position_bias")
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
    for s, b, k, graph in graphs_of(architecture):
        other, place = disguised(graph, architecture.stages[s].width, rng, rewrites)
        changed = changed.with_subblock(s, b, k, other)
        old_names, new_names, prefix = layer_names(graph), layer_names(other), subblock_prefix(s, b, k)
        for old, new in place.items():
            renamed[f"{prefix}{old_names[old]}"] = f"{prefix}{new_names[new]}"
    return changed, renamed
