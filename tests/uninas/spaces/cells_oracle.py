"""Networks of two cells written down naively in torch, after DARTS' and NDS' papers and the layers that their codes list.

Layers are made in the order in which the spaces' graphs hold them, so weights go over one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def conv(before: int, after: int, kernel: Any = 1, stride: Any = 1, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = tuple(dilation * (side // 2) for side in sides)
    return nn.Conv2d(before, after, sides, stride, padding, dilation, groups, bias=False)


class Halved(nn.Module):
    """Factorised reduction: the even pixels and the odd ones through a convolution each."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.even, self.odd, self.norm = conv(before, after // 2), conv(before, after // 2), nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        made: Tensor = self.norm(torch.cat([self.even(x[:, :, ::2, ::2]), self.odd(x[:, :, 1::2, 1::2])], 1))
        return made


class Nothing(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return 0 * x[:, :, :: self.stride, :: self.stride]


def separable(channels: int, kernel: int, stride: int, dilation: int) -> list[nn.Module]:
    depthwise = conv(channels, channels, kernel, stride, channels, dilation)
    return [nn.ReLU(), depthwise, conv(channels, channels), nn.BatchNorm2d(channels)]


def layer(name: str, channels: int, stride: int) -> nn.Module:
    """What an edge carries."""
    first, kernel = name.split("_")[0], int(name[-1]) if name[-1].isdigit() else 0
    if name == "none":
        return Nothing(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Halved(channels, channels)
    if first == "avg":
        return nn.AvgPool2d(kernel, stride, kernel // 2, count_include_pad=False)
    if first == "max":
        return nn.MaxPool2d(kernel, stride, kernel // 2)
    if name in ("conv_3x1_1x3", "conv_7x1_1x7"):
        pair = conv(channels, channels, (1, kernel), (1, stride)), conv(channels, channels, (kernel, 1), (stride, 1))
        return nn.Sequential(nn.ReLU(), *pair, nn.BatchNorm2d(channels))
    if first == "conv":
        return nn.Sequential(nn.ReLU(), conv(channels, channels, kernel, stride), nn.BatchNorm2d(channels))
    dilation = 2 if first == "dil" else 1
    layers = separable(channels, kernel, stride, dilation)
    if "sep" in name:
        layers += separable(channels, kernel, 1, dilation)
    return nn.Sequential(*layers)


class OneCell(nn.Module):
    def __init__(
        self, nodes: Sequence[Any], out: Sequence[int], before: int, last: int, channels: int, halves: bool, finer: bool
    ):
        super().__init__()
        self.nodes, self.out = nodes, out
        relu_conv = [
            nn.Sequential(nn.ReLU(), conv(given, channels), nn.BatchNorm2d(channels)) for given in (before, last)[int(finer) :]
        ]
        self.bring = nn.ModuleList([*([Halved(before, channels)] if finer else []), *relu_conv])
        self.edges = nn.ModuleList()
        for edges in nodes:
            self.edges += [layer(name, channels, 2 if halves and source < 2 else 1) for name, source in edges]

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        states = [self.bring[0](before), self.bring[1](last)]
        for place, ((_, one), (_, other)) in enumerate(self.nodes):
            states.append(self.edges[2 * place](states[one]) + self.edges[2 * place + 1](states[other]))
        return torch.cat([states[node] for node in self.out], 1)


class CellNetwork(nn.Module):
    """`normal` and `reduce` are lists of ((operation, node), (operation, node)); `outs` the nodes that each concatenates."""

    def __init__(self, cells: Sequence[Any], outs: Sequence[Sequence[int]], width: int, depth: int, classes: int, imagenet: bool):
        super().__init__()
        if imagenet:
            half = width // 2
            self.stem = nn.Sequential(
                conv(3, half, 3, 2), nn.BatchNorm2d(half), nn.ReLU(), conv(half, width, 3, 2), nn.BatchNorm2d(width)
            )
            self.more: nn.Module | None = nn.Sequential(nn.ReLU(), conv(width, width, 3, 2), nn.BatchNorm2d(width))
            before = last = width
        else:
            self.stem, self.more = nn.Sequential(conv(3, 3 * width, 3), nn.BatchNorm2d(3 * width)), None
            before = last = 3 * width
        self.cells = nn.ModuleList()
        channels, finer = width, imagenet
        for index in range(depth):
            halves = index in (depth // 3, 2 * depth // 3)
            channels *= 2 if halves else 1
            nodes, out = cells[int(halves)], outs[int(halves)]
            self.cells.append(OneCell(nodes, out, before, last, channels, halves, finer))
            before, last, finer = last, channels * len(out), halves
        self.linear = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(x)
        if self.more is not None:
            last = self.more(before)
        for cell in self.cells:
            before, last = last, cell(before, last)
        logits: Tensor = self.linear(last.mean((2, 3)))
        return logits
