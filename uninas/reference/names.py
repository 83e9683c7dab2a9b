"""The reference's names of layers, and which of our layers each one is.

Weights are converted by these names alone: `Layer` says for each layer of the reference which of ours it is, or which rows
of it (outputs of a convolution, channels of a norm, heads of a table). Rows are needed where several heads are one node of ours:
the reference keeps q0, k0, v0, q1, ... one after the other where we keep all queries, all keys, all values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from uninas.compile.layer_names import layer_names, subblock_prefix
from uninas.graph import Architecture, Graph
from uninas.ops import AttentionMap
from uninas.reference.classes import HEAD_DIM, LEAVES, Part

Fresh = tuple[tuple[str, tuple[int, ...], float], ...]


class Layer(NamedTuple):
    """A layer of the reference, with parameters.

    Attributes:
        theirs: its name there.
        ours: our layer's name; None where only the reference has it, since nothing reads what it makes.
        rows: which rows of our layer it is, in its order; None: all of them.
        fresh: (parameter, shape, value of its entries) of each, where `ours` is None.
    """

    theirs: str
    ours: str | None
    rows: tuple[int, ...] | None = None
    fresh: Fresh = ()


TABLES = {"table": "relative_position_bias_table"}
"""Our parameter -> the reference's name of it, where they differ. The reference's table is flat."""


def template_layers(architecture: Architecture) -> list[Layer]:
    """List the layers of stem, norms, shortcuts and head. An absent sub-block has a norm in the reference alone."""
    layers = [Layer("stem.conv1", "stem.conv1"), Layer("stem.norm1", "stem.norm"), Layer("stem.conv2", "stem.conv2")]
    channels = architecture.flows()[0].channels
    for s, stage in enumerate(architecture.stages):
        for b, block in enumerate(stage.blocks):
            at = f"stages.{s}.blocks.{b}."
            changes = b == 0 and channels != stage.width
            first, second = (graph is not None for graph in block.subblocks)
            if changes:
                layers.append(Layer(f"{at}shortcut.expand", f"{at}shortcut.project"))
            inner = "norm1.norm" if b == 0 else "norm1"
            layers.append(_norm(f"{at}{inner}", channels if b == 0 else stage.width, first))
            if changes:
                layers.append(_project(f"{at}norm1.down.expand", f"{at}norm1.project", channels, stage.width, first))
            layers.append(_norm(f"{at}norm2", stage.width, second))
        channels = stage.width
    return [*layers, Layer("norm", "norm"), Layer("head.fc", "head")]


def _norm(name: str, channels: int, exists: bool) -> Layer:
    return Layer(name, name) if exists else Layer(name, None, None, (("weight", (channels,), 1.0), ("bias", (channels,), 0.0)))


def _project(theirs: str, ours: str, channels: int, made: int, exists: bool) -> Layer:
    return Layer(theirs, ours) if exists else Layer(theirs, None, None, _fresh_conv(channels, made))


def _fresh_conv(channels: int, made: int) -> Fresh:
    return (("weight", (made, channels, 1, 1), 0.0), ("bias", (made,), 0.0))


def tree_layers(graph: Graph, tree: Part, stage: int, block: int, sub: int) -> list[Layer]:
    """List the layers of a sub-block whose graph is written as that tree."""
    prefix = subblock_prefix(stage, block, sub)
    named = [None if name is None else f"{prefix}{name}" for name in layer_names(graph)]
    return list(_layers(tree, subblock_name(stage, block, sub), named, None))


def subblock_name(stage: int, block: int, sub: int) -> str:
    """Return what the reference calls a sub-block."""
    return f"stages.{stage}.blocks.{block}.subblock{sub + 1}"


_Share = tuple[int, int]
"""(head, heads): the share that a head has of each layer's rows."""


def _layers(part: Part, prefix: str, ours: Sequence[str | None], share: _Share | None) -> Iterator[Layer]:
    """Of a node called `prefix`, and of all in it."""
    if part.kind in LEAVES:
        operation, child = LEAVES[part.kind]
        if part.opens is not None and operation.spec.parameters is not None:
            yield Layer(f"{prefix}.{child}" if child else prefix, ours[part.opens], None if share is None else _rows(part, share))
    elif part.kind == "ForkMergeAttention":
        yield from _attention_layers(part, prefix, ours)
    elif part.kind in ("ExpandAndReduce", "ReduceAndExpand"):
        assert part.closes is not None
        yield _known(f"{prefix}.resize1", part.opens, ours, part.type[0], part.inner_channels)
        yield from _layers(part.inner[0], f"{prefix}.sequential", ours, share)
        yield Layer(f"{prefix}.resize2", ours[part.closes])
    elif part.kind == "AvgAndUpsample":
        yield from _layers(part.inner[0], f"{prefix}.sequential", ours, share)
    else:
        children = "sequential" if part.kind == "SequentialModule" else "branches"
        for i, inner in enumerate(part.inner):
            yield from _layers(inner, f"{prefix}.{children}.{i}", ours, share)


def _known(name: str, opens: int | None, ours: Sequence[str | None], channels: int, made: int) -> Layer:
    return Layer(name, None, None, _fresh_conv(channels, made)) if opens is None else Layer(name, ours[opens])


def _attention_layers(part: Part, prefix: str, ours: Sequence[str | None]) -> Iterator[Layer]:
    channels, heads = part.type[0], part.heads
    qkv = _known(f"{prefix}.qkv.conv", part.opens, ours, channels, 3 * channels)
    yield qkv if not part.fused or qkv.ours is None else qkv._replace(rows=regrouped(heads))
    for name, group in zip(("branches", "connections", "post_branches"), part.of_heads(), strict=True):
        for i, inner in enumerate(group):
            share = (i * heads // len(group), heads) if part.fused else None
            yield from _layers(inner, f"{prefix}.{name}.{i}", ours, share)


@cache
def regrouped(heads: int) -> tuple[int, ...]:
    """Return the rows of our convolution to queries, keys and values in the reference's order: those of q0, k0, v0, q1, ..."""
    return tuple(
        piece * heads * HEAD_DIM + head * HEAD_DIM + i for head in range(heads) for piece in range(3) for i in range(HEAD_DIM)
    )


def _rows(part: Part, share: _Share) -> tuple[int, ...]:
    """The rows of a layer of all heads that belong to one of them."""
    head, heads = share
    each = 1 if type(part.type) is AttentionMap else part.type[0] // heads
    return tuple(range(head * each, (head + 1) * each))
