"""One torch layer for each operation, unfused; and the template's own layers.

Feature maps are (B, C, H, W), attention maps (B, heads, N, N) with one row for each query and one column for each key.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.fx
from torch import Tensor, nn
from torch.nn import functional as F

from uninas.ops import FeatureMap, Op, Place, Type, table_size

EPSILON = 1e-6


class LayerNorm2d(nn.Module):
    """LayerNorm over the channels of (B, C, H, W), eps 1e-6."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = x.permute(0, 2, 3, 1)
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, EPSILON).permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """A learned factor for each channel of (B, C, H, W), small at the start (CaiT, arXiv 2103.17239)."""

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
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if not self.training or self.p == 0:
            return x
        kept = torch.empty((x.shape[0],) + (1,) * (x.dim() - 1), dtype=x.dtype, device=x.device).bernoulli_(1 - self.p)
        return x * kept / (1 - self.p)


class PositionEmbedding(nn.Module):
    """A learned offset for each channel and pixel of a map; at another size than the reference one it is resized bicubically."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(channels, height, width))
        nn.init.trunc_normal_(self.embedding, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + resized(self.embedding, [x.shape[2], x.shape[3]])


def resized(embedding: Tensor, size: list[int]) -> Tensor:
    """(C, h, w) -> (C, height, width)."""
    if list(embedding.shape[1:]) == size:
        return embedding
    wide = embedding if embedding.dtype == torch.float64 else embedding.float()
    made = F.interpolate(wide[None], size, mode="bicubic", align_corners=False, antialias=True)
    return made[0].to(embedding.dtype)


torch.fx.wrap("resized")  # as `expand_table`


class PatchConv2d(nn.Module):
    """A convolution that moves by its own size; where that does not divide the map, zeros are added below and at the right.

    The convolution is a child, so that who listens to it sees the map that it reads.
    """

    def __init__(self, channels: int, out: int, kernel: int, groups: int, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride=kernel, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / kernel), ceil(W / kernel))."""
        made: Tensor = self.conv(filled(x, self.conv.kernel_size[0]))
        return made


def filled(x: Tensor, tile: int) -> Tensor:
    """(B, C, H, W) with zeros below and at the right up to whole tiles."""
    return F.pad(x, [0, -x.shape[3] % tile, 0, -x.shape[2] % tile])


class RelativePositionBias(nn.Module):
    """A learned bias for each head and each offset between two tokens.

    The table has the reference size's (2H - 1) x (2W - 1) offsets; at another size it is resized bilinearly, so one set of
    weights serves any input.
    """

    def __init__(self, heads: int, height: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(heads, 2 * height - 1, 2 * width - 1))

    def bias(self, size: tuple[int, int]) -> Tensor:
        """(heads, N, N) for a map of `size` = (height, width), N = height * width."""
        return expand_table(self.table, size)

    def forward(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, heads, N, N) -> (B, heads, N, N)."""
        return scores + self.bias(size)


def expand_table(table: Tensor, size: tuple[int, int]) -> Tensor:
    """(heads, 2H - 1, 2W - 1) -> (heads, N, N): entry (i, j) is the table at the offset from token j to token i.

    One index for all heads: twice as quick, forward and backward, as windows or shifted copies of the table.
    """
    height, width = size
    rows, columns = 2 * height - 1, 2 * width - 1
    if table.shape[1] != rows or table.shape[2] != columns:
        wide = table if table.dtype == torch.float32 or table.dtype == torch.float64 else table.float()
        resized = F.interpolate(wide[None], [rows, columns], mode="bilinear", align_corners=True)
        table = resized[0].to(table.dtype)
    y, x = torch.arange(height, device=table.device), torch.arange(width, device=table.device)
    down = (y[:, None] - y + height - 1)[:, None, :, None]
    across = (x[:, None] - x + width - 1)[None, :, None, :]
    index = (down * columns + across).flatten()  # [y1, x1, y2, x2]
    return table.flatten(1).index_select(1, index).view(-1, height * width, height * width)


torch.fx.wrap("expand_table")  # symbolic tracing keeps it whole: it looks at sizes


def band(x: Tensor, width: int) -> Tensor:
    """x where its last two indices differ by at most `width`, 0 elsewhere."""
    return x.tril(width).triu(-width)


def tokens(x: Tensor, heads: int) -> Tensor:
    """(B, C, H, W) -> (B, heads, N, C / heads), a view where the memory layout allows."""
    return x.reshape(x.shape[0], heads, x.shape[1] // heads, -1).transpose(-1, -2)


def untokens(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, heads, N, D) -> (B, heads * D, height, width)."""
    turned = x.transpose(-1, -2)
    if torch.compiler.is_exporting():
        turned = turned.contiguous()  # else the exported program would hold a view that fits the layout of one attention kernel
    return turned.reshape(x.shape[0], x.shape[1] * x.shape[3], *size)


def scores(q: Tensor, k: Tensor, head_dim: int) -> Tensor:
    """q^T k / sqrt(head_dim) for every head: (B, heads * head_dim, H, W) twice -> (B, heads, N, N)."""
    heads = q.shape[1] // head_dim
    made: Tensor = (tokens(q, heads) * head_dim**-0.5) @ tokens(k, heads).transpose(-1, -2)
    return made


def weighted(attention: Tensor, v: Tensor) -> Tensor:
    """Attention times v for every head: (B, heads, N, N), (B, heads * D, H, W) -> (B, heads * D, H, W)."""
    return untokens(attention @ tokens(v, attention.shape[1]), (v.shape[2], v.shape[3]))


def zeros(x: Tensor, channels: int, stride: int | None) -> Tensor:
    """(B, channels, ...) of zeros at the size of x, strided; one pixel where `stride` is None."""
    sides = (1, 1) if stride is None else strided_size((x.shape[2], x.shape[3]), stride)
    return x.new_zeros(x.shape[0], channels, *sides)


class Downsample(nn.Module):
    """Average pool of 2 (odd sizes round up), then a 1x1 convolution where the width changes."""

    def __init__(self, channels: int, width: int, *, norm: bool) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels) if norm else nn.Identity()
        self.pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
        self.project = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, width, ceil(H/2), ceil(W/2))."""
        projected: Tensor = self.project(self.pool(self.norm(x)))
        return projected


Layer = Callable[..., Tensor]


def _conv(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    values, channels = op.values, given[0][0]
    groups = channels if values["groups"] == "depthwise" else values["groups"]
    if values["kernel"] % 2 == 0:
        return PatchConv2d(channels, made[0], values["kernel"], groups, values["bias"])
    padding = values["dilation"] * (values["kernel"] // 2)
    return nn.Conv2d(
        channels,
        made[0],
        values["kernel"],
        stride=values["stride"],
        padding=padding,
        dilation=values["dilation"],
        groups=groups,
        bias=values["bias"],
    )


def _table(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    return RelativePositionBias(made[0], *table_size(made, place))


def _slice(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    start, length = op.values["index"] * made[0], made[0]
    return partial(torch.narrow, dim=1, start=start, length=length)


def _zero(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    return partial(zeros, channels=made[0], stride=None if made.pooled else op.values["stride"])


def _max_pool(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    kernel, stride = op.values["kernel"], op.values["stride"]
    tiles = kernel % 2 == 0
    return partial(torch.max_pool2d, kernel_size=kernel, stride=stride, padding=0 if tiles else kernel // 2, ceil_mode=tiles)


def _average_pool(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    """Each mean is over the pixels that exist; an even window tiles the map, the last tile may be cut off."""
    kernel, stride = op.values["kernel"], op.values["stride"]
    tiles = kernel % 2 == 0
    padding = 0 if tiles else kernel // 2
    return partial(F.avg_pool2d, kernel_size=kernel, stride=stride, padding=padding, ceil_mode=tiles, count_include_pad=False)


def _space_to_depth(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    return partial(unshuffled, factor=op.values["factor"])


def unshuffled(x: Tensor, factor: int) -> Tensor:
    """(B, C, H, W) -> (B, C * factor^2, ceil(H / factor), ceil(W / factor))."""
    return F.pixel_unshuffle(filled(x, factor), factor)


def _embedding(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    return PositionEmbedding(made[0], *table_size(made, place))


def _matmul_qk(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    return partial(scores, head_dim=op.values["head_dim"])


def _mask(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    return partial(band, width=op.values["band"])


def _sum(*inputs: Tensor) -> Tensor:
    total = inputs[0]
    for other in inputs[1:]:
        total = total + other
    return total


def _product(*inputs: Tensor) -> Tensor:
    total = inputs[0]
    for other in inputs[1:]:
        total = total * other
    return total


def _concat(*inputs: Tensor) -> Tensor:
    return torch.cat(inputs, 1)


def _identity(x: Tensor) -> Tensor:
    return x


def _mean(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


def _broadcast(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x.expand(-1, -1, *size)


def _always(layer: Layer) -> Callable[[Op, tuple[Type, ...], Type, Place], Layer]:
    return lambda op, given, made, place: layer


LAYERS: dict[str, Callable[[Op, tuple[Type, ...], Type, Place], Layer]] = {
    "conv": _conv,
    "batch_norm": lambda op, given, made, place: nn.BatchNorm2d(made[0]),
    "layer_norm": lambda op, given, made, place: LayerNorm2d(made[0]),
    "group_norm": lambda op, given, made, place: nn.GroupNorm(op.values["groups"], made[0]),
    "layer_scale": lambda op, given, made, place: LayerScale(made[0], float(op.values["initial"])),
    "gelu": _always(F.gelu),
    "relu": _always(F.relu),
    "relu6": _always(F.relu6),
    "silu": _always(F.silu),
    "hardswish": _always(F.hardswish),
    "sigmoid": _always(torch.sigmoid),
    "hard_sigmoid": _always(F.hardsigmoid),
    "softmax": _always(partial(torch.softmax, dim=-1)),
    "mask": _mask,
    "relative_position_bias": _table,
    "position_embedding": _embedding,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "dropout": lambda op, given, made, place: nn.Dropout(op.values["p"]),
    "drop_path": lambda op, given, made, place: DropPath(op.values["p"]),
    "identity": _always(_identity),
    "zero": _zero,
    "space_to_depth": _space_to_depth,
    "slice": _slice,
    "concat": _always(_concat),
    "add": _always(_sum),
    "multiply": _always(_product),
    "global_average_pool": _always(_mean),
    "broadcast": _always(_broadcast),
    "matmul_qk": _matmul_qk,
    "matmul_av": _always(weighted),
}
"""Operation -> builder of the callable that computes it; builders of operations with parameters return modules.

No callable is a lambda or a local function: a module holds them, and must pass through pickle to other processes.
"""

NEEDS_SIZE = frozenset({"broadcast", "relative_position_bias"})
"""Operations whose layer also takes `size`: (height, width) of its output, or of the feature maps behind an attention map."""


def layer_size(made: Type, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width behind a value of that type in a graph that runs at `size`."""
    if made.pooled and not isinstance(made, FeatureMap):
        return 1, 1
    return strided_size(size, made.stride)


def strided_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Height and width of a map `stride` times coarser than `size`; sides round up."""
    return size if stride == 1 else (-(-size[0] // stride), -(-size[1] // stride))
