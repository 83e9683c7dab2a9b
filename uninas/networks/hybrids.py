"""PoolFormer-S12 (arXiv 2111.11418) and CoAtNet-0 (arXiv 2106.04803), as timm has them."""

from __future__ import annotations

from functools import cache

from uninas.graph import IDENTITY, Architecture, Block, Graph, GraphBuilder, Stage
from uninas.networks.pieces import chain, conv, gated, network, normed, stage
from uninas.networks.presets import attention_block
from uninas.ops import op

_NORM, _GELU, _HALVE = op("layer_norm"), op("gelu"), op("average_pool", kernel=2, stride=2)


def poolformer_s12(*, classes: int = 1000, input_size: tuple[int, int] = (224, 224)) -> Architecture:
    """Build PoolFormer-S12: average pooling in the place of attention."""
    stages, channels = [], 64
    for width, depth in zip((64, 128, 320, 512), (2, 2, 6, 2), strict=True):
        transition = IDENTITY if width == channels else chain(conv(channels, width, 3, stride=2, bias=True))
        stages.append(stage(width, transition, [_pooling()] * depth))
        channels = width
    stem = chain(op("conv", kernel=7, ratio="64/3", stride=4, padding=2))
    return network(stem, stages, chain(op("global_average_pool"), _NORM), classes, input_size)


@cache
def _pooling() -> Graph:
    """The mean of the neighbours less the pixel itself, then an MLP of 4; each scaled and beside its input."""
    builder = GraphBuilder()
    norm, scale = op("group_norm"), op("layer_scale", initial="1/100000")
    x = builder.add(norm, 0)
    mixed = builder.add(op("add"), builder.add(op("average_pool"), x), builder.add(op("negate"), x))
    x = builder.add(op("add"), 0, builder.add(scale, mixed))
    deep = builder.chain(x, norm, op("conv", kernel=1, ratio=4), _GELU, op("conv", kernel=1, ratio="1/4"), scale)
    return builder.build(builder.add(op("add"), x, deep))


def coatnet_0(*, classes: int = 1000, input_size: tuple[int, int] = (224, 224)) -> Architecture:
    """Build CoAtNet-0: two stages of inverted residuals, two of attention; the first block of each halves the resolution."""
    stages, channels = [], 64
    for width, depth in ((96, 2), (192, 3)):
        stages.append(stage(width, _inverted(channels, width, 2), [_inverted(width, width, 1)] * (depth - 1)))
        channels = width
    for width, depth in ((384, 5), (768, 2)):
        blocks = (Block((attention_block(), _mlp())),) * (depth - 1)
        stages.append(Stage(width, blocks, _halving_attention(channels, width)))
        channels = width
    stem = chain(*normed(3, 64, 3, _GELU, stride=2), conv(64, 64, 3))
    head = chain(op("global_average_pool"), _NORM, op("conv", kernel=1), op("tanh"))
    return network(stem, stages, head, classes, input_size)


@cache
def _mlp() -> Graph:
    return chain(op("conv", kernel=1, ratio=4), _GELU, op("conv", kernel=1, ratio="1/4"))


@cache
def _inverted(channels: int, width: int, stride: int) -> Graph:
    """A norm first; expansion 4 of what the block makes; the gate reduces to a quarter of that."""
    builder = GraphBuilder()
    inner = 4 * width
    short = 0 if stride == 1 else builder.chain(0, _HALVE, conv(channels, width, bias=True))
    x = builder.chain(0, op("batch_norm"), *normed(channels, inner, 1, _GELU))
    x = builder.chain(x, *normed(inner, inner, 3, _GELU, stride=stride, groups="depthwise"))
    x = gated(builder, x, inner, width // 4, op("silu"), op("sigmoid"))
    return builder.build(builder.add(op("add"), short, builder.add(conv(inner, width, bias=True), x)))


@cache
def _halving_attention(channels: int, width: int) -> Graph:
    """Norm, pooling, attention that widens, beside a pooled and projected input; then an MLP beside its own."""
    builder = GraphBuilder()
    pooled = builder.chain(0, _NORM, _HALVE, conv(channels, 3 * width, bias=True))
    query, key, value = (builder.add(op("slice", index=i, count=3), pooled) for i in range(3))
    scores = builder.chain(builder.add(op("matmul_qk", head_dim=32), query, key), op("relative_position_bias"), op("softmax"))
    attended = builder.add(op("conv", kernel=1), builder.add(op("matmul_av"), scores, value))
    x = builder.add(op("add"), builder.chain(0, _HALVE, conv(channels, width, bias=True)), attended)
    return builder.build(builder.add(op("add"), x, builder.include(_mlp(), builder.add(_NORM, x))))
