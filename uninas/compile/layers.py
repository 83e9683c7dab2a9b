"""One torch layer for each operation, unfused; and the template's own layers.

Feature maps are (B, C, H, W), with class tokens (B, C, tokens + H * W, 1); attention maps are those of
`uninas.compile.attention`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.fx
from torch import Tensor, nn
from torch.nn import functional as F

from uninas.compile.attention import RelativePositionBias, RowColumnBias, channel_scores, channel_weighted, scores, weighted
from uninas.compile.norms import GroupNorm
from uninas.compile.sizes import average_tiles, known, largest_of_tiles, strided_size, whole_tiles
from uninas.ops import AttentionMap, Op, Place, Type, table_size
from uninas.rules.inference import is_filled, kernel_sides

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
        made = F.layer_norm(x, self.weight.shape, self.weight, self.bias, EPSILON).permute(0, 3, 1, 2)
        return made if known(x.shape[1], x.shape[2]) else made.contiguous()  # two layouts in a sum would compare sides


class LayerScale(nn.Module):
    """A learned factor for each channel of (B, C, H, W), small at the start (CaiT, arXiv 2103.17239)."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * self.weight[:, None, None]


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): in training each sample becomes zero with probability p, or grows by 1 / (1 - p).

    It is dropout of one factor a sample, by a child, so that tracing sees the same in training and evaluation.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(p)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        kept: Tensor = self.dropout(x.new_ones(x.shape[0], 1))
        return (x.flatten(1) * kept).reshape(x.shape)


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
    if known(size[0], size[1]) and list(embedding.shape[1:]) == size:
        return embedding
    wide = embedding if embedding.dtype == torch.float64 else embedding.float()
    made = F.interpolate(wide[None], size, mode="bicubic", align_corners=False, antialias=True)
    return made[0].to(embedding.dtype)


torch.fx.wrap("resized")  # as `expand_table`


class PaddedConv2d(nn.Module):
    """A convolution whose first window begins `padding` pixels before the map; zeros or a cut at the end give ceil(H / stride).

    Below zero it begins inside of the map: padding -1 and stride 2 see the odd rows and columns, as factorised reduction does.

    The convolution is a child, so that a hook on it sees the map that it reads.
    """

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int, dilation: int, groups: int, bias: bool, padding: int
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias)
        self.stride, self.extent, self.padding = stride, dilation * (kernel - 1) + 1, padding

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        right, below = self._end(x.shape[3]), self._end(x.shape[2])
        before, inside = max(self.padding, 0), max(-self.padding, 0)
        padded = F.pad(x, [before, right, before, below])
        # Cut after filling: a map may have fewer rows than are cut.
        made: Tensor = self.conv(padded[:, :, inside:, inside:] if inside else padded)
        return made

    def _end(self, side: int) -> int:
        return ((side + self.stride - 1) // self.stride - 1) * self.stride + self.extent - side - self.padding


def filled(x: Tensor, tile: int) -> Tensor:
    """(B, C, H, W) with zeros below and at the right up to whole tiles."""
    return F.pad(x, whole_tiles(x, tile))


class ClassToken(nn.Module):
    """(B, C, H, W) -> (B, C, 1 + H * W, 1): a learned token in front of the pixels (ViT, arXiv 2010.11929).

    With `position` its place is a second vector, which is added, as where positions are embedded after the token was put in.
    """

    def __init__(self, channels: int, position: bool) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(channels))
        nn.init.trunc_normal_(self.token, std=0.02)
        self.position: nn.Parameter | None = None
        if position:
            self.position = nn.Parameter(torch.zeros(channels))
            nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 1 + H * W, 1)."""
        token = self.token if self.position is None else self.token + self.position
        return torch.cat([token[:, None].expand(x.shape[0], -1, -1), x.flatten(2)], 2)[..., None]


class TokenLinear(nn.Module):
    """A linear layer over the pixels of a map, the same for each channel (MLP-Mixer, arXiv 2105.01601).

    A map of another size than the reference one is resized to that, bilinearly, and what is made of it back.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width
        self.linear = nn.Linear(height * width, height * width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        made = self.linear(sized(x, self.height, self.width).flatten(2))
        return sized(made.reshape(x.shape[0], x.shape[1], self.height, self.width), x.shape[2], x.shape[3])


def sized(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, height, width)."""
    if known(height, width) and known(x.shape[2], x.shape[3]) and x.shape[2] == height and x.shape[3] == width:
        return x
    return F.interpolate(x, [height, width], mode="bilinear", align_corners=False)


torch.fx.wrap("sized")


def band(x: Tensor, width: int) -> Tensor:
    """x where its last two indices differ by at most `width`, 0 elsewhere."""
    return x.tril(width).triu(-width)


def zeros(x: Tensor, channels: int, stride: int | None, tokens: int) -> Tensor:
    """(B, channels, ...) of zeros at the size of x, strided, with more class tokens; one pixel where `stride` is None."""
    height, width = (1, 1) if stride is None else strided_size((x.shape[2], x.shape[3]), stride)
    sides = (height * width + tokens, 1) if tokens else (height, width)
    return x.new_zeros(x.shape[0], channels, *sides)


def zero_map(x: Tensor, heads: int, stride: int | None, tokens: int) -> Tensor:
    """(B, heads, N, N) of zeros, N the pixels and tokens of such a map as `zeros` makes; N = 1 where `stride` is None."""
    made = zeros(x, heads, stride, tokens).flatten(2)
    return made[..., None].expand(-1, -1, -1, made.shape[2])


def first_token(x: Tensor) -> Tensor:
    """(B, C, tokens + N, 1) -> (B, C, 1, 1)."""
    return x[:, :, :1]


class Downsample(nn.Module):
    """Average pool of 2 (odd sizes round up or down), then a 1x1 convolution where the width changes."""

    def __init__(self, channels: int, width: int, *, norm: bool, rounding: str) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels) if norm else nn.Identity()
        self.pool = nn.AvgPool2d(2, ceil_mode=rounding == "up", count_include_pad=False)
        self.project = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, width, H/2, W/2)."""
        x = self.norm(x)
        halved = self.pool(x) if known(x.shape[2], x.shape[3]) or not self.pool.ceil_mode else average_tiles(x, 2)
        projected: Tensor = self.project(halved)
        return projected


Layer = Callable[..., Tensor]


def _conv(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    values, channels = op.values, given[0][0]
    groups = channels if values["groups"] == "depthwise" else values["groups"]
    stride, dilation, bias = values["stride"], values["dilation"], values["bias"]
    if is_filled(op):
        padding = 0 if values["padding"] == "same" else values["padding"]
        return PaddedConv2d(channels, made[0], values["kernel"], stride, dilation, groups, bias, padding)
    rows, columns = kernel_sides(op)
    sides = rows if rows == columns else (rows, columns)  # a square one as before, so that modules print as they did
    padding = dilation * (rows // 2) if rows == columns else (dilation * (rows // 2), dilation * (columns // 2))
    return nn.Conv2d(channels, made[0], sides, stride, padding, dilation, groups, bias)


def _table(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    assert isinstance(made, AttentionMap)
    return RelativePositionBias(1 if op.values["shared"] else made.heads, *table_size(made, place), made.window)


def _slice(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    start, length = op.values["index"] * made[0], made[0]
    return partial(torch.narrow, dim=1, start=start, length=length)


def _zero(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    if isinstance(given[0], AttentionMap) or given[0].pooled:  # one pixel, or as many entries as there are
        return partial(zeros, channels=made[0], stride=1, tokens=0)
    stride, tokens = (None, 0) if made.pooled else (op.values["stride"], op.values["tokens"])
    if isinstance(made, AttentionMap):
        return partial(zero_map, heads=made[0], stride=stride, tokens=tokens)
    return partial(zeros, channels=made[0], stride=stride, tokens=tokens)


def _max_pool(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    kernel, stride = op.values["kernel"], op.values["stride"]
    if kernel % 2 == 0:
        return partial(largest_of_tiles, tile=kernel)
    return partial(torch.max_pool2d, kernel_size=kernel, stride=stride, padding=kernel // 2)


def _average_pool(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    """Each mean is over the pixels that exist; an even window tiles the map, the last tile may be cut off."""
    kernel, stride = op.values["kernel"], op.values["stride"]
    if kernel % 2 == 0:
        return partial(average_tiles, tile=kernel)
    return partial(F.avg_pool2d, kernel_size=kernel, stride=stride, padding=kernel // 2, count_include_pad=False)


def _space_to_depth(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    return partial(unshuffled, factor=op.values["factor"])


def unshuffled(x: Tensor, factor: int) -> Tensor:
    """(B, C, H, W) -> (B, C * factor^2, ceil(H / factor), ceil(W / factor))."""
    return F.pixel_unshuffle(filled(x, factor), factor)


def _embedding(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    return PositionEmbedding(made[0], *table_size(made, place))


def _matmul_qk(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    values = op.values
    if values["over"] == "channels":
        return partial(channel_scores, head_dim=values["head_dim"])
    return partial(scores, head_dim=values["head_dim"], window=values["window"], shift=values["shift"])


def _matmul_av(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    attention = given[0]
    assert isinstance(attention, AttentionMap)
    if attention.channels:
        return channel_weighted
    share = attention.heads // (attention.key_heads or attention.heads)
    return partial(weighted, share=share, window=attention.window, shift=attention.shift)


def _token_linear(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    return TokenLinear(*table_size(made, place))


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


def _broadcast(op: Op, given: tuple[Type, ...], made: Type, place: Place) -> Layer:
    return on_entries if isinstance(made, AttentionMap) else on_pixels


def on_pixels(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, 1, 1) -> (B, C, *size)."""
    return x.expand(-1, -1, *size)


def on_entries(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, heads, 1, 1) -> (B, heads, N, N), N the pixels of a map of that size."""
    count = size[0] * size[1]
    return x.expand(-1, -1, count, count)


def _always(layer: Layer) -> Callable[[Op, tuple[Type, ...], Type, Place], Layer]:
    return lambda op, given, made, place: layer


LAYERS: dict[str, Callable[[Op, tuple[Type, ...], Type, Place], Layer]] = {
    "conv": _conv,
    "batch_norm": lambda op, given, made, place: nn.BatchNorm2d(made[0]),
    "layer_norm": lambda op, given, made, place: LayerNorm2d(made[0]),
    "group_norm": lambda op, given, made, place: GroupNorm(op.values["groups"], made[0]),
    "layer_scale": lambda op, given, made, place: LayerScale(made[0], float(op.values["initial"])),
    "gelu": _always(F.gelu),
    "relu": _always(F.relu),
    "relu6": _always(F.relu6),
    "silu": _always(F.silu),
    "hardswish": _always(F.hardswish),
    "sigmoid": _always(torch.sigmoid),
    "hard_sigmoid": _always(F.hardsigmoid),
    "tanh": _always(torch.tanh),
    "negate": _always(torch.neg),
    "softmax": _always(partial(torch.softmax, dim=-1)),
    "mask": _mask,
    "relative_position_bias": _table,
    "row_column_bias": lambda op, given, made, place: RowColumnBias(*table_size(made, place)),
    "position_embedding": _embedding,
    "class_token": lambda op, given, made, place: ClassToken(made[0], op.values["position"]),
    "take_class_token": _always(first_token),
    "token_linear": _token_linear,
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
    "broadcast": _broadcast,
    "matmul_qk": _matmul_qk,
    "matmul_av": _matmul_av,
}
"""Operation -> builder of the callable that computes it; builders of operations with parameters return modules.

No callable is a lambda or a local function: a module holds them, and must pass through pickle to other processes.
"""

NEEDS_SIZE = frozenset({"broadcast", "relative_position_bias", "matmul_av"})
"""Operations whose layer also takes `size`: (height, width) of its output, or of the queries' map behind an attention map."""
