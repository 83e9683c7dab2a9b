"""Swin-T (arXiv 2103.14030), PVTv2-B1 (arXiv 2106.13797), DeiT-S (arXiv 2012.12877), as timm has them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from uninas.graph import IDENTITY, Architecture, Block, Graph, GraphBuilder, Stage
from uninas.networks.pieces import chain, conv, network
from uninas.networks.presets import attention
from uninas.ops import op

_NORM, _PROJECT = op("layer_norm"), op("conv", kernel=1)


def swin(
    *,
    widths: Sequence[int] = (96, 192, 384, 768),
    depths: Sequence[int] = (2, 2, 6, 2),
    classes: int = 1000,
    input_size: tuple[int, int] = (224, 224),
) -> Architecture:
    """Build Swin: attention in windows of 7, every second block's shifted by 3; four neighbours become one pixel between stages.

    Each width is twice the one before.
    """
    stages = []
    for width, depth in zip(widths, depths, strict=True):
        merged = chain(op("space_to_depth"), _NORM, conv(4, 2))
        blocks = tuple([Block((_windowed(3 * (number % 2)), _mlp())) for number in range(depth)])
        stages.append(Stage(width, blocks, IDENTITY if width == widths[0] else merged))
    return network(chain(conv(3, widths[0], 4, stride=4, bias=True), _NORM), stages, None, classes, input_size)


def pvt_v2_b1(*, classes: int = 1000, input_size: tuple[int, int] = (224, 224)) -> Architecture:
    """Build PVTv2-B1: keys and values at a coarser stride, an MLP with a depthwise convolution; each stage ends in a norm."""
    widths, stages, channels = (64, 128, 320, 512), [], 64
    end = Block((chain(_NORM),), residual=False)
    for width, stride, expansion in zip(widths, (8, 4, 2, 1), (8, 8, 4, 4), strict=True):
        transition = IDENTITY if width == widths[0] else chain(conv(channels, width, 3, stride=2, bias=True), _NORM)
        blocks = (Block((_coarse_keys(stride), _mlp(expansion, depthwise=True))),) * 2
        stages.append(Stage(width, (*blocks, end), transition))
        channels = width
    return network(chain(conv(3, 64, 7, stride=4, bias=True), _NORM), stages, IDENTITY, classes, input_size)


def deit(*, width: int = 384, depth: int = 12, classes: int = 1000, input_size: tuple[int, int] = (224, 224)) -> Architecture:
    """Build DeiT: one resolution, patches of 16, a class token, which the classifier reads, heads of 64."""
    stem = chain(conv(3, width, 16, stride=16, bias=True), op("position_embedding"), op("class_token", position=True))
    stage = Stage(width, (Block((_attention(64), _mlp())),) * depth, IDENTITY, tokens=1)
    return network(stem, [stage], chain(_NORM, op("take_class_token")), classes, input_size)


@cache
def _attention(head_dim: int) -> Graph:
    builder = GraphBuilder()
    return builder.build(builder.add(_PROJECT, attention(builder, 0, head_dim, bias=False)))


@cache
def _windowed(shift: int) -> Graph:
    builder = GraphBuilder()
    return builder.build(builder.add(_PROJECT, attention(builder, 0, window=7, shift=shift)))


@cache
def _coarse_keys(stride: int) -> Graph:
    builder = GraphBuilder()
    query = builder.add(_PROJECT, 0)
    coarse = 0 if stride == 1 else builder.chain(0, op("conv", kernel=stride, stride=stride), _NORM)
    both = builder.add(op("conv", kernel=1, ratio=2), coarse)
    key, value = (builder.add(op("slice", index=i, count=2), both) for i in range(2))
    scores = builder.chain(builder.add(op("matmul_qk", head_dim=64), query, key), op("softmax"))
    return builder.build(builder.add(_PROJECT, builder.add(op("matmul_av"), scores, value)))


@cache
def _mlp(expansion: int = 4, *, depthwise: bool = False) -> Graph:
    inner = (op("conv", kernel=3, groups="depthwise"),) if depthwise else ()
    widen, narrow = op("conv", kernel=1, ratio=expansion), op("conv", kernel=1, ratio=f"1/{expansion}")
    return chain(widen, *inner, op("gelu"), narrow)
