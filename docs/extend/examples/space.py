"""A search space: how wide and how deep the stages of a small residual network are.

uninas space docs/extend/examples/space.py
uninas search docs/extend/examples/space.yaml
"""

from collections.abc import Mapping
from typing import Any

from uninas import Architecture, Block, Stage
from uninas.networks.presets import resnet_block, zero
from uninas.spaces import Product

BLOCK = Block((resnet_block(), zero()))
WIDTHS = (16, 24, 32, 48)
DEPTHS = (1, 2, 3)


def network(genotype: Mapping[str, Any], classes: int, input_size: tuple[int, int]) -> Architecture:
    """Give the architecture of a genotype."""
    stages = [Stage(genotype[f"width{number}"], (BLOCK,) * genotype[f"depth{number}"]) for number in (1, 2, 3)]
    return Architecture(tuple(stages), classes, input_size, stem=(8, 16))


def legal(genotype: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a combination, or None."""
    if genotype["width1"] > genotype["width3"]:
        return "expected no stage narrower than an earlier one"
    return None


SPACE = Product(
    name="small_resnets",
    positions={f"width{number}": WIDTHS for number in (1, 2, 3)} | {f"depth{number}": DEPTHS for number in (1, 2, 3)},
    network=network,
    legal=legal,
    classes=10,
    input_size=(32, 32),
)
