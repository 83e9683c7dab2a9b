"""Graphs of several operations that edits insert, each of one input and one output of equal type.

Those of the UniNAS space (arXiv 2510.06035) are in `uninas.networks.presets`; these are what other networks are made of.
"""

from __future__ import annotations

from functools import cache

from uninas.graph import Graph, GraphBuilder
from uninas.networks.presets import attention
from uninas.ops import Op, op

_CONV1, _GELU, _BATCH_NORM, _LAYER_NORM = op("conv", kernel=1), op("gelu"), op("batch_norm"), op("layer_norm")
_WIDEN, _NARROW = op("conv", kernel=1, ratio=4), op("conv", kernel=1, ratio="1/4")


def chain(*ops: Op) -> Graph:
    """Build a graph that is one path."""
    builder = GraphBuilder()
    return builder.build(builder.chain(0, *ops))


@cache
def fused_mbconv(expansion: int = 4) -> Graph:
    """Build a convolution that expands, and a reduction (EfficientNetV2, arXiv 2104.00298)."""
    wide = op("conv", kernel=3, ratio=expansion, bias=False)
    return chain(wide, _BATCH_NORM, _GELU, op("conv", kernel=1, ratio=f"1/{expansion}", bias=False), _BATCH_NORM)


@cache
def convnext_block() -> Graph:
    """Build depthwise 7x7, LayerNorm, an MLP of 4, LayerScale (arXiv 2201.03545)."""
    return chain(op("conv", kernel=7, groups="depthwise"), _LAYER_NORM, _WIDEN, _GELU, _NARROW, op("layer_scale"))


@cache
def depthwise_mlp() -> Graph:
    """Build an MLP with a depthwise convolution inside (PVTv2, arXiv 2106.13797)."""
    return chain(_WIDEN, op("conv", kernel=3, groups="depthwise"), _GELU, _NARROW)


@cache
def window_attention(shift: int = 0, window: int = 7) -> Graph:
    """Build attention in windows with a relative position bias, and its projection (Swin, arXiv 2103.14030)."""
    builder = GraphBuilder()
    return builder.build(builder.add(_CONV1, attention(builder, 0, window=window, shift=shift)))


@cache
def coarse_attention(stride: int = 2, head_dim: int = 32) -> Graph:
    """Build attention to keys and values of a coarser map (PVTv2, arXiv 2106.13797)."""
    builder = GraphBuilder()
    query = builder.add(_CONV1, 0)
    coarse = builder.chain(0, op("conv", kernel=stride, stride=stride), _LAYER_NORM)
    return _attended(builder, query, builder.add(op("conv", kernel=1, ratio=2), coarse), op("matmul_qk", head_dim=head_dim))


@cache
def shared_key_attention(share: int = 2, head_dim: int = 16) -> Graph:
    """Build attention in which `share` heads have the same keys and values (arXiv 1911.02150, 2305.13245)."""
    builder = GraphBuilder()
    query = builder.add(_CONV1, 0)
    return _attended(builder, query, builder.add(op("conv", kernel=1, ratio=f"2/{share}"), 0), op("matmul_qk", head_dim=head_dim))


@cache
def channel_attention(head_dim: int = 32) -> Graph:
    """Build attention between the channels of each head, linear in the pixels (XCiT, arXiv 2106.09681, without its norms)."""
    builder = GraphBuilder()
    query = builder.add(_CONV1, 0)
    scores = op("matmul_qk", head_dim=head_dim, over="channels")
    return _attended(builder, query, builder.add(op("conv", kernel=1, ratio=2), 0), scores)


def _attended(builder: GraphBuilder, query: int, both: int, scores: Op) -> Graph:
    """Softmax attention of the queries to a map that holds keys and values, projected."""
    key, value = (builder.add(op("slice", index=i, count=2), both) for i in range(2))
    attention_map = builder.chain(builder.add(scores, query, key), op("softmax"))
    return builder.build(builder.add(_CONV1, builder.add(op("matmul_av"), attention_map, value)))


@cache
def pool_mixer() -> Graph:
    """Build the mean of the neighbours less the pixel itself (PoolFormer, arXiv 2111.11418)."""
    builder = GraphBuilder()
    return builder.build(builder.add(op("add"), builder.add(op("average_pool"), 0), builder.add(op("negate"), 0)))


@cache
def dense_layers(layers: int = 2) -> Graph:
    """Build layers that each add half of the width to all layers before it, then a projection (DenseNet, arXiv 1608.06993)."""
    builder, x = GraphBuilder(), 0
    for layer in range(layers):
        grown = builder.chain(x, _BATCH_NORM, _GELU, op("conv", kernel=3, ratio=f"1/{2 + layer}", bias=False))
        x = builder.add(op("concat"), x, grown)
    return builder.build(builder.add(op("conv", kernel=1, ratio=f"2/{2 + layers}"), x))


@cache
def token_mixer() -> Graph:
    """Build a linear layer over pixels, gated by the input (gMLP, arXiv 2105.08050, in short)."""
    builder = GraphBuilder()
    mixed = builder.chain(0, _LAYER_NORM, op("token_linear"))
    return builder.build(builder.add(op("multiply"), 0, mixed))
