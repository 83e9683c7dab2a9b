"""ConvNeXt-T (arXiv 2201.03545), as timm has it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from uninas.graph import Architecture, Graph, GraphBuilder
from uninas.networks.pieces import chain, conv, network, stage
from uninas.ops import op

_NORM = op("layer_norm")


def convnext(
    *,
    widths: Sequence[int] = (96, 192, 384, 768),
    depths: Sequence[int] = (3, 3, 9, 3),
    classes: int = 1000,
    input_size: tuple[int, int] = (224, 224),
) -> Architecture:
    """Build ConvNeXt: a stem of patches; each stage begins with a norm and patches of two; the head norms what is pooled."""
    stages, channels = [], widths[0]
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        down = () if number == 0 else (_NORM, conv(channels, width, 2, stride=2, bias=True))
        stages.append(stage(width, chain(*down), [_block()] * depth))
        channels = width
    stem = chain(conv(3, widths[0], 4, stride=4, bias=True), _NORM)
    return network(stem, stages, chain(op("global_average_pool"), _NORM), classes, input_size)


@cache
def _block() -> Graph:
    """Depthwise 7x7, LayerNorm, an MLP of 4, LayerScale; beside the input."""
    builder = GraphBuilder()
    deep = builder.chain(
        0,
        op("conv", kernel=7, groups="depthwise"),
        _NORM,
        op("conv", kernel=1, ratio=4),
        op("gelu"),
        op("conv", kernel=1, ratio="1/4"),
        op("layer_scale"),
    )
    return builder.build(builder.add(op("add"), deep, 0))
