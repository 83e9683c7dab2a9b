"""TransNAS-Bench-101 (Duan et al., CVPR 2021, yawen-d/TransNASBench): the encoders of two spaces, trained on seven tasks each.

- `transnas_micro`, the cell level: 4,096 cells of four nodes whose six edges each carry one of four operations (none, skip, 1x1
  and 3x3 convolution, written 0 to 3). A node is the sum of its edges; an edge that computes is ReLU, convolution, BatchNorm. It
  is written `64-41414-1_02_333`: stem, modules, and nodes 1, 2 and 3 with their edges from earlier nodes.
- `transnas_macro`, the skeleton level: 3,256 sequences of four to six modules of ResNet's basic block (ReLU, 3x3 convolution,
  BatchNorm, twice). It is written `64-1234-basic`.

A module is two cells or blocks, the first of which may double the channels (module types 2 and 4) or halve the resolution (3 and
4); type 1 does neither. Of a macro network one to three modules double and one to four halve.

The network (the authors' code): 3x3 convolutions of stride 2 to 32 and to 64 channels, each with BatchNorm, a ReLU between them;
the modules. Then comes the decoder of a task. Here it is global average pooling and a linear layer, which is the authors' own for
the classes of objects and of scenes and for room layouts. Of the other tasks a network here is their encoder
(`structure="backbone"`) with such a layer, C x classes + classes parameters of C channels. A skip that halves the resolution is
ReLU, two 1x1 convolutions to half of the channels each, of the even and of the odd rows and columns, and BatchNorm.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Graph, GraphBuilder, Stage
from uninas.networks.pieces import NORM, RELU, chain, conv, network, stage
from uninas.ops import op
from uninas.spaces.choices import Product, shown
from uninas.spaces.nasbench201 import EDGES

CHANNELS = 64
"""Channels behind the stem."""

MODULES = "41414"
"""The modules of every network of the micro space."""

CLASSES = 75
"""Outputs by default: the objects of `class_object`."""

SIDE = 256
"""Pixels of a side of the authors' inputs, of all tasks but jigsaw."""

_EDGE_OPERATIONS = ("none", "skip", "conv1x1", "conv3x3")
_EDGES = tuple([f"edge{source}{target}" for source, target in EDGES])
_MODULE_TYPES, _ABSENT = (1, 2, 3, 4), 0
_LEAST, _MOST = 4, 6
_PLACES = tuple([f"module{number}" for number in range(1, _MOST + 1)])


def _whole(modules: str, cell: tuple[str, ...], classes: int, input_size: tuple[int, int]) -> Architecture:
    """Build the network of modules, each of two cells; no cell is the basic block."""
    stem = chain(conv(3, CHANNELS // 2, 3, stride=2), NORM, RELU, conv(CHANNELS // 2, CHANNELS, 3, stride=2), NORM)
    stages, before = list[Stage](), CHANNELS
    for kind in map(int, modules):
        width, stride = before * (2 if kind in (2, 4) else 1), 2 if kind in (3, 4) else 1
        make = _cell if cell else _basic
        stages.append(stage(width, make(cell, before, width, stride), [make(cell, width, width, 1)]))
        before = width
    return network(stem, stages, IDENTITY, classes, input_size)


@lru_cache(maxsize=4096)
def _cell(cell: tuple[str, ...], before: int, width: int, stride: int) -> Graph:
    """Build a cell of six operations in the order of `EDGES`; edges from its input change width and resolution."""
    builder = GraphBuilder()
    nodes, names = [0], dict(zip(EDGES, cell, strict=True))
    for target in range(1, 4):
        made = []
        for source in range(target):
            width_in, step = (before, stride) if source == 0 else (width, 1)
            made.append(_edge(builder, names[source, target], nodes[source], width_in, width, step))
        nodes.append(builder.add(op("add"), *made) if len(made) > 1 else made[0])
    return builder.build(nodes[-1])


def _edge(builder: GraphBuilder, name: str, source: int, before: int, width: int, stride: int) -> int:
    if name == "none":
        return builder.add(op("zero", ratio=f"{width}/{before}", stride=stride), source)
    if name != "skip":
        return builder.chain(source, RELU, conv(before, width, 3 if name == "conv3x3" else 1, stride=stride), NORM)
    if stride == 1 and before == width:
        return source
    active = builder.add(RELU, source)
    half = Fraction(width // 2, before)
    moved = op("conv", kernel=1, ratio=half, bias=False, stride=stride, padding=-1)  # by one row and one column
    halves = [builder.add(one, active) for one in (op("conv", kernel=1, ratio=half, bias=False, stride=stride), moved)]
    return builder.add(NORM, builder.add(op("concat"), *halves))


@lru_cache(maxsize=256)
def _basic(cell: tuple[str, ...], before: int, width: int, stride: int) -> Graph:
    """Build ResNet's basic block with its activations in front."""
    builder = GraphBuilder()
    deep = builder.chain(0, RELU, conv(before, width, 3, stride=stride), NORM, RELU, conv(width, width, 3), NORM)
    short = 0 if stride == 1 and before == width else builder.chain(0, conv(before, width, stride=stride), NORM)
    return builder.build(builder.add(op("add"), deep, short))


# --- the micro space --------------------------------------------------------------------------------------------------------


def _micro(genotype: Mapping[str, Any], classes: int, input_size: tuple[int, int]) -> Architecture:
    return _whole(MODULES, tuple([genotype[edge] for edge in _EDGES]), classes, input_size)


def _write_micro(genotype: Mapping[str, Any]) -> str:
    digits = "".join(str(_EDGE_OPERATIONS.index(genotype[edge])) for edge in _EDGES)
    return f"{CHANNELS}-{MODULES}-{digits[0]}_{digits[1:3]}_{digits[3:]}"


def _read_micro(text: str) -> dict[str, Any]:
    head, _, cell = text.rpartition("-")
    nodes = cell.split("_")
    if head != f"{CHANNELS}-{MODULES}" or list(map(len, nodes)) != [1, 2, 3] or not set("".join(nodes)) <= set("0123"):
        raise InputError(f"transnas_micro: expected a cell of digits 0 to 3 such as 64-41414-1_02_333, got {shown(text)!r}")
    return {edge: _EDGE_OPERATIONS[int(digit)] for edge, digit in zip(_EDGES, "".join(nodes), strict=True)}


MICRO = Product(
    name="transnas_micro",
    positions=dict.fromkeys(_EDGES, _EDGE_OPERATIONS),
    network=_micro,
    classes=CLASSES,
    input_size=(SIDE, SIDE),
    first=dict.fromkeys(_EDGES, "conv3x3"),
    write=_write_micro,
    read=_read_micro,
)
"""The space of all cells, each as it is written: dead edges stay in what `build` gives."""


# --- the macro space --------------------------------------------------------------------------------------------------------


def _modules(genotype: Mapping[str, Any]) -> str:
    return "".join(str(genotype[place]) for place in _PLACES if genotype[place] != _ABSENT)


def _macro(genotype: Mapping[str, Any], classes: int, input_size: tuple[int, int]) -> Architecture:
    return _whole(_modules(genotype), (), classes, input_size)


def _legal(genotype: Mapping[str, Any]) -> str | None:
    if genotype[_PLACES[-2]] == _ABSENT != genotype[_PLACES[-1]]:
        return f"expected no {_PLACES[-1]} without a {_PLACES[-2]}"
    kinds = [int(digit) for digit in _modules(genotype)]
    doubled, halved = sum(kind in (2, 4) for kind in kinds), sum(kind in (3, 4) for kind in kinds)
    if not 1 <= doubled <= 3:
        return f"expected one to three modules that double the channels (types 2 and 4); got {doubled}"
    return None if 1 <= halved <= 4 else f"expected one to four modules that halve the resolution (types 3 and 4); got {halved}"


def _write_macro(genotype: Mapping[str, Any]) -> str:
    return f"{CHANNELS}-{_modules(genotype)}-basic"


def _read_macro(text: str) -> dict[str, Any]:
    channels, _, rest = text.partition("-")
    digits, _, block = rest.partition("-")
    if (channels, block) != (str(CHANNELS), "basic") or not _LEAST <= len(digits) <= _MOST or not set(digits) <= set("1234"):
        raise InputError(f"transnas_macro: expected four to six digits 1 to 4 such as 64-1234-basic, got {shown(text)!r}")
    return dict(zip(_PLACES, [*map(int, digits), *[_ABSENT] * (_MOST - len(digits))], strict=True))


MACRO = Product(
    name="transnas_macro",
    positions={
        place: (_MODULE_TYPES if number <= _LEAST else (_ABSENT, *_MODULE_TYPES)) for number, place in enumerate(_PLACES, 1)
    },
    network=_macro,
    legal=_legal,
    classes=CLASSES,
    input_size=(SIDE, SIDE),
    first=_read_macro("64-1234-basic"),
    write=_write_macro,
    read=_read_macro,
)
"""The space of all skeletons; of the 3,256 no two are the same."""

SPACES = {space.name: space for space in (MICRO, MACRO)}
"""Both spaces by name."""
