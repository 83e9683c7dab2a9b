"""The network of NAS-Bench-201 (arXiv 2001.00326) written down naively in torch, independently of the space under test.

A 3x3 stem with BatchNorm; three stages of equal cells at C, 2C, 4C channels; before the second and third a residual block of
stride 2; BatchNorm, ReLU, global average pooling, a linear layer. An edge that computes is ReLU, convolution, BatchNorm.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) of each operation, in the order of the string."""


def operations(arch_str: str) -> list[str]:
    """The six operation names of a cell's string, in the order of `EDGES`."""
    names = []
    for node in arch_str.split("+"):
        names += [entry.split("~")[0] for entry in node.strip("|").split("|")]
    return names


def relu_conv_bn(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """ReLU, bias-free convolution with same padding, BatchNorm."""
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(after))


class Cell(nn.Module):
    """Four nodes, each the sum of its edges from all earlier ones; the last is the output."""

    def __init__(self, names: list[str], channels: int) -> None:
        super().__init__()
        self.names = names
        self.edges = nn.ModuleList()
        for name in names:
            kernel = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}.get(name)
            self.edges.append(relu_conv_bn(channels, channels, kernel) if kernel else nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            total = torch.zeros_like(x)
            for name, edge, (source, end) in zip(self.names, self.edges, EDGES, strict=True):
                if end != target or name == "none":
                    continue
                read = nodes[source]
                if name == "avg_pool_3x3":
                    total = total + F.avg_pool2d(read, 3, stride=1, padding=1, count_include_pad=False)
                else:
                    total = total + edge(read)
            nodes.append(total)
        return nodes[3]


class Reduction(nn.Module):
    """Two 3x3 convolutions, the first of stride 2, beside average pooling and a 1x1 convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = relu_conv_bn(before, after, 3, stride=2)
        self.second = relu_conv_bn(after, after, 3)
        self.shortcut = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(F.avg_pool2d(x, 2, stride=2)) + self.second(self.first(x))


class TinyNetwork(nn.Module):
    """The whole network: input (B, in_channels, H, W) with H and W divisible by 4; output (B, classes)."""

    def __init__(self, arch_str: str, channels: int = 16, cells: int = 5, classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        names = operations(arch_str)
        self.stem = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        blocks: list[nn.Module] = []
        for stage in range(3):
            width = channels * 2**stage
            if stage:
                blocks.append(Reduction(width // 2, width))
            blocks += [Cell(names, width) for _ in range(cells)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.BatchNorm2d(4 * channels)
        self.classifier = nn.Linear(4 * channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(F.relu(self.norm(x)).mean((2, 3)))
