"""Sides of maps: which follow from which, and what to do where they are symbols.

In a program that is exported for any height and width (`torch.export`) no side is known, and what asks one for its value fixes
the program to some sizes. So where a side is a symbol, what is resized or filled at some sizes alone is resized or filled at all
of them: by nothing where nothing is missing, with the same result.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from uninas.ops import Type

is_scripting = torch.jit.is_scripting  # type: ignore[attr-defined]  # not in its list of names


def known(height: int, width: int) -> bool:
    """Return whether sides are numbers."""
    if is_scripting():  # it knows no symbols, nor their type
        return True
    return not _symbolic(height, width)


@torch.jit.unused
def _symbolic(height: int, width: int) -> bool:
    return isinstance(height, torch.SymInt) or isinstance(width, torch.SymInt)


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


def layer_size(made: Type, given: Type, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the map behind a value of that type in a graph that reads `given` at `size`."""
    return (1, 1) if made.pooled else full_size(made.stride, made.tokens - given[3], size)


def full_size(stride: int, more_tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a map `stride` times coarser than `size`; with `more_tokens` class tokens more, of a sequence."""
    height, width = strided_size(size, stride)
    return (height * width + more_tokens, 1) if more_tokens else (height, width)


def strided_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Height and width of a map `stride` times coarser than `size`; sides round up."""
    return size if stride == 1 else (-(-size[0] // stride), -(-size[1] // stride))
