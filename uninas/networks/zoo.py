"""Published networks as graphs of this space, by timm's names: equal in parameters and, with timm's weights, in output.

    from uninas import preset
    preset("resnet50")

They prove that the space holds them, and are starts for a search.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from uninas.graph import Architecture
from uninas.networks.convnext import convnext
from uninas.networks.hybrids import coatnet_0, poolformer_s12
from uninas.networks.mobile import efficientnet_b0, mobilenetv2, mobilenetv3_large
from uninas.networks.residual import regnety, resnet
from uninas.networks.transformers import deit, pvt_v2_b1, swin

__all__ = ["ZOO"]

ZOO: dict[str, Callable[..., Architecture]] = {
    "resnet50": resnet,
    "resnext50_32x4d": partial(resnet, groups=32, group_width=4),
    "regnety_004": partial(regnety, widths=(48, 104, 208, 440), depths=(1, 3, 6, 6), group_width=8),
    "mobilenetv2_100": mobilenetv2,
    "mobilenetv3_large_100": mobilenetv3_large,
    "efficientnet_b0": efficientnet_b0,
    "convnext_tiny": convnext,
    "swin_tiny_patch4_window7_224": swin,
    "pvt_v2_b1": pvt_v2_b1,
    "deit_small_patch16_224": deit,
    "poolformer_s12": poolformer_s12,
    "coatnet_0_224": coatnet_0,
}
"""Name in timm -> what makes it; each takes `classes` and `input_size`."""
