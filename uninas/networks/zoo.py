"""Published networks as graphs of this space, by timm's names: equal in parameters and, with timm's weights, in output.

    from uninas import preset
    preset("resnet50")

They prove that the space holds them, and are starts for a search.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from uninas.graph import Architecture
from uninas.networks.convnext import convnext
from uninas.networks.hybrids import coatnet_0, poolformer_s12
from uninas.networks.mobile import efficientnet_b0, mobilenetv2, mobilenetv3_large
from uninas.networks.residual import regnety, resnet
from uninas.networks.transformers import deit, pvt_v2_b1, swin

__all__ = ["SIDES", "ZOO", "Sides", "note_on_sizes"]

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


class Sides(NamedTuple):
    """Sides of an image at which a network's output is timm's: those that leave `over` when divided by `step`; and why no others.

    Maps of this space have ceil(side / stride) pixels, zeros filling up what windows lack at the end. timm leaves such rows and
    columns out in some places.
    """

    step: int
    over: tuple[int, ...]
    why: str

    def hold(self, size: tuple[int, int]) -> bool:
        """Return whether both sides are such."""
        return all(side % self.step in self.over for side in size)


SIDES: dict[str, Sides] = {
    "convnext_tiny": Sides(32, (0,), "timm leaves out last rows and columns that do not fill a patch, here zeros fill it up"),
    "poolformer_s12": Sides(4, (0, 3), "timm leaves out a last window of the stem that reaches beyond its padding"),
    "pvt_v2_b1": Sides(32, (0, 29, 30, 31), "timm leaves out last rows and columns of keys that do not fill a patch"),
    "swin_tiny_patch4_window7_224": Sides(
        224, (0,), "the zeros that fill a last window are keys to timm, and are masked here; and img_size= fixes timm's windows"
    ),
    "coatnet_0_224": Sides(1 << 16, (224,), "timm runs at the size that its tables are made for, here tables are resized"),
}
"""Published network -> where it is timm's; those that are not named are at any size. Those with tables of a size resize them."""


def note_on_sizes(name: str) -> str:
    """Say in one line at which sizes a published network's output is timm's; empty for one that is at any."""
    sides = SIDES.get(name)
    if sides is None:
        return ""
    rest = [over for over in sides.over if over % sides.step]
    more = f" or leaves {', '.join(map(str, rest))} over" if rest else ""
    where = f"{sides.step} divides height and width{more}" if 0 in sides.over else f"height and width are {rest[0]}"
    return f"timm's {name} to the output where {where}; elsewhere it differs: {sides.why}"
