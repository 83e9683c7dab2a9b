"""The MobileNetV2 space of Zen-NAS, ZiCo (arXiv 2301.11300), AZ-NAS (arXiv 2403.19232) and VKDNW, for ImageNet.

Inverted residuals whose channels, bottleneck, depth, kernel and expansion are searched, in networks of at most 14 layers (as
super-blocks count them: two inverted residuals each); the papers bound the MACs at about 450 M, which is the search's budget.
Space and first network are those of AZ-NAS's script search_AZ-NAS_flops450M-bs64.sh, whose search VKDNW adapts (appendix,
MobileNetV2); the last convolution keeps its 2,048 channels. See `super_blocks` for genotypes, text and layers.
"""

from __future__ import annotations

from uninas.spaces.super_blocks import INVERTED, SuperBlocks

SPACE = SuperBlocks(
    name="mobilenetv2",
    kinds=INVERTED,
    first=(
        "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,32,2,8,1)SuperResIDWE6K3(32,48,2,32,1)SuperResIDWE6K3(48,96,2,48,1)"
        "SuperResIDWE6K3(96,128,2,96,1)SuperConvK1BNRELU(128,2048,1,1)"
    ),
    most_layers=14,
    classes=1000,
    input_size=(224, 224),
    end_is_fixed=True,
)
