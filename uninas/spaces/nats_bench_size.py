"""The size search space of NATS-Bench (Dong et al., arXiv 2009.00437, section 3.2): 32,768 widths of one network for CIFAR.

The network is NAS-Bench-201's with one cell a stage: stem, cell, residual block of stride 2, cell, residual block of stride 2,
cell; each of the five has 8, 16, .. or 64 channels. The cell is the best of NAS-Bench-201 on CIFAR-100. Where a cell changes the
width, what reads its input does, and a skip from there becomes a 1x1 convolution with BatchNorm. It is written `8:8:16:40:40`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from uninas.errors import InputError
from uninas.graph import Architecture, Graph, GraphBuilder
from uninas.networks.pieces import NORM, RELU, chain, conv, network, stage
from uninas.ops import op
from uninas.spaces.choices import Product, shown
from uninas.spaces.nasbench201 import EDGES, parse_cell

WIDTHS = tuple(range(8, 65, 8))
"""Channels that a layer may have."""

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
"""The cell of every network."""

_POSITIONS = tuple([f"channels{layer}" for layer in range(1, 6)])


def _network(genotype: Mapping[str, Any], classes: int, input_size: tuple[int, int]) -> Architecture:
    widths = [genotype[position] for position in _POSITIONS]
    stages, before = [], widths[0]
    for layer, width in enumerate(widths):
        graph = _cell(before, width) if layer % 2 == 0 else _reduction(before, width)
        stages.append(stage(width, graph, ()))
        before = width
    return network(chain(conv(3, widths[0], 3), NORM), stages, chain(NORM, RELU), classes, input_size)


@lru_cache(maxsize=256)
def _cell(before: int, width: int) -> Graph:
    builder = GraphBuilder()
    nodes, names = [0], dict(zip(EDGES, parse_cell(CELL), strict=True))
    for target in range(1, 4):
        made = []
        for source in range(target):
            channels = before if source == 0 else width
            if names[source, target] == "nor_conv_3x3":
                made.append(builder.chain(nodes[source], RELU, conv(channels, width, 3), NORM))
            elif channels == width:
                made.append(nodes[source])
            else:
                made.append(builder.chain(nodes[source], conv(channels, width), NORM))
        nodes.append(builder.add(op("add"), *made) if len(made) > 1 else made[0])
    return builder.build(nodes[-1])


@lru_cache(maxsize=256)
def _reduction(before: int, width: int) -> Graph:
    """Two 3x3 convolutions, the first of stride 2, beside average pooling and a 1x1 one."""
    builder = GraphBuilder()
    deep = builder.chain(0, RELU, conv(before, width, 3, stride=2), NORM, RELU, conv(width, width, 3), NORM)
    short = builder.chain(0, op("average_pool", kernel=2, stride=2), conv(before, width))
    return builder.build(builder.add(op("add"), deep, short))


def _write(genotype: Mapping[str, Any]) -> str:
    return ":".join(str(genotype[position]) for position in _POSITIONS)


def _read(text: str) -> dict[str, Any]:
    parts = text.split(":")
    if len(parts) != len(_POSITIONS) or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        raise InputError(f"nats_bench_size: expected five widths such as 8:8:16:40:40, got {shown(text)!r}")
    return dict(zip(_POSITIONS, map(int, parts), strict=True))


SPACE = Product(
    name="nats_bench_size",
    positions=dict.fromkeys(_POSITIONS, WIDTHS),
    network=_network,
    classes=10,
    input_size=(32, 32),
    write=_write,
    read=_read,
)
