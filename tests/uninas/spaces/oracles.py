"""The networks of the published spaces written down naively in torch, independently of the spaces under test.

Layers are made in the order in which the spaces' graphs hold them, so weights go over one by one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tests.uninas.running import distance, executed_macs, noise, scramble
from uninas import Architecture, cost
from uninas.compile.module import build


def differences(architecture: Architecture, oracle: nn.Module, size: int = 32) -> dict[str, object]:
    """What differs, parameters, MACs, or with one set of weights outputs in training and in evaluation: ours and the oracle's."""
    figures = cost(architecture, (size, size))
    counted = {
        "params": (figures.params, sum(p.numel() for p in oracle.parameters())),
        "macs": (figures.macs, executed_macs(oracle.eval(), (size, size))),
    }
    found: dict[str, object] = {name: both for name, both in counted.items() if both[0] != both[1]}
    scramble(oracle.double(), 0)
    module = build(architecture).double()
    kinds = nn.Conv2d | nn.BatchNorm2d | nn.Linear
    layers = [[part for part in net.modules() if isinstance(part, kinds)] for net in (oracle, module)]
    for one, other in zip(*layers, strict=True):
        other.load_state_dict(one.state_dict())
    x = noise(2, 3, size, size, dtype=torch.float64)
    for name, training in (("training", True), ("evaluation", False)):
        apart = distance(module.train(training)(x), oracle.train(training)(x))
        if not apart < 1e-10:  # nor NaN
            found[name] = apart
    return found


def conv_bn(before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True) -> nn.Sequential:
    """Bias-free convolution with same padding, BatchNorm, ReLU."""
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), *([nn.ReLU()] if relu else []))


class Classifier(nn.Module):
    """A body and a linear layer on its global average."""

    def __init__(self, body: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.body, self.linear = body, nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.body(x).mean((2, 3)))
        return logits


# --- NAS-Bench-101 -----------------------------------------------------------------------------------------------------------


class Cell101(nn.Module):
    """A cell of an adjacency matrix without anything to prune."""

    def __init__(self, matrix: Sequence[Sequence[int]], names: Sequence[str], before: int, out: int) -> None:
        super().__init__()
        self.matrix, count = matrix, len(matrix)
        leading = [v for v in range(1, count - 1) if matrix[v][count - 1]]
        self.widths = [before, *[0] * (count - 2), out]
        for place, v in enumerate(leading):
            self.widths[v] = out // len(leading) + (1 if place < out % len(leading) else 0)
        for v in reversed(range(1, count - 1)):
            if v not in leading:
                self.widths[v] = max(self.widths[w] for w in range(v + 1, count - 1) if matrix[v][w])
        self.projections: dict[int, nn.Module] = {}
        self.operations: dict[int, nn.Module] = {}
        self.layers = nn.ModuleList()
        for v in range(1, count):
            if matrix[0][v]:
                self.projections[v] = conv_bn(before, self.widths[v])
            if v < count - 1:
                kernel = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}.get(names[v - 1])
                made = nn.MaxPool2d(3, 1, 1) if kernel is None else conv_bn(self.widths[v], self.widths[v], kernel)
                self.operations[v] = made
            self.layers += [table[v] for table in (self.projections, self.operations) if v in table]

    def forward(self, x: Tensor) -> Tensor:
        last, values = len(self.matrix) - 1, [x]
        for v in range(1, last):
            terms = [values[w][:, : self.widths[v]] for w in range(1, v) if self.matrix[w][v]]
            terms += [self.projections[v](x)] if self.matrix[0][v] else []
            values.append(self.operations[v](sum(terms)))
        parts = [values[v] for v in range(1, last) if self.matrix[v][last]]
        made = torch.cat(parts, 1) if parts else 0
        return made + self.projections[last](x) if self.matrix[0][last] else made  # type: ignore[return-value]


def nasbench101(matrix: Sequence[Sequence[int]], names: Sequence[str], classes: int = 10, stem: int = 128) -> nn.Module:
    layers: list[nn.Module] = [conv_bn(3, stem, 3)]
    for stack in range(3):
        out = stem * 2**stack
        layers += [nn.MaxPool2d(2, 2)] if stack else []
        for module in range(3):
            layers.append(Cell101(matrix, names, out // 2 if stack and module == 0 else out, out))
    return Classifier(nn.Sequential(*layers), 4 * stem, classes)


# --- Zen-NAS -----------------------------------------------------------------------------------------------------------------


class Beside(nn.Module):
    """ReLU of a body plus its input, projected where that is wanted or needed."""

    def __init__(self, body: nn.Module, before: int, after: int, stride: int, project: bool) -> None:
        super().__init__()
        self.body, self.short = body, nn.Sequential()
        if project or before != after or stride > 1:
            self.short = nn.Sequential(nn.Conv2d(before, after, 1, stride), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.short(x))


def super_blocks(text: str, classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for kind, numbers in re.findall(r"(Super\w+)\(([\d,]+)\)", text):
        before, out, stride, *rest = map(int, numbers.split(","))
        assert before == channels
        channels = out
        if match := re.fullmatch(r"SuperConvK(\d)BNRELU", kind):
            layers.append(conv_bn(before, out, int(match[1]), stride))
            continue
        middle, depth = rest
        for layer in range(depth):
            one, way = (before, stride) if layer == 0 else (out, 1)
            if match := re.fullmatch(r"SuperResIDWE(\d)K(\d)", kind):
                factor, kernel = int(match[1]), int(match[2])
                for place, (a, b, s) in enumerate(((one, middle, way), (middle, out, 1))):
                    inner = factor * b
                    body = nn.Sequential(
                        conv_bn(a, inner), conv_bn(inner, inner, kernel, s, groups=inner), conv_bn(inner, b, relu=False)
                    )
                    layers.append(Beside(body, a, b, s, project=layer == 0 and place == 0))
            elif match := re.fullmatch(r"SuperResK1K(\d)K1", kind):
                for place, (a, s) in enumerate(((one, way), (out, 1))):
                    body = nn.Sequential(
                        conv_bn(a, middle), conv_bn(middle, middle, int(match[1]), s), conv_bn(middle, out, relu=False)
                    )
                    layers.append(Beside(body, a, out, s, project=layer == 0 and place == 0))
            else:
                kernel = int(kind[-1])
                body = nn.Sequential(conv_bn(one, middle, kernel, way), conv_bn(middle, out, kernel, relu=False))
                layers.append(Beside(body, one, out, way, project=layer == 0))
    return Classifier(nn.Sequential(*layers), channels, classes)


# --- NAS-Bench-Macro ---------------------------------------------------------------------------------------------------------


class Skipped(nn.Module):
    """A body plus its input."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.body(x) + x
        return made


def macro(digits: str, classes: int = 10) -> nn.Module:
    layers: list[nn.Module] = [conv_bn(3, 32, 3)]
    channels = 32
    for place, digit in enumerate(digits):
        stride = 2 if place in (0, 2, 5) else 1
        out = stride * channels
        if digit == "0":
            layers += [conv_bn(channels, out, 1, stride, relu=False)] if stride == 2 else []
        else:
            factor, kernel = {"1": (3, 3), "2": (6, 5)}[digit]
            inner = factor * channels
            body = nn.Sequential(
                conv_bn(channels, inner), conv_bn(inner, inner, kernel, stride, groups=inner), conv_bn(inner, out, relu=False)
            )
            layers.append(body if stride == 2 else Skipped(body))
        channels = out
    layers.append(conv_bn(channels, 1280))
    return Classifier(nn.Sequential(*layers), 1280, classes)


# --- the size space of NATS-Bench --------------------------------------------------------------------------------------------


def relu_conv_bn(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after))


class SizeCell(nn.Module):
    """conv(0, 1); conv(0, 2), conv(1, 2); skip(0, 3), conv(1, 3), conv(2, 3)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.a, self.b, self.c = relu_conv_bn(before, after), relu_conv_bn(before, after), relu_conv_bn(after, after)
        fits = before == after
        self.skip = nn.Sequential() if fits else nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after))
        self.d, self.e = relu_conv_bn(after, after), relu_conv_bn(after, after)

    def forward(self, x: Tensor) -> Tensor:
        one = self.a(x)
        two = self.b(x) + self.c(one)
        made: Tensor = self.skip(x) + self.d(one) + self.e(two)
        return made


class SizeReduction(nn.Module):
    """Two convolutions, the first of stride 2, beside pooling and a 1x1 convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(relu_conv_bn(before, after, 2), relu_conv_bn(after, after))
        self.short = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(before, after, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.deep(x) + self.short(x)
        return made


def sizes(widths: Sequence[int], classes: int = 10) -> nn.Module:
    a, b, c, d, e = widths
    body = nn.Sequential(
        conv_bn(3, a, 3, relu=False),
        SizeCell(a, a),
        SizeReduction(a, b),
        SizeCell(b, c),
        SizeReduction(c, d),
        SizeCell(d, e),
        nn.BatchNorm2d(e),
        nn.ReLU(),
    )
    return Classifier(body, e, classes)
