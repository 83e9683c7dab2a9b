"""The reference toolkit's network from its JSON, written anew and naively: its names of parameters, its rounding, its MACs.

Heads are branches, an attention map is a tensor of one channel, and every class of node works on either kind of tensor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD_DIM = 32
Shape = tuple[int, int, int]


class Named(nn.Module):
    """A layer under the name that the reference keeps it by."""

    def __init__(self, name: str, layer: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self._modules[self.name](x)  # type: ignore[misc]
        return made


class ChannelNorm(nn.LayerNorm):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Plain(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.function(x)
        return made


def masked(x: Tensor) -> Tensor:
    rows, columns = torch.arange(x.shape[2])[:, None], torch.arange(x.shape[3])
    return x * ((rows - columns).abs() <= 5)


class PositionBias(nn.Module):
    """One table for a tensor of a^2 rows and columns, whatever its channels: entry (r, c) at the offset of r to c on a grid.

    Of an attention map they are pixels; the rows and columns of a feature map are taken for such, too.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        a = math.isqrt(rows)
        assert rows == columns == a * a, "the reference takes no other"
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * a - 1) ** 2))
        offsets = [
            [(r // a - c // a + a - 1) * (2 * a - 1) + (r % a - c % a + a - 1) for c in range(columns)] for r in range(rows)
        ]
        self.index = torch.tensor(offsets)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.relative_position_bias_table[self.index]


class Sequence(nn.Module):
    def __init__(self, nodes: list[nn.Module]) -> None:
        super().__init__()
        self.sequential = nn.Sequential(*nodes)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.sequential(x)
        return made


class Around(nn.Module):
    """Two 1x1 convolutions around a node."""

    def __init__(self, channels: int, within: int, inner: nn.Module) -> None:
        super().__init__()
        self.resize1 = nn.Conv2d(channels, within, 1)
        self.sequential = inner
        self.resize2 = nn.Conv2d(within, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.resize2(self.sequential(self.resize1(x)))
        return made


class Average(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.sequential = inner

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.sequential(x.mean((2, 3), keepdim=True))
        return made.expand(x.shape)


class Fork(nn.Module):
    def __init__(self, how: list[str], branches: list[nn.Module]) -> None:
        super().__init__()
        self.how = how
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        count = len(self.branches)
        given = x.chunk(count, 1) if self.how[0] == "chunk" else (x,) * count
        made = [branch(one) for branch, one in zip(self.branches, given, strict=True)]
        if self.how[1] == "concat":
            return torch.cat(made, 1)
        total: Tensor = made[0] * torch.sigmoid(made[1]) if self.how[1] == "multiply" else sum(made)
        return total


class Attention(nn.Module):
    def __init__(self, channels: int, pieces: list[nn.Module], maps: list[nn.Module], results: list[nn.Module]) -> None:
        super().__init__()
        self.qkv = Named("conv", nn.Conv2d(channels, 3 * channels, 1))
        self.branches, self.connections = nn.ModuleList(pieces), nn.ModuleList(maps)
        self.post_branches = nn.ModuleList(results)
        self.macs = 0

    def forward(self, x: Tensor) -> Tensor:
        pieces = self.qkv(x).chunk(len(self.branches), 1)
        made = [branch(piece) for branch, piece in zip(self.branches, pieces, strict=True)]
        pixels, ends = x.shape[2] * x.shape[3], []
        for head, (connection, result) in enumerate(zip(self.connections, self.post_branches, strict=True)):
            q, k, v = (one.flatten(2) for one in made[3 * head : 3 * head + 3])
            scores = torch.einsum("bdi,bdj->bij", q, k) / HEAD_DIM**0.5
            weighted = torch.einsum("bij,bdj->bdi", connection(scores[:, None])[:, 0], v)
            ends.append(result(weighted.reshape(x.shape[0], HEAD_DIM, *x.shape[2:])))
        self.macs = 2 * HEAD_DIM * pixels * pixels * len(ends)
        return torch.cat(ends, 1)


LEAVES: dict[str, Any] = {
    "Conv1": lambda c: Named("conv", nn.Conv2d(c, c, 1)),
    "Conv3": lambda c: Named("conv", nn.Conv2d(c, c, 3, padding=1)),
    "ConvDepth3": lambda c: Named("conv", nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False)),
    "ConvDepth5": lambda c: Named("conv", nn.Conv2d(c, c, 5, padding=2, groups=c, bias=False)),
    "BatchNorm": lambda c: Named("bn", nn.BatchNorm2d(c)),
    "LayerNorm": lambda c: Named("ln", ChannelNorm(c)),
    "GELU": lambda c: nn.GELU(),
    "Sigmoid": lambda c: nn.Sigmoid(),
    "Softmax": lambda c: nn.Softmax(-1),
    "MaxPool": lambda c: nn.MaxPool2d(3, 1, 1),
    "Dropout": lambda c: nn.Dropout(0.5),
    "Identity": lambda c: nn.Identity(),
    "Zero": lambda c: Plain(torch.zeros_like),
    "Mask": lambda c: Plain(masked),
}


def node(written: Mapping[str, Any], shape: Shape, side: int) -> nn.Module:
    """A node that reads a tensor of that shape; `side`: of the map of pixels that it, or the attention map, has."""
    kind, params, channels = written["class"], written["params"], shape[0]

    def within(inner: Mapping[str, Any], inside: Shape = shape, of: int = side) -> nn.Module:
        return node(inner, inside, of)

    if kind in LEAVES:
        leaf: nn.Module = LEAVES[kind](channels)
        return leaf
    if kind == "RelPosBias":
        return PositionBias(*shape[1:])
    if kind == "SequentialModule":
        return Sequence([within(inner) for inner in params["modules"]])
    if kind == "AvgAndUpsample":
        return Average(within(params["sequential"], (channels, 1, 1), 1))
    if kind in ("ExpandAndReduce", "ReduceAndExpand"):
        factor = params["factor"]
        inside = channels * factor if kind == "ExpandAndReduce" else channels // factor
        return Around(channels, inside, within(params["sequential"], (inside, *shape[1:])))
    if kind == "ForkMerge":
        how, branches = params["fork_merge_tuple"], params["branches"]
        inside = channels // len(branches) if how[0] == "chunk" else channels
        return Fork(how, [within(branch, (inside, *shape[1:])) for branch in branches])
    assert kind == "ForkMergeAttention", kind
    head, pixels = (HEAD_DIM, *shape[1:]), shape[1] * shape[2]
    return Attention(
        channels,
        [within(piece, head) for piece in params["branches"]],
        [within(map_, (1, pixels, pixels)) for map_ in params["connections"]],
        [within(result, head) for result in params["post_branches"]],
    )


def letter(name: str, channels: int) -> dict[str, Any]:
    """A block that is written as a letter, as nodes."""

    def of(kind: str, **params: Any) -> dict[str, Any]:
        return {"class": kind, "params": params}

    def sequence(*nodes: dict[str, Any]) -> dict[str, Any]:
        return of("SequentialModule", modules=list(nodes))

    def around(*nodes: dict[str, Any], kind: str = "ExpandAndReduce") -> dict[str, Any]:
        return of(kind, sequential=sequence(*nodes), factor=4)

    zero = sequence(of("Zero"))
    if name == "R":
        return {"subblock1": sequence(*map(of, ("Conv3", "BatchNorm", "GELU") * 2)), "subblock2": zero}
    if name == "E":
        gate = of("AvgAndUpsample", sequential=sequence(around(of("GELU"), kind="ReduceAndExpand")))
        fork = of("ForkMerge", fork_merge_tuple=["copy", "multiply"], branches=[sequence(), sequence(gate)])
        convolved = around(*map(of, ("BatchNorm", "GELU", "ConvDepth5", "BatchNorm", "GELU")), fork)
        return {"subblock1": sequence(convolved, of("BatchNorm")), "subblock2": zero}
    heads = channels // HEAD_DIM
    attention = of(
        "ForkMergeAttention",
        branches=[sequence()] * 3 * heads,
        post_branches=[sequence()] * heads,
        connections=[sequence(of("RelPosBias"), of("Softmax"))] * heads,
    )
    mixed, expanded = sequence(attention, of("Conv1")), sequence(around(of("LayerNorm"), of("GELU")))
    return {"subblock1": mixed, "subblock2": expanded}


class Halved(nn.Module):
    """Average pooling, which leaves the last row and column of an odd map out."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.expand(F.avg_pool2d(x, 2))
        return made


class Block(nn.Module):
    def __init__(self, written: Any, before: int, width: int, side: int, *, first: bool) -> None:
        super().__init__()
        nodes = letter(written, width) if isinstance(written, str) else written
        self.subblock1, self.subblock2 = (node(nodes[key], (width, side, side), side) for key in ("subblock1", "subblock2"))
        self.shortcut: nn.Module = Halved(before, width) if first else nn.Identity()
        self.norm1: nn.Module = ChannelNorm(width)
        if first:
            self.norm1 = nn.Sequential()
            self.norm1.add_module("norm", ChannelNorm(before))
            self.norm1.add_module("down", Halved(before, width))
        self.norm2 = ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shortcut(x) + self.subblock1(self.norm1(x))
        made: Tensor = x + self.subblock2(self.norm2(x))
        return made


class Stage(nn.Module):
    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.blocks(x)
        return made


class Stem(nn.Module):
    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, first, 3, 2, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv2(F.gelu(self.norm1(self.conv1(x))))
        return made


class ReferenceNetwork(nn.Module):
    """The network of a file."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__()
        before, side = document["stem_width"][1], (document["img_size"] + 1) // 2
        self.stem = Stem(*document["stem_width"])
        stages: list[nn.Module] = []
        for row, width in zip(json.loads(document["model_str"]), document["embed_dim"], strict=True):
            side //= 2
            stages.append(Stage([Block(one, width if b else before, width, side, first=b == 0) for b, one in enumerate(row)]))
            before = width
        self.stages = nn.Sequential(*stages)
        self.norm = ChannelNorm(before)
        self.head = Named("fc", nn.Linear(before, document["num_classes"]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stages(self.stem(x)))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits

    def randomised(self, seed: int) -> ReferenceNetwork:
        """The network with weights and statistics that leave no operation without effect, in evaluation mode."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, value in self.named_parameters():
                scale = 0.5 if value.dim() < 2 else value[0].numel() ** -0.5
                value.copy_(torch.randn(value.shape, generator=generator) * scale)
                if value.dim() == 1 and name.endswith("weight"):
                    value += 1
            for name, value in self.named_buffers():
                if name.endswith("running_mean"):
                    value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
                elif name.endswith("running_var"):
                    value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        return self.eval()

    def run(self, x: Tensor) -> tuple[Tensor, int]:
        """The logits of one picture, and the multiply-adds of convolutions, the linear layer and attention products."""
        counted = 0

        def count(layer: nn.Module, _: Any, made: Tensor) -> None:
            nonlocal counted
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            counted += made[0].numel() * layer.weight[0].numel()

        layers = [layer for layer in self.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        hooks = [layer.register_forward_hook(count) for layer in layers]
        with torch.no_grad():
            logits = self(x)
        for hook in hooks:
            hook.remove()
        return logits, counted + sum(one.macs for one in self.modules() if isinstance(one, Attention))
