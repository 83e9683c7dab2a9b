"""MobileNetV2 (arXiv 1801.04381), MobileNetV3-Large (arXiv 1905.02244), EfficientNet-B0 (arXiv 1905.11946), as timm has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uninas.graph import Architecture, Graph, GraphBuilder, Stage
from uninas.networks.pieces import chain, conv, gated, network, normed, stage
from uninas.ops import Op, op


@dataclass(frozen=True)
class _Rows:
    """Equal blocks: how many, their width, kernel, inner channels by block, stride of the first, activation, and gates."""

    width: int
    kernel: int
    inner: Sequence[int]
    stride: int
    act: Op
    reduced: Sequence[int] = ()  # channels of each block's gate; none: no gate
    gate: Op | None = None
    gate_act: Op | None = None


def mobilenetv2(*, classes: int = 1000, input_size: tuple[int, int] = (224, 224)) -> Architecture:
    """Build MobileNetV2: inverted residuals, expansion 6."""
    act, before = op("relu6"), 32
    rows = []
    for width, depth, stride in ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)):
        factor = 1 if width == 16 else 6
        rows.append(_Rows(width, 3, [factor * before, *[factor * width] * (depth - 1)], stride, act))
        before = width
    return network(
        chain(*normed(3, 32, 3, act, stride=2)), _stages(32, rows), chain(*normed(320, 1280, 1, act)), classes, input_size
    )


def mobilenetv3_large(*, classes: int = 1000, input_size: tuple[int, int] = (224, 224)) -> Architecture:
    """Build MobileNetV3-Large: inverted residuals, some gated by a hard sigmoid; the head widens after the pooling."""
    act, relu = op("hardswish"), op("relu")
    gates = {"gate": op("hard_sigmoid"), "gate_act": relu}
    rows = [
        _Rows(16, 3, (16,), 1, relu),
        _Rows(24, 3, (64, 72), 2, relu),
        _Rows(40, 5, (72, 120, 120), 2, relu, (24, 32, 32), **gates),
        _Rows(80, 3, (240, 200, 184, 184), 2, act),
        _Rows(112, 3, (480, 672), 1, act, (120, 168), **gates),
        _Rows(160, 5, (672, 960, 960), 2, act, (168, 240, 240), **gates),
    ]
    head = chain(*normed(160, 960, 1, act), op("global_average_pool"), conv(960, 1280, bias=True), act)
    return network(chain(*normed(3, 16, 3, act, stride=2)), _stages(16, rows), head, classes, input_size)


def efficientnet_b0(*, classes: int = 1000, input_size: tuple[int, int] = (224, 224)) -> Architecture:
    """Build EfficientNet-B0: inverted residuals, expansion 6, each gated; a gate reduces to a quarter of what the block reads."""
    act, before = op("silu"), 32
    rows = []
    for width, depth, kernel, stride in (
        (16, 1, 3, 1),
        (24, 2, 3, 2),
        (40, 2, 5, 2),
        (80, 3, 3, 2),
        (112, 3, 5, 1),
        (192, 4, 5, 2),
        (320, 1, 3, 1),
    ):
        factor = 1 if width == 16 else 6
        reads = [before, *[width] * (depth - 1)]
        inner, reduced = [factor * read for read in reads], [read // 4 for read in reads]
        rows.append(_Rows(width, kernel, inner, stride, act, reduced, op("sigmoid"), act))
        before = width
    return network(
        chain(*normed(3, 32, 3, act, stride=2)), _stages(32, rows), chain(*normed(320, 1280, 1, act)), classes, input_size
    )


def _stages(channels: int, rows: Sequence[_Rows]) -> list[Stage]:
    stages = []
    for row in rows:
        graphs = []
        for number in range(len(row.inner)):
            graphs.append(_inverted(channels, row, number))
            channels = row.width
        stages.append(stage(row.width, graphs[0], graphs[1:]))
    return stages


def _inverted(channels: int, row: _Rows, number: int) -> Graph:
    """Expansion (unless there is none), depthwise convolution, gate, reduction; beside the input where shapes agree."""
    inner, stride = row.inner[number], row.stride if number == 0 else 1
    builder = GraphBuilder()
    x = 0 if inner == channels else builder.chain(0, *normed(channels, inner, 1, row.act))
    x = builder.chain(x, *normed(inner, inner, row.kernel, row.act, stride=stride, groups="depthwise"))
    if row.reduced:
        assert row.gate is not None
        assert row.gate_act is not None
        x = gated(builder, x, inner, row.reduced[number], row.gate_act, row.gate)
    x = builder.chain(x, *normed(inner, row.width, 1, None))
    if channels == row.width and stride == 1:
        x = builder.add(op("add"), x, 0)
    return builder.build(x)
