"""ResNet-50 (arXiv 1512.03385), ResNeXt-50 (arXiv 1611.05431) and RegNetY (arXiv 2003.13678), as timm has them."""

from __future__ import annotations

from collections.abc import Sequence

from uninas.graph import IDENTITY, Architecture, Graph, GraphBuilder
from uninas.networks.pieces import RELU, chain, gated, network, normed, stage
from uninas.ops import op


def resnet(
    *, groups: int = 1, group_width: int = 64, classes: int = 1000, input_size: tuple[int, int] = (224, 224)
) -> Architecture:
    """Build ResNet-50 or ResNeXt-50: bottleneck blocks, 3, 4, 6, 3 of them; the 3x3 convolution strides."""
    stages, channels = [], 64
    for depth, out, stride in zip((3, 4, 6, 3), (256, 512, 1024, 2048), (1, 2, 2, 2), strict=True):
        inner = out // 4 * groups * group_width // 64
        transition = _bottleneck(channels, inner, out, stride, groups)
        stages.append(stage(out, transition, [_bottleneck(out, inner, out, 1, groups)] * (depth - 1)))
        channels = out
    stem = chain(*normed(3, 64, 7, stride=2), op("max_pool", stride=2))
    return network(stem, stages, IDENTITY, classes, input_size)


def regnety(
    *,
    widths: Sequence[int],
    depths: Sequence[int],
    group_width: int,
    classes: int = 1000,
    input_size: tuple[int, int] = (224, 224),
) -> Architecture:
    """Build RegNetY: blocks as wide inside as outside, gated; a gate reduces to a quarter of what the block reads."""
    stages, channels = [], 32
    for width, depth in zip(widths, depths, strict=True):
        groups = width // group_width
        transition = _bottleneck(channels, width, width, 2, groups, reduced=round(channels / 4))
        block = _bottleneck(width, width, width, 1, groups, reduced=round(width / 4))
        stages.append(stage(width, transition, [block] * (depth - 1)))
        channels = width
    return network(chain(*normed(3, 32, 3, stride=2)), stages, IDENTITY, classes, input_size)


def _bottleneck(channels: int, inner: int, out: int, stride: int, groups: int, reduced: int = 0) -> Graph:
    """1x1, 3x3 and 1x1 convolution beside the input, which a 1x1 convolution fits where shapes differ."""
    builder = GraphBuilder()
    x = builder.chain(0, *normed(channels, inner), *normed(inner, inner, 3, stride=stride, groups=groups))
    if reduced:
        x = gated(builder, x, inner, reduced, RELU, op("sigmoid"))
    x = builder.chain(x, *normed(inner, out, act=None))
    fits = channels == out and stride == 1
    short = 0 if fits else builder.chain(0, *normed(channels, out, act=None, stride=stride))
    return builder.build(builder.add(RELU, builder.add(op("add"), x, short)))
