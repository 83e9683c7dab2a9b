"""Functions of feature maps and attention maps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def strided(side: int, stride: int) -> int:
    """Return ceil(side / stride)."""
    return (side + stride - 1) // stride


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(B, C, H, W) -> (B, C * factor^2, ceil(H / factor), ceil(W / factor)); zeros fill the last tiles."""
    height, width = x.shape[2], x.shape[3]
    filled = F.pad(x, [0, strided(width, factor) * factor - width, 0, strided(height, factor) * factor - height])
    return F.pixel_unshuffle(filled, factor)


def banded(x: Tensor, width: int) -> Tensor:
    """x where its last two indices differ by at most `width`, 0 elsewhere."""
    return x.tril(width).triu(-width)


def zeros(x: Tensor, channels: int, stride: int = 1, tokens: int = 0) -> Tensor:
    """(B, channels, ...) of zeros at the size of x, strided, with class tokens in front; one pixel for stride 0."""
    height, width = (strided(x.shape[2], stride), strided(x.shape[3], stride)) if stride else (1, 1)
    if tokens:
        height, width = height * width + tokens, 1
    return x.new_zeros([x.shape[0], channels, height, width])


def zero_map(x: Tensor, heads: int, stride: int = 1, tokens: int = 0) -> Tensor:
    """(B, heads, N, N) of zeros, N the pixels and tokens of such a map as `zeros` makes."""
    made = zeros(x, heads, stride, tokens).flatten(2)
    return made[..., None].expand(-1, -1, -1, made.shape[2])


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, height, width), bilinearly."""
    if x.shape[2] == height and x.shape[3] == width:
        return x
    return F.interpolate(x, [height, width], mode="bilinear", align_corners=False)


def resized_table(table: Tensor, rows: int, columns: int) -> Tensor:
    """(tables, h, w) -> (tables, rows, columns), bilinearly: the offsets at both ends stay where they are."""
    if table.shape[1] == rows and table.shape[2] == columns:
        return table
    wide = table if table.dtype == torch.float32 or table.dtype == torch.float64 else table.float()
    made = F.interpolate(wide[None], [rows, columns], mode="bilinear", align_corners=True)
    return made[0].to(table.dtype)
