"""The residual networks of NDS (Radosavovic et al., arXiv 1905.13214, facebookresearch/nds): ResNet, ResNeXt-A, ResNeXt-B.

A network has three stages; each has its depth (blocks) and width (channels), in ResNeXt also a bottleneck ratio and a number of
groups. It is written in the order and with the numbers of the published `net` without the stem, ds:ws, or ds:ws:bot_muls:num_gs:
`12-12-12:24-24-40`, `16-1-4:64-128-16:0.25-0.25-0.25:2-1-2`. `text_of_net` gives that of a `net`.

The network (the authors' code, pycls, UniNet): a 3x3 convolution to 16 channels with BatchNorm and ReLU; stages at strides 1, 2
and 2, a block being ReLU of its input plus two 3x3 convolutions (ResNet), or a 1x1, a grouped 3x3 and a 1x1 one (ResNeXt, whose
inner width is the ratio of the outer one); where a block changes channels or sides, its input passes a 1x1 convolution of the
same stride with BatchNorm; global average pooling, a linear layer.

Counts. The published `params` are ours. The published `flops` are our MACs, five for each number that a BatchNorm puts out, and
one for each bias of the linear layer.

What differs. The paper says of ResNet that 9 depths from 1 to 24 and 12 widths from 16 to 256 lie about evenly on a logarithmic
scale (1,259,712 networks), but not which. So here is every depth from 1 to 24, and every width from 16 to 256 in steps of 8.
Those of ResNeXt are powers of two, and these spaces are the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Graph, GraphBuilder
from uninas.networks.pieces import NORM, RELU, chain, conv, network, normed, stage
from uninas.ops import Op, op
from uninas.spaces.choices import Product, shown

STEM = 16
"""Channels behind the stem."""

STRIDES = (1, 2, 2)
"""Strides of the three stages."""

_STAGES = range(1, len(STRIDES) + 1)
_PLAIN, _GROUPED = ("depth", "width"), ("depth", "width", "ratio", "groups")
_KEYS = {"depth": "ds", "width": "ws", "ratio": "bot_muls", "groups": "num_gs"}
_BLOCKS = {"res_basic_block": _PLAIN, "res_bottleneck_block": _GROUPED}
_EXAMPLES = {
    _PLAIN: "ds:ws such as 12-12-12:24-24-40",
    _GROUPED: "ds:ws:bot_muls:num_gs such as 16-1-4:64-128-16:1-0.5-0.25:2-1-2",
}


def text_of_net(net: Mapping[str, Any]) -> str:
    """Return the text of the network that NDS's files describe as `net`.

    Args:
        net: of ResNet.json, ResNeXt-A.json or ResNeXt-B.json: block_type, ds, ws, ss, and in ResNeXt bot_muls and num_gs, each
            with an entry for the stem first.

    Raises:
        InputError: another kind of block, a stem or strides that are not those of the networks for CIFAR-10, or lists of other
            lengths.
    """
    kind = net.get("block_type")
    groups = _BLOCKS.get(kind) if isinstance(kind, str) else None
    if groups is None:
        raise InputError(f"NDS: block_type: expected {' or '.join(_BLOCKS)}; got {shown(kind)}")
    parts = [_entries(net, _KEYS[group]) for group in groups]
    strides = _entries(net, "ss")
    stem = (parts[0][0], parts[1][0], strides[0])
    if stem != (1, STEM, 1) or tuple(strides[1:]) != STRIDES:
        expected = f"a stem of depth 1, width {STEM} and stride 1 before strides {', '.join(map(str, STRIDES))}"
        raise InputError(f"NDS: ds, ws, ss: expected {expected}; got stem {shown(stem)}, strides {shown(strides[1:])}")
    return ":".join("-".join(f"{number:g}" for number in part[1:]) for part in parts)


def _entries(net: Mapping[str, Any], key: str) -> list[Any]:
    """Return a list of numbers, one for the stem and one for each stage. Raises InputError."""
    found = net.get(key)
    fits = isinstance(found, Sequence) and not isinstance(found, str) and len(found) == 1 + len(STRIDES)
    if not fits or not all(isinstance(number, int | float) for number in found):  # type: ignore[union-attr]
        raise InputError(
            f"NDS: {key}: expected {1 + len(STRIDES)} numbers, of the stem and {len(STRIDES)} stages; got {shown(found)}"
        )
    return list(found)  # type: ignore[arg-type]


def _network(genotype: Mapping[str, Any], classes: int, input_size: tuple[int, int]) -> Architecture:
    stages, before = [], STEM
    for number, stride in zip(_STAGES, STRIDES, strict=True):
        width, inner, groups = genotype[f"width{number}"], 0, 1
        if f"ratio{number}" in genotype:
            inner, groups = round(width * genotype[f"ratio{number}"]), genotype[f"groups{number}"]
        others = [_block(width, width, 1, inner, groups)] * (genotype[f"depth{number}"] - 1)
        stages.append(stage(width, _block(before, width, stride, inner, groups), others))
        before = width
    return network(chain(*normed(3, STEM, 3)), stages, IDENTITY, classes, input_size)


@lru_cache(maxsize=1024)
def _block(before: int, width: int, stride: int, inner: int, groups: int) -> Graph:
    """Build a basic block, or with an `inner` width a bottleneck."""
    builder = GraphBuilder()
    short: int = 0
    if stride != 1 or before != width:
        short = builder.chain(0, conv(before, width, stride=stride), NORM)
    deep: tuple[Op, ...] = (*normed(before, width, 3, stride=stride), *normed(width, width, 3, act=None))
    if inner:
        grouped = normed(inner, inner, 3, stride=stride, groups=groups)
        deep = (*normed(before, inner), *grouped, *normed(inner, width, act=None))
    return builder.build(builder.chain(builder.add(op("add"), builder.chain(0, *deep), short), RELU))


def _space(name: str, options: Mapping[str, Sequence[Any]], first: Mapping[str, Sequence[Any]]) -> Product:
    """Make a space of these options for each stage; `first` has one of each for the stages in turn."""
    groups = tuple(options)

    def write(genotype: Mapping[str, Any]) -> str:
        return ":".join("-".join(f"{genotype[f'{group}{number}']:g}" for number in _STAGES) for group in groups)

    def read(text: str) -> dict[str, Any]:
        known = {group: {f"{option:g}": option for option in options[group]} for group in groups}
        parts = [part.split("-") for part in text.split(":")]
        if [len(part) for part in parts] != [len(STRIDES)] * len(groups):
            raise InputError(f"{name}: expected {_EXAMPLES[groups]}, got {shown(text)!r}")
        pairs = zip(groups, parts, strict=True)
        return {
            f"{group}{number}": known[group].get(one, one)
            for group, part in pairs
            for number, one in zip(_STAGES, part, strict=True)
        }

    return Product(
        name=name,
        positions={f"{group}{number}": options[group] for group in groups for number in _STAGES},
        network=_network,
        classes=10,
        input_size=(32, 32),
        first={f"{group}{number}": one for group, ones in first.items() for number, one in zip(_STAGES, ones, strict=True)},
        write=write,
        read=read,
    )


_DEPTHS, _RATIOS = (1, 2, 4, 8, 16), (1.0, 0.5, 0.25)
_BASE = {"depth": (2, 2, 2), "ratio": (0.25, 0.25, 0.25)}

RESNET = _space(
    "nds_resnet",
    {"depth": tuple(range(1, 25)), "width": tuple(range(16, 257, 8))},
    {"depth": (9, 9, 9), "width": (16, 32, 64)},
)
"""It begins with ResNet-56."""

RESNEXT_A = _space(
    "nds_resnext_a",
    {"depth": _DEPTHS, "width": (16, 32, 64, 128, 256), "ratio": _RATIOS, "groups": (1, 2, 4)},
    {**_BASE, "width": (64, 128, 256), "groups": (4, 4, 4)},
)

RESNEXT_B = _space(
    "nds_resnext_b",
    {"depth": _DEPTHS, "width": (64, 128, 256, 512, 1024), "ratio": _RATIOS, "groups": (1, 2, 4, 8, 16)},
    {**_BASE, "width": (64, 128, 256), "groups": (8, 8, 8)},
)

SPACES = {space.name: space for space in (RESNET, RESNEXT_A, RESNEXT_B)}
"""The three spaces by name."""
