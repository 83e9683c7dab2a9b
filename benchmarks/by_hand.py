"""Presets of ours written by hand from timm's blocks, with our parameters, one for one.

The blocks are LayerNorm2d, BatchNormAct2d, squeeze-and-excitation, Downsample2d, RelPosBias, and timm's attention with fused qkv
and scaled_dot_product_attention.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from uninas import Architecture
from uninas.compile.module import build
from uninas.runtime.torchvision_repair import repair

repair()

from timm import __version__ as timm_version  # noqa: E402
from timm.layers import BatchNormAct2d, LayerNorm2d, RelPosBias, SEModule  # noqa: E402
from timm.models.maxxvit import Attention2d, Downsample2d  # noqa: E402

__all__ = ["BLOCKS", "by_hand", "timm_version"]


class MBConv(nn.Module):
    """x = shortcut(x) + MBConv(norm(x)), expansion 4, depthwise 5x5, squeeze-and-excitation."""

    def __init__(self, channels: int, width: int, side: int, *, first: bool) -> None:
        super().__init__()
        middle, norm = 4 * width, partial(BatchNormAct2d, act_layer=nn.GELU)
        self.shortcut = Downsample2d(channels, width) if first else nn.Identity()
        self.norm = LayerNorm2d(channels)
        self.down = Downsample2d(channels, width) if first else nn.Identity()
        self.expand = nn.Conv2d(width, middle, 1)
        self.norm1 = norm(middle)
        self.depthwise = nn.Conv2d(middle, middle, 5, padding=2, groups=middle, bias=False)
        self.norm2 = norm(middle)
        self.gate = SEModule(middle, rd_channels=width, act_layer=nn.GELU)
        self.reduce = nn.Conv2d(middle, width, 1)
        self.norm3 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        x = self.norm1(self.expand(self.down(self.norm(x))))
        x = self.gate(self.norm2(self.depthwise(x)))
        return shortcut + self.norm3(self.reduce(x))


class Mlp(nn.Module):
    """Expansion, LayerNorm, GELU, reduction."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.norm = nn.Conv2d(width, 4 * width, 1), LayerNorm2d(4 * width)
        self.act, self.fc2 = nn.GELU(), nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.norm(self.fc1(x))))


class Transformer(nn.Module):
    """x = shortcut(x) + attention(norm1(x)); x = x + mlp(norm2(x))."""

    def __init__(self, channels: int, width: int, side: int, *, first: bool) -> None:
        super().__init__()
        self.shortcut = Downsample2d(channels, width) if first else nn.Identity()
        self.norm1 = LayerNorm2d(channels)
        self.down = Downsample2d(channels, width) if first else nn.Identity()
        table = partial(RelPosBias, window_size=(side, side))
        self.attention = Attention2d(width, dim_head=32, head_first=False, rel_pos_cls=table)
        self.norm2, self.mlp = LayerNorm2d(width), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shortcut(x) + self.attention(self.down(self.norm1(x)))
        return x + self.mlp(self.norm2(x))


class Residual(nn.Module):
    """x = shortcut(x) + (conv3x3, BatchNorm, GELU) twice (norm(x))."""

    def __init__(self, channels: int, width: int, side: int, *, first: bool) -> None:
        super().__init__()
        norm = partial(BatchNormAct2d, act_layer=nn.GELU)
        self.shortcut = Downsample2d(channels, width) if first else nn.Identity()
        self.norm = LayerNorm2d(channels)
        self.down = Downsample2d(channels, width) if first else nn.Identity()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1), norm(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1), norm(width)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        x = self.norm1(self.conv1(self.down(self.norm(x))))
        return shortcut + self.norm2(self.conv2(x))


Block = Callable[..., nn.Module]

BLOCKS: dict[str, tuple[Block, ...]] = {
    "resnet": (Residual, Residual, Residual, Residual),
    "coatnet": (MBConv, MBConv, Transformer, Transformer),
}
"""Preset -> the block of each stage."""


class ByHand(nn.Module):
    """A preset, by hand."""

    def __init__(self, name: str, widths: Sequence[int], depths: Sequence[int], classes: int, size: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False),
            BatchNormAct2d(32, act_layer=nn.GELU),
            nn.Conv2d(32, 64, 3, padding=1, bias=False),
        )
        blocks: list[nn.Module] = []
        channels, side = 64, size // 2
        for block, width, depth in zip(BLOCKS[name], widths, depths, strict=True):
            side //= 2
            for number in range(depth):
                blocks.append(block(channels, width, side, first=number == 0))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.head = LayerNorm2d(channels), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.stem(x))).mean((2, 3)))


def pairs(ours: nn.Module, theirs: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """The parameters of both, one beside the other, by where they are; tables in our shape.

    Within a residual block ours lists the two sub-blocks after their norms, timm's attention the table after qkv: both go from
    input to output, so the order of modules is the same up to the projection of the first norm.
    """
    mine = [p for _, p in ours.named_parameters()]
    other: list[Tensor] = []
    for _, module in theirs.named_modules():
        if isinstance(module, RelPosBias):
            heads, (height, width) = module.relative_position_bias_table.shape[1], module.window_size
            other.append(module.relative_position_bias_table.detach().T.view(heads, 2 * height - 1, 2 * width - 1))
        else:
            other += list(module.parameters(recurse=False))
    if [p.shape for p in mine] != [p.shape for p in other]:
        raise SystemExit("the two networks do not have the same parameters: the comparison would be unfair")
    return list(zip(mine, other, strict=True))


def by_hand(name: str, architecture: Architecture, size: int) -> tuple[nn.Module, nn.Module, float, float]:
    """Ours and the hand-written one with equal weights, and by how much they differ.

    Returns:
        ours, the other, and the largest relative differences of the logits and of the input's gradient, in float64.
    """
    widths, depths = [s.width for s in architecture.stages], [len(s.blocks) for s in architecture.stages]
    ours, theirs = build(architecture).double(), ByHand(name, widths, depths, architecture.classes, size).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for mine, other in pairs(ours, theirs):
            if mine.dim() == 3:  # tables start at about zero, where they would prove nothing
                other.add_(torch.randn(mine.shape, generator=generator, dtype=torch.float64))
            mine.copy_(other)
    images = torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)
    made, gradients = [], []
    for module in (ours, theirs):
        x = images.clone().requires_grad_()
        logits = module(x)
        logits.square().sum().backward()
        assert x.grad is not None
        made.append(logits.detach())
        gradients.append(x.grad)
        module.zero_grad(set_to_none=True)
    return ours.float(), theirs.float(), _difference(*made), _difference(*gradients)


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())
