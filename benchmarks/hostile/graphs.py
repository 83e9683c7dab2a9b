"""Valid files that are hard to work with: random graphs of any operations, symmetric ones, and as much as fits."""

from __future__ import annotations

import contextlib
import json
import random
from functools import cache
from typing import Any

from uninas import InputError, op
from uninas.attributes import Attribute, Value
from uninas.graph import Graph, Node
from uninas.ops import INPUT, TABLE, FeatureMap, IllTyped, Op, Type

LARGEST = 100_000
"""Bytes of a file, about."""

VALUES = (
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "7",
    "8",
    "16",
    "31",
    "32",
    "64",
    "65535",
    "65536",
    "1/2",
    "1/3",
    "1/4",
    "3/2",
    "2/3",
    "9999999",
    "1/9999999",
    "9999999/9999998",
    "true",
    "false",
    "depthwise",
    "same",
    "channels",
    "pixels",
    "0.5",
    "0.1",
    "0.999999",
)
"""Values of attributes, as they are written."""


def drawn(rng: random.Random) -> bytes:
    """Random well-typed graphs of any operations, in random networks."""
    graphs = [random_graph(rng, width := rng.choice([1, 2, 8, 24, 32, 96]), rng.choice([3, 10, 40, 300])) for _ in range(1)]
    graphs += [random_graph(rng, width, rng.choice([3, 10, 40])) for _ in range(rng.randrange(4))]
    return network_of(rng, graphs, width)


def random_graph(rng: random.Random, width: int, size: int) -> Graph:
    """A well-typed graph of about so many nodes that returns its input's type."""
    nodes: list[Node] = [Node(INPUT, ())]
    types: list[Type] = [FeatureMap(width, False)]
    names = [name for name in TABLE if name != "input"]
    for _ in range(size):
        for _ in range(20):  # attempts at a node that fits
            operation = _fitting_op(rng, rng.choice(names))
            arity = operation.spec.arity
            count = rng.choice([1, 2, 2, 3, 9]) if arity is None else arity
            recent = rng.random() < 0.7
            inputs = tuple([rng.randrange(max(0, len(nodes) - 4) if recent else 0, len(nodes)) for _ in range(count)])
            try:
                made = operation.spec.infer(operation, tuple([types[i] for i in inputs]))
            except IllTyped:
                continue
            nodes.append(Node(operation, inputs))
            types.append(made)
            break
    fitting = [i for i, type_ in enumerate(types) if type_ == types[0] and type(type_) is FeatureMap]
    return Graph(tuple(nodes), fitting[-1])


def _fitting_op(rng: random.Random, name: str) -> Op:
    """An operation whose attributes each have a value that it may take, most at their default."""
    values: dict[str, Any] = {}
    for attribute in TABLE[name].attributes:
        if attribute.default is None or rng.random() < 0.4:
            values[attribute.name] = rng.choice(_accepted(attribute))
    return op(name, **values)


@cache
def _accepted(attribute: Attribute) -> tuple[Value, ...]:
    """The values of ours that an attribute's reader takes."""
    found: list[Value] = []
    for text in VALUES:
        with contextlib.suppress(InputError):
            found.append(attribute.read(text))
    assert found, f"no value of ours is one of the attribute {attribute.name}"
    return tuple(found)


def network_of(rng: random.Random, graphs: list[Graph], width: int) -> bytes:
    """A file with those graphs in many blocks, plain and residual."""
    written = {f"g{i}": graph.text.split("\n") for i, graph in enumerate(graphs)}
    names = [*written, "absent"]
    stages = []
    for _ in range(rng.choice([1, 1, 2, 16])):
        blocks: list[Any] = []
        for _ in range(rng.choice([1, 2, 5, 100])):
            plain = rng.random() < 0.5
            chosen = rng.choices(names, k=rng.choice([1, 2, 16]) if plain else 2)
            blocks.append({"plain": chosen} if plain else chosen)
        stages.append({"width": width, "blocks": blocks})
    side = rng.choice([1, 7, 32, 224, 65536])
    return json.dumps(
        {
            "format": "uninas-architecture",
            "version": 3,
            "classes": rng.choice([1, 10, 10**6]),
            "input_size": [side, side],
            "in_channels": 3,
            "stem": [8, 16],
            "graphs": written,
            "stages": stages,
        }
    ).encode()


def symmetric(rng: random.Random) -> bytes:
    """Graphs whose nodes are hard to tell apart: sums over random regular graphs of equal nodes, layer on layer."""
    graphs = [_symmetric_graph(rng) for _ in range(rng.choice([1, 1, 2, 10]))]
    return network_of(rng, graphs, 8)


def _symmetric_graph(rng: random.Random) -> Graph:
    instance, free = op("batch_norm"), op("gelu")
    nodes = [Node(INPUT, ())]
    layer = [0]
    for _ in range(rng.choice([1, 2, 3, 6])):
        count, degree = rng.choice([4, 8, 12, 20, 60]), rng.choice([1, 2, 3, 5])
        made = []
        for i in range(count):
            if rng.random() < 0.5:
                read = tuple([layer[(i * rng.choice([1, 1, 3]) + j * j) % len(layer)] for j in range(degree)])
            else:
                read = tuple(rng.choices(layer, k=degree))
            nodes.append(Node(op(rng.choice(["add", "multiply"])) if degree > 1 else rng.choice([instance, free]), read))
            nodes.append(Node(instance, (len(nodes) - 1,)))
            made.append(len(nodes) - 1)
        layer = made
    nodes.append(Node(op("add"), tuple(layer)))
    return Graph(tuple(nodes), len(nodes) - 1)


def large(rng: random.Random) -> bytes:
    """As much as fits: long chains, wide sums, many slices, zeros before everything, one graph in thousands of blocks."""
    how = rng.randrange(6)
    width = 4096 if how == 2 else rng.choice([8, 64])
    count = rng.choice([300, 2000])
    nodes = [Node(INPUT, ())]
    if how == 0:
        chain = [op(rng.choice(["gelu", "batch_norm", "dropout", "sigmoid", "max_pool", "softmax"])) for _ in range(3)]
        nodes += [Node(chain[i % 3], (i,)) for i in range(count)]
    elif how == 1:
        nodes += [Node(op("batch_norm"), (0,)) for _ in range(count // 10)]
        nodes.append(Node(op(rng.choice(["add", "multiply"])), tuple(rng.choices(range(len(nodes)), k=10_000))))
    elif how == 2:
        pieces = rng.choice([64, 512])
        nodes += [Node(op("slice", index=i, count=pieces), (0,)) for i in range(pieces)]
        order = list(range(1, pieces + 1))
        rng.shuffle(order)
        nodes.append(Node(op("concat"), tuple(order)))
    elif how == 3:
        nodes.append(Node(op("zero"), (0,)))
        nodes += [Node(op(rng.choice(["gelu", "batch_norm", "mask"])), (i + 1,)) for i in range(count)]
    elif how == 4:
        nodes += [Node(op("add"), (i, max(0, i - rng.choice([1, 2])))) for i in range(count)]
    else:
        nodes += [Node(op("batch_norm"), (rng.randrange(len(nodes)),)) for _ in range(count // 4)]
        for _ in range(count // 4):
            nodes.append(Node(op("add"), tuple(rng.choices(range(len(nodes)), k=3))))
    graph = Graph(tuple(nodes), len(nodes) - 1)
    zero = Graph((Node(INPUT, ()), Node(op("zero"), (0,))), 1)
    written = {"g0": zero.text.split("\n"), "g1": graph.text.split("\n")}
    row = rng.choice([["g1", "g1"], {"plain": ["g0", *["g1"] * 15]}, {"plain": ["g1"] * 16}])
    room = max(1, (LARGEST - len(json.dumps(written))) // len(json.dumps(row)))
    rows = [row] * min(1000, room)
    stages = [{"width": width, "blocks": rows} for _ in range(max(1, min(16, room // 1000)))]
    return json.dumps(
        {
            "format": "uninas-architecture",
            "version": 3,
            "classes": 10,
            "input_size": [224, 224],
            "in_channels": 3,
            "stem": [8, 16],
            "graphs": written,
            "stages": stages,
        }
    ).encode()
