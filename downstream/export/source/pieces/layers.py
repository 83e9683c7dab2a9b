"""Layers with parameters or randomness."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from downstream.export.source.pieces.maps import resized, resized_table, strided


class LayerNorm2d(nn.Module):
    """LayerNorm over the channels of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


class BranchLayerNorm2d(nn.Module):
    """LayerNorm over the channels of each of some branches, which lie one after the other in (B, C, H, W)."""

    def __init__(self, branches: int, channels: int) -> None:
        super().__init__()
        self.branches = branches
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        grouped = x.reshape(x.shape[0], self.branches, -1, x.shape[2], x.shape[3]).movedim(2, -1)
        normed = F.layer_norm(grouped, [grouped.shape[-1]], eps=1e-6).movedim(-1, 2).flatten(1, 2)
        return normed * self.weight[:, None, None] + self.bias[:, None, None]


class GroupNorm(nn.GroupNorm):
    """GroupNorm that also takes groups of one entry, which torch's own refuses."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) -> (B, C, ...)."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps, torch.backends.cudnn.enabled)


class LayerScale(nn.Module):
    """A learned factor for each channel (arXiv 2103.17239)."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * self.weight[:, None, None]


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): in training each sample becomes zero with probability p, or grows by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(p)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        kept = self.dropout(x.new_ones([x.shape[0], 1]))
        return (x.flatten(1) * kept).reshape(x.shape)


class PaddedConv2d(nn.Module):
    """A convolution whose first window begins `padding` pixels before the map, below zero inside of it.

    Zeros or a cut at the end give ceil(H / stride) rows and ceil(W / stride) columns.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias)
        self.stride = stride
        self.extent = dilation * (kernel - 1) + 1
        self.padding = padding

    def missing(self, side: int) -> int:
        """Return how many pixels the last window lacks along a side; below zero, how many are left over."""
        return (strided(side, self.stride) - 1) * self.stride + self.extent - side - self.padding

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        before, inside = max(self.padding, 0), max(-self.padding, 0)
        x = F.pad(x, [before, self.missing(x.shape[3]), before, self.missing(x.shape[2])])
        made: Tensor = self.conv(x[:, :, inside:, inside:])
        return made


class Downsample(nn.Module):
    """Average pooling of 2, then a 1x1 convolution where the width changes."""

    def __init__(self, channels: int, width: int, ceil_mode: bool = True) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2, ceil_mode=ceil_mode, count_include_pad=False)
        self.project = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, width, H / 2, W / 2)."""
        made: Tensor = self.project(self.pool(x))
        return made


class Stem(nn.Module):
    """Two 3x3 convolutions, of which the first halves the resolution."""

    def __init__(self, channels: int, inner: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, out, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, out, ceil(H / 2), ceil(W / 2))."""
        made: Tensor = self.conv2(F.gelu(self.norm(self.conv1(x))))
        return made


class ClassToken(nn.Module):
    """A learned token in front of the pixels (arXiv 2010.11929); with `position` a vector for its place is added."""

    def __init__(self, channels: int, position: bool = False) -> None:
        super().__init__()
        self.token = nn.Parameter(nn.init.trunc_normal_(torch.empty(channels), std=0.02))
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty(channels), std=0.02)) if position else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 1 + H * W, 1)."""
        token = self.token
        if self.position is not None:
            token = token + self.position
        return torch.cat([token[:, None].expand(x.shape[0], -1, -1), x.flatten(2)], 2)[..., None]


class PositionEmbedding(nn.Module):
    """A learned offset for each channel and pixel; at another size than its own it is resized bicubically."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(nn.init.trunc_normal_(torch.empty(channels, height, width), std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        embedding = self.embedding
        if embedding.shape[1] != x.shape[2] or embedding.shape[2] != x.shape[3]:
            wide = embedding if embedding.dtype == torch.float64 else embedding.float()
            size = [x.shape[2], x.shape[3]]
            wide = F.interpolate(wide[None], size, mode="bicubic", align_corners=False, antialias=True)
            embedding = wide[0].to(embedding.dtype)
        return x + embedding


class TokenLinear(nn.Module):
    """A linear layer over the pixels of a map, the same for each channel (arXiv 2105.01601).

    A map of another size is resized to the layer's, and what is made of it back.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height = height
        self.width = width
        self.linear = nn.Linear(height * width, height * width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        made = self.linear(resized(x, self.height, self.width).flatten(2))
        return resized(made.reshape(x.shape[0], x.shape[1], self.height, self.width), x.shape[2], x.shape[3])


class RowColumnBias(nn.Module):
    """A learned bias for each pixel of a map by the offset between its row and its column, read as positions of a grid."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        offsets = 2 * math.ceil(math.sqrt(max(height, width))) - 1
        self.table = nn.Parameter(torch.zeros(1, offsets, offsets))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        side = math.ceil(math.sqrt(max(x.shape[2], x.shape[3])))
        offsets = 2 * side - 1
        table = resized_table(self.table, offsets, offsets)
        rows, columns = torch.arange(x.shape[2], device=x.device)[:, None], torch.arange(x.shape[3], device=x.device)
        row_y = torch.div(rows, side, rounding_mode="floor")
        column_y = torch.div(columns, side, rounding_mode="floor")
        down = row_y - column_y + side - 1
        across = rows % side - columns % side + side - 1
        return x + table.flatten()[down * offsets + across]
