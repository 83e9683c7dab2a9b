"""Attention in torch: feature maps (B, C, H, W) become maps between pixels, channels or the pixels of windows, and are weighted.

A map is (B, heads, queries, keys), in windows (B, heads, windows, queries, keys). Symbolic tracing keeps whole what looks at
sizes.
"""

from __future__ import annotations

import torch
import torch.fx
from torch import Tensor, nn
from torch.nn import functional as F

from uninas.compile.sizes import known
from uninas.errors import InputError
from uninas.shapes import axis_side

# --- heads ------------------------------------------------------------------------------------------------------------------


def tokens(x: Tensor, heads: int) -> Tensor:
    """(B, C, H, W) -> (B, heads, N, C / heads), a view where the memory layout allows."""
    return x.reshape(x.shape[0], heads, x.shape[1] // heads, -1).transpose(-1, -2)


def untokens(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, heads, N, D) -> (B, heads * D, height, width)."""
    turned = x.transpose(-1, -2)
    if torch.compiler.is_exporting():
        turned = turned.contiguous()  # else the exported program would hold a view that fits the layout of one attention kernel
    made = turned.reshape(x.shape[0], x.shape[1] * x.shape[3], size[0], size[1])
    if torch.compiler.is_compiling() and not torch.compiler.is_exporting():
        # At a second size Inductor cannot order this view's strides for a convolution; a copy of that layout it need not ask.
        return made.contiguous().clone(memory_format=torch.channels_last)
    return made


def shared(x: Tensor, heads: int) -> Tensor:
    """(B, key heads, ...) -> (B, heads, ...): each head as often as it is shared, one after the other (multi-query attention)."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], 1)


def scores(q: Tensor, k: Tensor, head_dim: int, window: int = 0, shift: int = 0) -> Tensor:
    """q^T k / sqrt(head_dim) for every head of q: (B, heads * head_dim, H, W), (B, key heads * head_dim, ...) -> a map."""
    heads, key_heads = q.shape[1] // head_dim, k.shape[1] // head_dim
    if window:
        queries, keys = partition(q, heads, window, shift), shared(partition(k, key_heads, window, shift), heads)
        made: Tensor = (queries * head_dim**-0.5) @ keys.transpose(-1, -2)
        return masked(made, [q.shape[2], q.shape[3]], window, shift)
    queries, keys = tokens(q, heads), shared(tokens(k, key_heads), heads)
    plain: Tensor = (queries * head_dim**-0.5) @ keys.transpose(-1, -2)
    return plain


def weighted(attention: Tensor, v: Tensor, share: int, window: int, shift: int, size: tuple[int, int]) -> Tensor:
    """A map times v for every head: (B, heads, N, M), (B, heads / share * D, ...) -> (B, heads * D, *size)."""
    heads, key_heads = attention.shape[1], attention.shape[1] // share
    if window:
        return merge(attention @ shared(partition(v, key_heads, window, shift), heads), window, shift, size)
    return untokens(attention @ shared(tokens(v, key_heads), heads), size)


def channel_scores(q: Tensor, k: Tensor, head_dim: int) -> Tensor:
    """q k^T / sqrt(N) between the channels of every head: (B, heads * head_dim, H, W) twice -> (B, heads, head_dim, head_dim).

    Linear in the number of pixels N. With a softmax this is the attention of XCiT (arXiv 2106.09681) without its norms and
    temperature; of values and weighted keys, the efficient attention of arXiv 1812.01243.
    """
    queries, keys = tokens(q, q.shape[1] // head_dim), tokens(k, k.shape[1] // head_dim)
    made: Tensor = (queries.transpose(-1, -2) * queries.shape[2] ** -0.5) @ keys
    return made


def channel_weighted(attention: Tensor, v: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, heads, D, D), (B, heads * D, H, W) -> (B, heads * D, H, W)."""
    heads = attention.shape[1]
    made: Tensor = attention @ v.reshape(v.shape[0], heads, v.shape[1] // heads, -1)
    return made.reshape(v.shape)


# --- windows (Swin, arXiv 2103.14030) ---------------------------------------------------------------------------------------


def window_sides(height: int, width: int, window: int) -> tuple[int, int]:
    """Height and width of a window: a map that is smaller is one."""
    return window if height > window else height, window if width > window else width


def rolled(height: int, width: int, window: int, shift: int) -> tuple[int, int]:
    """How far a map is rolled up and left: by the shift, along a side that holds more than one window."""
    return shift if height > window else 0, shift if width > window else 0


def windows(height: int, width: int, tall: int, wide: int) -> tuple[int, int]:
    """How many windows a map is, down and across."""
    return (height + tall - 1) // tall, (width + wide - 1) // wide


def partition(x: Tensor, heads: int, window: int, shift: int) -> Tensor:
    """(B, C, H, W) -> (B, heads, windows, pixels of one, C / heads).

    The map is first rolled up and left by `shift`, along a side that holds more than one window; zeros fill the last windows.
    """
    height, width = x.shape[2], x.shape[3]
    tall, wide = window_sides(height, width, window)
    up, left = rolled(height, width, window, shift)
    x = x.roll([-up, -left], [2, 3])
    down, across = windows(height, width, tall, wide)
    x = F.pad(x, [0, across * wide - width, 0, down * tall - height])
    if known(height, width):
        x = x.reshape(x.shape[0], heads, x.shape[1] // heads, down, tall, across, wide)
    else:
        x = x.view(x.shape[0], heads, x.shape[1] // heads, down, tall, across, wide)
    return x.permute(0, 1, 3, 5, 4, 6, 2).flatten(4, 5).flatten(2, 3)


def merge(x: Tensor, window: int, shift: int, size: tuple[int, int]) -> Tensor:
    """(B, heads, windows, pixels of one, D) -> (B, heads * D, height, width), the reverse of `partition`."""
    height, width = size
    tall, wide = window_sides(height, width, window)
    down, across = windows(height, width, tall, wide)
    if known(height, width):
        x = x.reshape(x.shape[0], x.shape[1], down, across, tall, wide, x.shape[4]).permute(0, 1, 6, 2, 4, 3, 5)
        x = x.reshape(x.shape[0], x.shape[1] * x.shape[2], down * tall, across * wide)[:, :, :height, :width]
    else:  # whole windows, put together and cut by what asks no side for its value
        x = x.permute(0, 1, 4, 3, 2).flatten(1, 3)
        x = x.view(x.shape[0], x.shape[1], down, across)
        x = F.pad(F.pixel_shuffle(x, window), [0, width - across * wide, 0, height - down * tall])
    return x.roll(rolled(height, width, window, shift), [2, 3])


def window_mask(size: list[int], window: int, shift: int, like: Tensor) -> Tensor | None:
    """(windows, pixels, pixels): -100 where two pixels of a window are no neighbours in the map, else 0; None without any.

    Those are pixels that the roll brought from the other end, and the zeros that fill a window. Added to a score, -100 leaves no
    weight in float32, and a row of nothing else stays finite.
    """
    height, width = size[0], size[1]
    tall, wide = window_sides(height, width, window)
    up, left = rolled(height, width, window, shift)
    if known(height, width) and up == 0 and left == 0 and height % tall == 0 and width % wide == 0:
        return None
    down, across = windows(height, width, tall, wide)
    y, x = torch.arange(down * tall, device=like.device), torch.arange(across * wide, device=like.device)
    kind_y = (y >= height - up).long() + (y >= height).long()  # 0: in place, 1: from the other end, 2: zeros
    kind_x = (x >= width - left).long() + (x >= width).long()
    kind = (3 * kind_y[:, None] + kind_x).reshape(down, tall, across, wide)
    kind = kind.permute(0, 2, 1, 3).flatten(2, 3).flatten(0, 1)
    return (kind[:, :, None] != kind[:, None, :]).to(like.dtype) * -100.0


def masked(scores: Tensor, size: list[int], window: int, shift: int) -> Tensor:
    """A map in windows plus their mask."""
    mask = window_mask(size, window, shift, scores)
    return scores if mask is None else scores + mask


def windowed_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, head_dim: int, window: int, shift: int) -> Tensor:
    """softmax(scores [+ bias (heads, pixels, pixels)]) v in windows, through torch's scaled_dot_product_attention."""
    heads, key_heads = q.shape[1] // head_dim, k.shape[1] // head_dim
    size = [q.shape[2], q.shape[3]]
    queries = partition(q, heads, window, shift)
    keys, values = shared(partition(k, key_heads, window, shift), heads), shared(partition(v, key_heads, window, shift), heads)
    mask = window_mask(size, window, shift, q)
    if mask is not None:  # (windows, heads or 1, pixels, pixels), then the same for each sample
        mask = mask[:, None] if bias is None else mask[:, None] + bias
        mask = mask.repeat(q.shape[0], 1, 1, 1)
    elif bias is not None:
        mask = bias[None]
    made = F.scaled_dot_product_attention(
        queries.transpose(1, 2).flatten(0, 1),
        keys.transpose(1, 2).flatten(0, 1),
        values.transpose(1, 2).flatten(0, 1),
        attn_mask=mask,
        scale=head_dim**-0.5,
    )
    made = made.reshape(q.shape[0], -1, heads, made.shape[2], made.shape[3]).transpose(1, 2)
    return merge(made, window, shift, (size[0], size[1]))


# --- relative positions -----------------------------------------------------------------------------------------------------


class RelativePositionBias(nn.Module):
    """A learned bias for each head and each offset between two tokens of a map, or of a window.

    The table has the reference size's (2H - 1) x (2W - 1) offsets; at another size it is resized bilinearly, so one set of
    weights serves any input.
    """

    def __init__(self, heads: int, height: int, width: int, window: int = 0) -> None:
        super().__init__()
        self.window = window
        self.table = nn.Parameter(torch.zeros(heads, 2 * height - 1, 2 * width - 1))

    def bias(self, size: tuple[int, int]) -> Tensor:
        """(heads, N, N) for a map of `size` = (height, width), N the pixels of the map or of a window."""
        return expand_table(self.table, size, self.window)

    def forward(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, heads, [windows,] N, N) -> the same."""
        return biased(scores, self.bias(size))


def biased(scores: Tensor, bias: Tensor) -> Tensor:
    """(B, heads, [windows,] N, N) plus (heads, N, N)."""
    return scores + (bias if scores.dim() == 4 else bias[:, None])


def expand_table(table: Tensor, size: tuple[int, int], window: int = 0) -> Tensor:
    """(heads, 2H - 1, 2W - 1) -> (heads, N, N): entry (i, j) is the table at the offset from token j to token i.

    One index for all heads: twice as quick, forward and backward, as windows or shifted copies of the table.
    """
    height, width = size
    if window:
        height, width = window_sides(height, width, window)
    columns = 2 * width - 1
    table = resized_table(table, 2 * height - 1, columns)
    y, x = torch.arange(height, device=table.device), torch.arange(width, device=table.device)
    down = (y[:, None] - y + height - 1)[:, None, :, None]
    across = (x[:, None] - x + width - 1)[None, :, None, :]
    index = (down * columns + across).flatten()  # [y1, x1, y2, x2]
    return table.flatten(1).index_select(1, index).view(-1, height * width, height * width)


def resized_table(table: Tensor, rows: int, columns: int) -> Tensor:
    """(tables, h, w) -> (tables, rows, columns), bilinearly: the offsets at both ends stay where they are."""
    if known(rows, columns) and table.shape[1] == rows and table.shape[2] == columns:
        return table
    wide = table if table.dtype == torch.float32 or table.dtype == torch.float64 else table.float()
    made = F.interpolate(wide[None], [rows, columns], mode="bilinear", align_corners=True)
    return made[0].to(table.dtype)


class RowColumnBias(nn.Module):
    """A learned bias for each pixel of a feature map, by the offset between its row and its column; one for all channels.

    The map is read as though it were an attention map between the positions of a grid, as the UniNAS reference implementation
    reads it: of a map of a^2 x a^2 pixels each row, and each column, is a position of an a x a grid, written row by row. Any
    other map lies on the least square grid that has a position for each of its rows and columns. The table has the reference
    size's (2a - 1)^2 offsets; at another size it is resized bilinearly.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        offsets = 2 * axis_side(height, width) - 1
        self.table = nn.Parameter(torch.zeros(1, offsets, offsets))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + expand_axes(self.table, [x.shape[2], x.shape[3]])


def expand_axes(table: Tensor, size: list[int]) -> Tensor:
    """(1, 2a - 1, 2a - 1) -> (height, width): entry (r, c) is the table at the offset from position c to position r."""
    height, width = size
    if not known(height, width):
        raise InputError(
            "row_column_bias: expected one height and width, since its grid follows from their square root, got sizes that are "
            "left open: export the program without dynamic height and width"
        )
    side = axis_side(height, width)
    offsets = 2 * side - 1
    table = resized_table(table, offsets, offsets)
    rows, columns = torch.arange(height, device=table.device)[:, None], torch.arange(width, device=table.device)
    down, across = rows // side - columns // side + side - 1, rows % side - columns % side + side - 1
    return table.flatten()[down * offsets + across]


for _name in ("expand_axes", "expand_table", "partition", "merge", "masked", "windowed_attention", "biased", "shared"):
    torch.fx.wrap(_name)  # symbolic tracing keeps them whole: they look at sizes
