"""The ResNet-like space of Zen-NAS for CIFAR, which T-CET searches under a million parameters (its section 4.4).

Residual and bottleneck blocks whose channels, bottleneck, depth and kernel are searched, in networks of at most 18 layers (a
super-block's count). First network and bounds are those of the authors' script Zen_NAS_cifar_params1M.sh. See `super_blocks` for
genotypes, text and layers.
"""

from __future__ import annotations

from uninas.spaces.super_blocks import BOTTLENECK, RESIDUAL, SuperBlocks

SPACE = SuperBlocks(
    name="zennas",
    kinds=(*BOTTLENECK, *RESIDUAL),
    first=(
        "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
        "SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
    ),
    most_layers=18,
    classes=100,
    input_size=(32, 32),
    widest=2048,
)
