"""The networks of NDS, TransNAS-Bench-101 and BLOX written down naively in torch, independently of the spaces under test.

Layers are made in the order in which the spaces' graphs hold them, so weights go over one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.uninas.spaces.oracles import Classifier, conv_bn

# --- NDS ---------------------------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """ReLU of a body plus its input, which is projected where the shape changes."""

    def __init__(self, body: nn.Module, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.short = nn.Sequential() if (before, stride) == (after, 1) else conv_bn(before, after, 1, stride, relu=False)
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.short(x) + self.body(x))


def nds(net: dict[str, list[float]]) -> nn.Module:
    """The network that a `net` describes, its stem as a stage of its own."""
    layers: list[nn.Module] = [conv_bn(3, 16, 3)]
    before = 16
    for stage in (1, 2, 3):
        width = int(net["ws"][stage])
        for block in range(int(net["ds"][stage])):
            stride = int(net["ss"][stage]) if block == 0 else 1
            if "bot_muls" in net:
                inner, groups = int(width * net["bot_muls"][stage]), int(net["num_gs"][stage])
                spatial = conv_bn(inner, inner, 3, stride, groups)
                body = nn.Sequential(conv_bn(before, inner), spatial, conv_bn(inner, width, relu=False))
            else:
                body = nn.Sequential(conv_bn(before, width, 3, stride), conv_bn(width, width, 3, relu=False))
            layers.append(Residual(body, before, width, stride))
            before = width
    return Classifier(nn.Sequential(*layers), before, 10)


# --- TransNAS-Bench-101 ------------------------------------------------------------------------------------------------------


class HalvedSkip(nn.Module):
    """ReLU, two convolutions that read every second pixel, the second of the map moved by one, BatchNorm."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.halves = nn.ModuleList([nn.Conv2d(before, after // 2, 1, 2, bias=False) for _ in range(2)])
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x)
        other = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        made: Tensor = self.norm(torch.cat([self.halves[0](x), self.halves[1](other)], 1))
        return made


def relu_conv_bn(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after))


class MicroCell(nn.Module):
    """A cell of nodes such as 1, 02, 333."""

    def __init__(self, nodes: Sequence[str], before: int, after: int, stride: int) -> None:
        super().__init__()
        self.nodes, self.edges = nodes, nn.ModuleDict()
        for target, digits in enumerate(nodes, 1):
            for source, digit in enumerate(digits):
                channels, step = (before, stride) if source == 0 else (after, 1)
                if digit in "23":
                    self.edges[f"{source}{target}"] = relu_conv_bn(channels, after, 1 if digit == "2" else 3, step)
                elif digit == "1":
                    self.edges[f"{source}{target}"] = nn.Identity() if step == 1 else HalvedSkip(channels, after)
        self.after, self.stride = after, stride

    def forward(self, x: Tensor) -> Tensor:
        shape = (len(x), self.after, *(-(-side // self.stride) for side in x.shape[2:]))
        values = [x]
        for target, digits in enumerate(self.nodes, 1):
            made = x.new_zeros(shape)
            for source in range(len(digits)):
                if f"{source}{target}" in self.edges:
                    made = made + self.edges[f"{source}{target}"](values[source])
            values.append(made)
        return values[-1]


class BasicBlock(nn.Module):
    """Two convolutions behind their activations, beside a skip that is projected where the shape changes."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(relu_conv_bn(before, after, 3, stride), relu_conv_bn(after, after, 3))
        self.short = nn.Sequential() if (before, stride) == (after, 1) else conv_bn(before, after, 1, stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.deep(x) + self.short(x)
        return made


def transnas(text: str, classes: int) -> nn.Module:
    """The encoder of an architecture string, and a linear layer."""
    _, modules, code = text.split("-")
    layers: list[nn.Module] = [conv_bn(3, 32, 3, 2, relu=False), relu_conv_bn(32, 64, 3, 2)]
    before = 64
    for kind in modules:
        after, stride = {"1": (before, 1), "2": (2 * before, 1), "3": (before, 2), "4": (2 * before, 2)}[kind]
        for width, step in ((before, stride), (after, 1)):
            if code == "basic":
                layers.append(BasicBlock(width, after, step))
            else:
                layers.append(MicroCell(code.split("_"), width, after, step))
        before = after
    return Classifier(nn.Sequential(*layers), before, classes)


# --- BLOX --------------------------------------------------------------------------------------------------------------------


def unit(before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    padding = kernel // 2 if kernel % 2 else 0
    conv = nn.Conv2d(before, after, kernel, stride, padding, groups=groups)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())


class Excited(nn.Module):
    """Squeeze and excitation without reduction."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.two(torch.relu(self.one(x.mean((2, 3), keepdim=True)))))
        return gate * x


class Repeated(nn.Module):
    """Bodies one after the other, each beside a skip."""

    def __init__(self, bodies: Sequence[nn.Module]) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)

    def forward(self, x: Tensor) -> Tensor:
        for body in self.bodies:
            x = x + body(x)
        return x


def blox_operation(number: int, channels: int) -> nn.Module:
    if number == 0:
        return nn.Sequential(*[unit(channels, channels, 3) for _ in range(4)])
    if number == 1:
        wide = 2 * channels
        return Repeated([nn.Sequential(unit(channels, wide, 3), Excited(wide), unit(wide, channels)) for _ in range(2)])
    inner = [channels // 2, channels, channels * 2] * 2
    return Repeated([nn.Sequential(unit(channels, w), unit(w, w, 5, groups=w), unit(w, channels)) for w in inner])


class BloxBlock(nn.Module):
    """A stage of `arch_vec`, operations that are not reached left out."""

    def __init__(self, first: int, second: int, flags: Sequence[int], channels: int) -> None:
        super().__init__()
        self.follows, self.reads, self.bypassed = flags
        self.one = blox_operation(first, channels) if self.follows or self.bypassed else None
        self.two = blox_operation(second, channels) if self.follows or self.reads else None

    def forward(self, x: Tensor) -> Tensor:
        first = None if self.one is None else self.one(x)
        if self.two is None:
            return first
        given = first + x if self.follows and self.reads else first if self.follows else x
        made = self.two(given)
        return made + first if self.bypassed else made


class BloxReduction(nn.Module):
    """Two 3x3 convolutions, the first of stride 2, beside a 2x2 one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(unit(channels, 2 * channels, 3, 2), unit(2 * channels, 2 * channels, 3))
        self.short = unit(channels, 2 * channels, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.deep(x) + self.short(x)
        return made


def blox(arch_vec: Sequence[Sequence[Sequence[int]]], classes: int = 100) -> nn.Module:
    layers: list[nn.Module] = [unit(3, 32, 3)]
    for stage, ((first,), (second, *flags)) in enumerate(arch_vec):
        channels = 32 * 2**stage
        layers += [BloxBlock(first, second, flags, channels), BloxReduction(channels)]
    return Classifier(nn.Sequential(*layers), 256, classes)
