"""Tiny networks of every kind that a derivative can go wrong on, and the oracle for their Jacobians."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from proxies.testing import SIZE, Attention, Residual, Shared, Stack, Transformer, convolution, layer


def grouped(classes: int = 5) -> nn.Module:
    blocks = [
        Residual(4, 4, groups=2, padding_mode="reflect"),
        Residual(4, 6, 2, groups=2, dilation=2, padding=2),
        Residual(6, 6, groups=3, padding="same", dilation=2),
        Residual(6, 6, groups=2, padding_mode="circular"),
    ]
    return Stack(blocks, 6, classes)


def depthwise(classes: int = 5) -> nn.Module:
    blocks = [Residual(4, 4, groups=4), Residual(4, 8, 2, groups=4), Residual(8, 8, groups=8), Residual(8, 8, groups=8)]
    return Stack(blocks, 8, classes)


class StandardisedConv(nn.Conv2d):
    """A convolution whose forward is its own: the weight is standardised, the padding done by hand."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.square().mean((1, 2, 3), keepdim=True) + 1e-3).sqrt()
        return functional.conv2d(functional.pad(x, (1, 1, 1, 1)), weight, self.bias, self.stride)


def standardised(classes: int = 5) -> nn.Module:
    network = convolution(classes)
    for block in network.stages[0]:
        inner, outer, stride = block.first[0].in_channels, block.first[0].out_channels, block.first[0].stride
        # As timm's Conv2dSame and ScaledStdConv2d come: a forward of its own, and a weight whose memory is in another order.
        block.first[0] = StandardisedConv(inner, outer, 3, stride).to(memory_format=torch.channels_last)
    return network


class Windows(nn.Module):
    """Attention in windows: samples and windows share the first dimension."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.blocks = nn.ModuleList([Attention(8, 2, 9) for _ in range(3)])
        self.head = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        batch, width = x.shape[:2]
        x = x.reshape(batch, width, 3, 3, 3, 3).permute(0, 2, 4, 3, 5, 1).reshape(batch * 9, 9, width)
        for block in self.blocks:
            x = block(x)
        return self.head(x.reshape(batch, 81, width).mean(1))


class Positions(nn.Module):
    """A convolution over coordinates, called once for all samples, as XCiT encodes positions; a linear layer likewise."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem, self.encode = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(2, 6, 1)
        self.scale = nn.Linear(2, 6)
        self.blocks = nn.ModuleList([Residual(6, 6) for _ in range(4)])
        self.head = nn.Linear(6, classes)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        places = torch.stack([rows, columns])[None].to(x)
        x = self.stem(x) + self.encode(places).expand(len(x), -1, -1, -1)
        x = x * torch.sigmoid(self.scale(places.mean((2, 3)) + 0.5))[..., None, None]
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class Parallel(nn.Module):
    """Two stems, one with work in place on a convolution's own result; a branch to nowhere; logits that are no layer's result."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.left, self.lost = layer(3, 4), nn.Conv2d(4, 4, 1)
        self.right = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.LeakyReLU(0.1, inplace=True))
        self.tail = nn.ModuleList([Residual(4, 4) for _ in range(4)])
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.left(x), self.right(x)
        self.lost(left)
        x = left * torch.sigmoid(right)
        for block in self.tail:
            x = block(x)
        return self.head(x.mean((2, 3))) * 1.5


class Forgets(nn.Module):
    """Keeps in evaluation mode what it made of its weights, and forgets it when its mode is set, as timm's LeViT."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(*(part for _ in range(5) for part in (nn.Conv2d(3, 3, 3, padding=1), nn.GELU())))
        self.table, self.scale = nn.Parameter(torch.randn(3, 3)), nn.Parameter(torch.rand(3))
        self.tail = nn.Sequential(*(part for _ in range(5) for part in (nn.GELU(), nn.Linear(3, 3))))
        self.head = nn.Linear(3, classes)
        self.kept: dict[str, Tensor] = {}

    def train(self, mode: bool = True) -> Forgets:
        super().train(mode)
        self.kept = {}
        return self

    def mixing(self) -> Tensor:
        made = self.scale.outer(self.scale) + self.table + self.head.weight[0]
        return made if self.training else self.kept.setdefault("all", made.detach())

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.tail(self.stem(x).mean((2, 3)) @ self.mixing()))


class Renews(Forgets):
    """Makes it when evaluation mode is set, as LeViT's first publication does: without it there is no pass."""

    def train(self, mode: bool = True) -> Renews:
        nn.Module.train(self, mode)
        if mode:
            vars(self).pop("made", None)
        else:
            self.made = (self.table + self.scale.outer(self.scale) + self.head.weight[0]).detach()
        return self

    def mixing(self) -> Tensor:
        return self.table if self.training else self.made


class Folds(Forgets):
    """Adds a part of its weights to another for evaluation, and freezes it."""

    merged = False

    def train(self, mode: bool = True) -> Folds:
        nn.Module.train(self, mode)
        if self.merged == mode:
            self.table.data.add_(self.scale.data.outer(self.scale.data), alpha=-1 if mode else 1)
            self.scale.requires_grad_(mode)
            self.merged = not mode
        return self

    def mixing(self) -> Tensor:
        return self.table if self.merged else self.table + self.scale.outer(self.scale)


REMEMBERING: dict[str, Callable[..., nn.Module]] = {"forgets": Forgets, "renews": Renews, "folds": Folds}
"""Networks that do something of their own when their mode is set."""

KINDS: dict[str, Callable[..., nn.Module]] = {
    "convolution": convolution,
    "grouped": grouped,
    "depthwise": depthwise,
    "attention": Transformer,
    "shared": Shared,
    "standardised": standardised,
    "windows": Windows,
    "positions": Positions,
    "parallel": Parallel,
}


def batch(samples: int = 5, *, size: int = SIZE, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(samples, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def make(kind: str, classes: int = 5, *, seed: int = 0) -> nn.Module:
    """A network of a kind in float64 with settled random values everywhere, biases, tables and running statistics too."""
    network = KINDS[kind](classes).double().eval()
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            scale = (2.0 / parameter[0].numel()) ** 0.5 if parameter.dim() > 1 else 0.3
            parameter.normal_(1.0 if parameter.dim() == 1 else 0.0, scale, generator=stream)
        for name, buffer in network.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 1.5, generator=stream)
    return network


def oracle(network: nn.Module, names: list[str], inputs: Tensor, index: int = 0) -> Tensor:
    """vmap(jacrev): derivatives of the logits by one entry of each named weight, shape (batch, classes, weights)."""
    parameters = dict(network.named_parameters(remove_duplicate=False))

    def logits(theta: Tensor, sample: Tensor) -> Tensor:
        replaced = {}
        for place, name in enumerate(names):
            flat = parameters[name].detach().flatten()
            replaced[name] = torch.cat([flat[:index], theta[place : place + 1], flat[index + 1 :]]).view_as(parameters[name])
        return functional_call(network, replaced, (sample.unsqueeze(0),), tie_weights=True)[0]

    theta = torch.stack([parameters[name].detach().flatten()[index] for name in names])
    with sdpa_kernel(SDPBackend.MATH):
        # In-place work meets vmap badly: the oracle is asked sample by sample.
        return torch.stack([jacrev(logits)(theta, sample) for sample in inputs]).detach()


def batched_oracle(network: nn.Module, names: list[str], inputs: Tensor) -> Tensor:
    """The same with vmap over the samples, as the reference does; for networks without work in place."""
    parameters = dict(network.named_parameters())

    def logits(theta: Tensor, sample: Tensor) -> Tensor:
        replaced = {
            name: torch.cat([theta[place : place + 1], parameters[name].detach().flatten()[1:]]).view_as(parameters[name])
            for place, name in enumerate(names)
        }
        return functional_call(network, replaced, (sample.unsqueeze(0),))[0]

    theta = torch.stack([parameters[name].detach().flatten()[0] for name in names])
    with sdpa_kernel(SDPBackend.MATH):
        return vmap(jacrev(logits), in_dims=(None, 0))(theta, inputs).detach()
