"""A space of one's own: how wide and deep a small network is, and what its last two stages are made of.

uninas space docs/examples/my_space.py
uninas search docs/examples/my_space.yaml
"""

from uninas.presets import attention_block, mbconv, mlp_block, resnet_block, zero

from uninas import Architecture, Block, Stage
from uninas.spaces import Product

BLOCKS = {
    "resnet": Block((resnet_block(), zero())),
    "mbconv_k3": Block((mbconv(kernel=3), zero())),
    "mbconv_k5": Block((mbconv(kernel=5), zero())),
    "transformer": Block((attention_block(head_dim=16), mlp_block())),
}


def network(genotype, classes, input_size):
    """Four stages of the template, each half as large and up to twice as wide as the one before."""
    kinds = ("resnet", "mbconv_k3", genotype["third"], genotype["fourth"])
    stages = []
    for number, (kind, depth) in enumerate(zip(kinds, genotype["depths"], strict=True)):
        stages.append(Stage(genotype["width"] * min(4, 2**number), (BLOCKS[kind],) * depth))
    return Architecture(tuple(stages), classes, input_size, stem=(8, genotype["width"]))


def legal(genotype):
    """Say what is wrong with a combination, or None."""
    if genotype["third"] == "transformer" != genotype["fourth"]:
        return "expected no convolutions behind a transformer"
    return None


SPACE = Product(
    name="my_space",
    positions={
        "width": (16, 24, 32),
        "depths": ([1, 1, 1, 1], [1, 1, 2, 1], [1, 2, 3, 1], [2, 2, 4, 2]),
        "third": tuple(BLOCKS),
        "fourth": tuple(BLOCKS),
    },
    network=network,
    legal=legal,
    classes=10,
    input_size=(64, 64),
)
