"""The reference's classes: their leaves as our operations, and a sub-block as a tree of them.

A node of the reference may hold others: a sequence, what lies inside an expansion, the branches of a fork, the pieces of an
attention. Every node keeps the shape of what it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from uninas.ops import FeatureMap, Op, Type, op

HEAD_DIM = 32
HEADS = (3, 6, 12, 24)
"""Heads that the reference's attention may have, of 32 channels each."""

FACTOR = 4
"""Of an expansion, by default."""

MOST_BRANCHES = 3
"""Of a fork."""

LEAVES: dict[str, tuple[Op, str]] = {
    "Conv1": (op("conv", kernel=1), "conv"),
    "Conv3": (op("conv", kernel=3), "conv"),
    "ConvDepth3": (op("conv", kernel=3, groups="depthwise", bias=False), "conv"),
    "ConvDepth5": (op("conv", kernel=5, groups="depthwise", bias=False), "conv"),
    "BatchNorm": (op("batch_norm"), "bn"),
    "LayerNorm": (op("layer_norm"), "ln"),
    "GELU": (op("gelu"), ""),
    "Sigmoid": (op("sigmoid"), ""),
    "MaxPool": (op("max_pool"), ""),
    "Dropout": (op("dropout"), ""),
    "Identity": (op("identity"), ""),
    "Zero": (op("zero"), ""),
    "Softmax": (op("softmax"), ""),
    "Mask": (op("mask"), ""),
    "RelPosBias": (op("relative_position_bias"), ""),
}
"""Class -> (our operation, the name under which the reference keeps its parameters)."""

SHARED_TABLE = op("relative_position_bias", shared=True)
"""Of a map of several channels, within an expansion: the reference has one table for a map, whatever its channels."""

ON_FEATURES = op("row_column_bias")
"""What a RelPosBias is on a feature map."""

_BIASES = dict.fromkeys((SHARED_TABLE, ON_FEATURES), "RelPosBias")
CLASS_OF: dict[Op, str] = {operation: kind for kind, (operation, _) in LEAVES.items()} | _BIASES
"""Our operation -> class."""

EACH_CHANNEL = frozenset(
    {
        "SequentialModule",
        "AvgAndUpsample",
        "ConvDepth3",
        "ConvDepth5",
        "BatchNorm",
        "GELU",
        "Sigmoid",
        "MaxPool",
        "Dropout",
        "Identity",
        "Zero",
        "Softmax",
        "Mask",
        "RelPosBias",
    }
)
"""Classes that treat each channel (each map of an attention) by itself: on all heads at once they do what they do on each."""

FUSED = "fused"
"""A key of our own among an attention's params, which the reference ignores: its heads are equal and one node of ours."""


@dataclass(frozen=True)
class Part:
    """A node of the reference, and which nodes of our graph it stands for.

    Attributes:
        kind: its class.
        type: of what it reads and returns, in our graph.
        inner: the nodes in it. Of a SequentialModule one after the other; the one of an expansion or a global average; the
            branches of a fork; of an attention the pieces q0, k0, v0, q1, ..., then each head's map, then each head's result,
            of a fused one q, k, v, map and result.
        opens: our node of its own layer: of a leaf, of the first convolution of an expansion, of the one to q, k and v. None
            where it has none, or where only the reference has that layer.
        closes: our node of an expansion's second convolution.
        merge: how a fork ends: concat, add, multiply.
        factor: of an expansion.
        heads: of an attention.
        fused: whether the attention's heads are one node of ours.
    """

    kind: str
    type: Type
    inner: tuple[Part, ...] = ()
    opens: int | None = None
    closes: int | None = None
    merge: str = ""
    factor: int = 0
    heads: int = 0
    fused: bool = False

    def of_heads(self) -> tuple[tuple[Part, ...], tuple[Part, ...], tuple[Part, ...]]:
        """Return the pieces, maps and results of an attention, head by head."""
        heads, inner = self.heads, self.inner
        if self.fused:
            return inner[:3] * heads, inner[3:4] * heads, inner[4:] * heads
        return inner[: 3 * heads], inner[3 * heads : 4 * heads], inner[4 * heads :]

    @property
    def inner_channels(self) -> int:
        """Channels inside an expansion."""
        channels: int = self.type[0]
        return channels * self.factor if self.kind == "ExpandAndReduce" else channels // self.factor


def treats_each_channel(part: Part) -> bool:
    """Return whether a node on all heads at once does what it does on each; not what is in it.

    On a feature map a RelPosBias has one table, where each head would have its own.
    """
    if part.kind == "RelPosBias" and isinstance(part.type, FeatureMap):
        return False
    return part.kind in EACH_CHANNEL or part.merge in ("add", "multiply")


def bias_on_features(part: Part) -> Part | None:
    """Return a RelPosBias of a full feature map in a tree, if there is one."""
    if part.kind == "RelPosBias" and isinstance(part.type, FeatureMap) and not part.type.pooled:
        return part
    return next((found for inner in part.inner if (found := bias_on_features(inner)) is not None), None)


def is_axis(height: int, width: int) -> bool:
    """Return whether the reference's RelPosBias takes feature maps of that size: a^2 x a^2."""
    return height == width == isqrt(height) ** 2


def sequence(type_: Type, parts: tuple[Part, ...] = ()) -> Part:
    """Return a sequence of nodes."""
    return Part("SequentialModule", type_, parts)
