"""BLOX (Chau et al., NeurIPS 2022, SamsungLabs/blox): 91,125 networks of three stages, each with its own block, for CIFAR-100.

A block is one of 45: an operation alone, two side by side, or two in a row, of which the second may also read the block's input
and may be bypassed. It is written as the authors' `arch_vec`, a list for each stage:
`[[[0],[1,1,1,1]],[[1],[1,1,0,0]],[[0],[0,1,1,0]]]`, each with the first operation, then the second and three flags: whether it
reads the first, whether it reads the block's input, and whether the first is added to what it makes. Several lists are the same
block (an operation that nothing reads, two side by side in either order): each is read, and one of them is written.

Operations of C channels, each convolution with bias, BatchNorm and ReLU:
  0 conv: four 3x3 convolutions;
  1 mbconv: twice, beside a skip, a 3x3 convolution to 2C, squeeze and excitation without reduction, a 1x1 one to C;
  2 bconv: six times, beside a skip, a 1x1 convolution to C/2, C or 2C in turn, a depthwise 5x5 one, a 1x1 one to C.

The network (the authors' code): a 3x3 convolution to 32 channels; in each stage the block, then a reduction that doubles the
channels: a 3x3 convolution of stride 2 and a 3x3 one, beside a 2x2 one of stride 2; global average pooling, a linear layer. It is
the corrected one, in which a block's first operation reads its input once: the release has it too, the paper's figures have not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations_with_replacement, product
from typing import Any

from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Graph, GraphBuilder, Stage
from uninas.networks.pieces import NORM, RELU, chain, conv, gated, network, stage
from uninas.ops import Op, op
from uninas.spaces.choices import Product, shown

OPERATIONS = ("conv", "mbconv", "bconv")
"""What a block is made of, in the order of the authors' numbers."""

CHANNELS = 32
"""Channels of the first stage; each further one has twice as many."""

_ALONE, _BESIDE = (0, 0, 1), (0, 1, 1)
_IN_A_ROW = ((1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1))
_NUMBERS = range(len(OPERATIONS))

BLOCKS: tuple[list[list[int]], ...] = (
    *[[[number], [0, *_ALONE]] for number in _NUMBERS],
    *[[[one], [other, *_BESIDE]] for one, other in combinations_with_replacement(_NUMBERS, 2)],
    *[[[one], [other, *flags]] for flags in _IN_A_ROW for one, other in product(_NUMBERS, repeat=2)],
)
"""The 45 blocks that differ, as one stage of `arch_vec`."""

_STAGES = ("stage1", "stage2", "stage3")


def block_of(written: object) -> list[list[int]] | None:
    """Return the entry of `BLOCKS` that a stage of `arch_vec` is, in whichever way it is written; None where it is none.

    Without an edge from the block's input to its output there is no network; the authors leave such ways out.
    """
    match written:
        case [[int() as first], [int() as second, int() as follows, int() as reads, int() as bypassed]]:
            flags = (follows, reads, bypassed)
        case _:
            return None
    if first not in _NUMBERS or second not in _NUMBERS or not set(flags) <= {0, 1} or flags == (0, 0, 0):
        return None
    if flags == (0, 1, 0):  # nothing reads the first
        return [[second], [0, *_ALONE]]
    if flags == _ALONE:  # the second reads nothing
        return [[first], [0, *_ALONE]]
    if flags == _BESIDE:
        first, second = sorted((first, second))
    return [[first], [second, *flags]]


def _network(genotype: Mapping[str, Any], classes: int, input_size: tuple[int, int]) -> Architecture:
    stages, channels = list[Stage](), CHANNELS
    for place in _STAGES:
        (first,), (second, *flags) = genotype[place]
        stages.append(stage(channels, _block(first, second, tuple(flags), channels), ()))
        stages.append(stage(2 * channels, _reduction(channels), ()))
        channels *= 2
    return network(chain(*_unit(3, CHANNELS, 3)), stages, IDENTITY, classes, input_size)


def _unit(channels: int, out: int, kernel: int = 1, *, stride: int = 1, groups: int | str = 1) -> tuple[Op, ...]:
    """Return a convolution with bias, BatchNorm, ReLU."""
    return conv(channels, out, kernel, stride=stride, groups=groups, bias=True), NORM, RELU


@lru_cache(maxsize=256)
def _block(first: int, second: int, flags: tuple[int, int, int], channels: int) -> Graph:
    builder = GraphBuilder()
    one = _operation(builder, 0, first, channels)
    if flags == _ALONE:
        return builder.build(one)
    follows, reads, bypassed = flags
    given = builder.add(op("add"), one, 0) if follows and reads else one if follows else 0
    other = _operation(builder, given, second, channels)
    return builder.build(builder.add(op("add"), other, one) if bypassed else other)


def _operation(builder: GraphBuilder, x: int, number: int, channels: int) -> int:
    if OPERATIONS[number] == "conv":
        return builder.chain(x, *_unit(channels, channels, 3) * 4)
    inner = [2 * channels] * 2 if OPERATIONS[number] == "mbconv" else [channels // 2, channels, 2 * channels] * 2
    for wide in inner:
        if OPERATIONS[number] == "mbconv":
            made = gated(builder, builder.chain(x, *_unit(channels, wide, 3)), wide, wide, RELU, op("sigmoid"))
        else:
            made = builder.chain(x, *_unit(channels, wide), *_unit(wide, wide, 5, groups="depthwise"))
        x = builder.add(op("add"), builder.chain(made, *_unit(wide, channels)), x)
    return x


@lru_cache(maxsize=8)
def _reduction(channels: int) -> Graph:
    builder = GraphBuilder()
    deep = builder.chain(0, *_unit(channels, 2 * channels, 3, stride=2), *_unit(2 * channels, 2 * channels, 3))
    return builder.build(builder.add(op("add"), deep, builder.chain(0, *_unit(channels, 2 * channels, 2, stride=2))))


def _write(genotype: Mapping[str, Any]) -> str:
    return json.dumps([genotype[place] for place in _STAGES], separators=(",", ":"))


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if len(text) < 1000 else None
    except ValueError:
        found = None
    blocks = [block_of(written) for written in found] if isinstance(found, list) else []
    if len(blocks) != len(_STAGES) or None in blocks:
        form = (
            "three blocks such as [[[0],[1,1,1,1]],[[1],[1,1,0,0]],[[0],[0,1,1,0]]], operations 0 to 2, flags 0 and 1 not all 0"
        )
        raise InputError(f"blox: expected {form}; got {shown(text)!r}")
    return dict(zip(_STAGES, blocks, strict=True))


SPACE = Product(
    name="blox",
    positions=dict.fromkeys(_STAGES, BLOCKS),
    network=_network,
    classes=100,
    input_size=(32, 32),
    write=_write,
    read=_read,
)
"""It begins with one `conv` in each stage."""
