"""The pooling-based vision transformers of Auto-Prox (Wei et al., AAAI 2024): PiT (Heo et al., arXiv 2103.16302) of other sizes.

Channels of a head, MLP ratio, and for each of three stages depth and heads; written as the columns of the published accuracies,
base_dim:mlp_ratio:depth:num_heads: `24:4:2-8-4:2-4-4`. A stage has no fewer heads than the one before, as all published networks:
between stages a depthwise convolution of stride 2 multiplies the channels.

The network (timm's pit.py, the authors' own): patches of 16 pixels that overlap, one every 8; a position embedding; stages of
transformer blocks (LayerNorm before attention and MLP, biases, GELU); LayerNorm and a linear layer.

What differs. A map with a class token is a sequence here: it has no neighbours that a convolution could pool, and a graph
cannot take the pixels out of it again. So there is no class token: the classifier reads the mean of the pixels, and the token and
the two linear layers that carry it from stage to stage are not there. With C1, C2, C3 channels, timm's network has
C1 + (C1 + 1) C2 + (C2 + 1) C3 parameters more, and no other. And 224 pixels are 28 patches a side here, the last of them filled
up with zeros, where theirs are 27 without any filling. So the space's own size is 216 pixels: 27 patches, as in theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Block, Graph, GraphBuilder, Stage
from uninas.networks.pieces import chain, conv, network
from uninas.networks.presets import attention
from uninas.ops import op
from uninas.spaces.choices import Product, shown

STAGES = 3
_HEADS, _DEPTHS = (2, 4, 8), ((1, 2, 3), (4, 6, 8), (2, 4, 6))
_GROUPS = {"depth": [f"depth{stage + 1}" for stage in range(STAGES)], "heads": [f"heads{stage + 1}" for stage in range(STAGES)]}
_NORM = op("layer_norm")


def _network(genotype: Mapping[str, Any], classes: int, input_size: tuple[int, int]) -> Architecture:
    head_dim, stages, before = genotype["base_dim"], list[Stage](), 0
    blocks = Block((_attention(head_dim), _mlp(genotype["mlp_ratio"])))
    for depth, heads in zip(_GROUPS["depth"], _GROUPS["heads"], strict=True):
        width = head_dim * genotype[heads]
        pooled = chain(conv(before, width, 3, stride=2, groups="depthwise", bias=True)) if before else IDENTITY
        stages.append(Stage(width, (blocks,) * genotype[depth], pooled))
        before = width
    patches = op("conv", kernel=16, stride=8, padding=0, ratio=conv(3, stages[0].width).values["ratio"])
    return network(chain(patches, op("position_embedding")), stages, chain(_NORM), classes, input_size)


@cache
def _attention(head_dim: int) -> Graph:
    builder = GraphBuilder()
    return builder.build(builder.add(op("conv", kernel=1), attention(builder, 0, head_dim, bias=False)))


@cache
def _mlp(expansion: int) -> Graph:
    return chain(op("conv", kernel=1, ratio=expansion), op("gelu"), op("conv", kernel=1, ratio=f"1/{expansion}"))


def _legal(genotype: Mapping[str, Any]) -> str | None:
    heads = [genotype[position] for position in _GROUPS["heads"]]
    return None if heads == sorted(heads) else f"expected no fewer heads than in the stage before; got {heads}"


def _write(genotype: Mapping[str, Any]) -> str:
    groups = ("-".join(str(genotype[position]) for position in positions) for positions in _GROUPS.values())
    return f"{genotype['base_dim']}:{genotype['mlp_ratio']}:{':'.join(groups)}"


def _read(text: str) -> dict[str, Any]:
    parts = [part.split("-") for part in text.split(":")]
    numbers = all(number.isascii() and number.isdigit() and len(number) < 6 for part in parts for number in part)
    if [len(part) for part in parts] != [1, 1, STAGES, STAGES] or not numbers:
        raise InputError(f"pit: expected base_dim:mlp_ratio:depth:num_heads such as 24:4:2-8-4:2-4-4, got {shown(text)!r}")
    positions = ["base_dim", "mlp_ratio", *_GROUPS["depth"], *_GROUPS["heads"]]
    return dict(zip(positions, (int(number) for part in parts for number in part), strict=True))


SPACE = Product(
    name="pit",
    positions={
        "base_dim": (16, 24, 32, 40),
        "mlp_ratio": (2, 4, 6, 8),
        **dict(zip(_GROUPS["depth"], _DEPTHS, strict=True)),
        **dict.fromkeys(_GROUPS["heads"], _HEADS),
    },
    network=_network,
    legal=_legal,
    classes=1000,
    input_size=(216, 216),
    first={"base_dim": 32, "mlp_ratio": 4, "depth1": 2, "depth2": 6, "depth3": 4, "heads1": 2, "heads2": 4, "heads3": 8},
    write=_write,
    read=_read,
)
"""It begins with PiT-Ti."""
