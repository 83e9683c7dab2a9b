"""NAS-Bench-Macro (Su et al., arXiv 2103.11922): 6,561 networks of eight layers, each one of three blocks, for CIFAR-10.

A layer is an identity, a MobileNetV2 block of kernel 3 and expansion 3, or one of kernel 5 and expansion 6; it is written as a
digit, a network as eight: `12201201`.

The network (the authors' code, xiusu/NAS-Bench-Macro, train/model.py): a 3x3 convolution to 32 channels with BatchNorm and ReLU;
stages of 2, 3 and 3 layers at 64, 128 and 256 channels, whose first halves the resolution (an identity there is a 1x1 convolution
of stride 2 with BatchNorm); a 1x1 convolution to 1,280 with BatchNorm and ReLU; global average pooling, a linear layer. Where in
a stage the later identities stand makes no difference, so 3,969 of the networks differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Graph, GraphBuilder
from uninas.networks.pieces import chain, network, normed, stage
from uninas.ops import op
from uninas.spaces.choices import Product, shown

LAYERS = ("identity", "mb3_k3", "mb6_k5")
"""What a layer may be, in the order of its digits."""

_DEPTHS = (2, 3, 3)
_POSITIONS = tuple([f"layer{number}" for number in range(1, sum(_DEPTHS) + 1)])


def _network(genotype: Mapping[str, Any], classes: int, input_size: tuple[int, int]) -> Architecture:
    names = [genotype[position] for position in _POSITIONS]
    stages, channels, done = [], 32, 0
    for depth in _DEPTHS:
        first, *others = names[done : done + depth]
        stages.append(stage(2 * channels, _layer(first, channels, 2), [_layer(name, 2 * channels, 1) for name in others]))
        channels, done = 2 * channels, done + depth
    return network(chain(*normed(3, 32, 3)), stages, chain(*normed(channels, 1280)), classes, input_size)


@cache
def _layer(name: str, channels: int, stride: int) -> Graph:
    """Build a layer of `channels` channels; one of stride 2 doubles them."""
    out = stride * channels
    if name == "identity":
        return IDENTITY if stride == 1 else chain(*normed(channels, out, act=None, stride=stride))
    expansion, kernel = (3, 3) if name == "mb3_k3" else (6, 5)
    inner = expansion * channels
    builder = GraphBuilder()
    made = builder.chain(
        0,
        *normed(channels, inner),
        *normed(inner, inner, kernel, stride=stride, groups="depthwise"),
        *normed(inner, out, act=None),
    )
    return builder.build(made if stride == 2 else builder.add(op("add"), made, 0))


def _write(genotype: Mapping[str, Any]) -> str:
    return "".join(str(LAYERS.index(genotype[position])) for position in _POSITIONS)


def _read(text: str) -> dict[str, Any]:
    if len(text) != len(_POSITIONS) or not set(text) <= set("012"):
        raise InputError(f"nasbench_macro: expected eight digits 0, 1 or 2 such as 12201201, got {shown(text)!r}")
    return {position: LAYERS[int(digit)] for position, digit in zip(_POSITIONS, text, strict=True)}


SPACE = Product(
    name="nasbench_macro",
    positions=dict.fromkeys(_POSITIONS, LAYERS),
    network=_network,
    classes=10,
    input_size=(32, 32),
    first=dict.fromkeys(_POSITIONS, "mb3_k3"),
    write=_write,
    read=_read,
)
