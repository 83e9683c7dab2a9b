"""The hand-made networks of the UniNAS space (arXiv 2510.06035): resnet, efficientnet, vit, coatnet.

Each is a choice of block per position in the one template: R (ResNet), E (EfficientNet's MBConv), T (transformer). A sub-block
that such a block does not use is written as `zero`, as in the reference, whose norm2 then never receives a gradient.
"""

from __future__ import annotations

from functools import cache

from uninas.errors import InputError
from uninas.graph import Block, Graph, GraphBuilder
from uninas.ops import Op, op

DEPTHS = (2, 3, 5, 2)
STEM = (32, 64)


@cache
def zero() -> Graph:
    """Build a sub-block that contributes nothing."""
    builder = GraphBuilder()
    return builder.build(builder.add(op("zero"), 0))


@cache
def resnet_block() -> Graph:
    """Build conv3x3, BatchNorm, GELU, twice."""
    builder = GraphBuilder()
    conv, norm, act = op("conv", kernel=3), op("batch_norm"), op("gelu")
    return builder.build(builder.chain(0, conv, norm, act, conv, norm, act))


@cache
def mbconv(expansion: int = 4, kernel: int = 5, reduction: int = 4) -> Graph:
    """Build expansion, depthwise convolution, squeeze-and-excitation gate, reduction (EfficientNet's block)."""
    builder = GraphBuilder()
    norm, act = op("batch_norm"), op("gelu")
    expand = op("conv", kernel=1, ratio=expansion)
    depthwise = op("conv", kernel=kernel, groups="depthwise", bias=False)
    x = builder.chain(0, expand, norm, act, depthwise, norm, act)
    x = squeeze_excitation(builder, x, reduction)
    return builder.build(builder.chain(x, op("conv", kernel=1, ratio=f"1/{expansion}"), norm))


def squeeze_excitation(builder: GraphBuilder, x: int, reduction: int = 4) -> int:
    """Add multiply(x, sigmoid(broadcast(expand(gelu(reduce(pool(x)))))))."""
    squeezed = builder.chain(x, op("global_average_pool"), op("conv", kernel=1, ratio=f"1/{reduction}"), op("gelu"))
    gate = builder.chain(squeezed, op("conv", kernel=1, ratio=reduction), op("broadcast"), op("sigmoid"))
    return builder.add(op("multiply"), x, gate)


@cache
def attention_block(head_dim: int = 32) -> Graph:
    """Build multi-head self-attention with a relative position bias, and its output projection."""
    builder = GraphBuilder()
    return builder.build(builder.add(op("conv", kernel=1), attention(builder, 0, head_dim)))


def attention(builder: GraphBuilder, x: int, head_dim: int = 32, *, bias: bool = True, window: int = 0, shift: int = 0) -> int:
    """Add softmax(q^T k / sqrt(head_dim) [+ position bias]) v, with q, k, v from one 1x1 convolution; whole or in windows."""
    qkv = builder.add(op("conv", kernel=1, ratio=3), x)
    query, key, value = (builder.add(op("slice", index=i, count=3), qkv) for i in range(3))
    scores = builder.add(op("matmul_qk", head_dim=head_dim, window=window, shift=shift), query, key)
    inner: list[Op] = [op("relative_position_bias")] if bias else []
    return builder.add(op("matmul_av"), builder.chain(scores, *inner, op("softmax")), value)


@cache
def mlp_block(expansion: int = 4) -> Graph:
    """Build expansion, LayerNorm, GELU, reduction."""
    builder = GraphBuilder()
    expand, reduce = op("conv", kernel=1, ratio=expansion), op("conv", kernel=1, ratio=f"1/{expansion}")
    return builder.build(builder.chain(0, expand, op("layer_norm"), op("gelu"), reduce))


def letter_block(letter: str) -> Block:
    """Build the reference's block of that letter: R, E or T."""
    if letter == "R":
        return Block((resnet_block(), zero()))
    if letter == "E":
        return Block((mbconv(), zero()))
    if letter == "T":
        return Block((attention_block(), mlp_block()))
    raise InputError(f"expected a block letter R, E or T, got {letter[:40]!r}")


PRESETS: dict[str, tuple[tuple[int, ...], str]] = {
    "resnet": ((64, 128, 384, 512), "RRRR"),
    "efficientnet": ((96, 192, 384, 512), "EEEE"),
    "vit": ((96, 192, 384, 768), "TTTT"),
    "coatnet": ((96, 192, 384, 768), "EETT"),
}
"""Name -> (widths, block letter of each stage)."""
