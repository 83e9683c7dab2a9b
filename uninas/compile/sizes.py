"""Sides of maps that may be symbols: in a program that is exported for any height and width (`torch.export`), no side is known.

What asks a side for its value would fix the program to some sizes. So where a side is a symbol, what is resized or filled only at
some sizes is always: the result is the same, bit for bit where nothing changes its size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def known(*sides: int) -> bool:
    """Return whether sides are numbers."""
    return not any(isinstance(side, torch.SymInt) for side in sides)


def whole_tiles(x: Tensor, tile: int) -> list[int]:
    """How much is missing at the right and below to whole tiles, as `torch.nn.functional.pad` takes it."""
    height, width = x.shape[2], x.shape[3]
    return [0, (width + tile - 1) // tile * tile - width, 0, (height + tile - 1) // tile * tile - height]


def average_tiles(x: Tensor, tile: int) -> Tensor:
    """(B, C, H, W) -> (B, C, ceil(H / tile), ceil(W / tile)): means of the pixels that exist; the last tiles may be cut off."""
    if known(x.shape[2], x.shape[3]):
        return F.avg_pool2d(x, tile, stride=tile, ceil_mode=True, count_include_pad=False)
    ends = whole_tiles(x, tile)
    share = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), ends), tile)
    return F.avg_pool2d(F.pad(x, ends), tile) / share


def largest_of_tiles(x: Tensor, tile: int) -> Tensor:
    """(B, C, H, W) -> (B, C, ceil(H / tile), ceil(W / tile)); the last tiles may be cut off."""
    if known(x.shape[2], x.shape[3]):
        return F.max_pool2d(x, tile, stride=tile, ceil_mode=True)
    return F.max_pool2d(F.pad(x, whole_tiles(x, tile), value=-torch.inf), tile)
