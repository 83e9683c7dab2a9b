"""Attention: feature maps become maps between pixels, channels or the pixels of windows, and are weighted."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from downstream.export.source.pieces.maps import resized_table, strided


def attention(query: Tensor, key: Tensor, value: Tensor, head_dim: int, bias: Tensor | None = None) -> Tensor:
    """softmax(q^T k / sqrt(head_dim) [+ bias]) v for every head: feature maps (B, C, H, W) in and out."""
    heads, key_heads = query.shape[1] // head_dim, key.shape[1] // head_dim
    if bias is not None:
        bias = bias[None]
    made = F.scaled_dot_product_attention(
        tokens(query, heads),
        shared(tokens(key, key_heads), heads),
        shared(tokens(value, key_heads), heads),
        attn_mask=bias,
        scale=head_dim**-0.5,
    )
    return untokens(made, query.shape[2], query.shape[3])


def attention_scores(query: Tensor, key: Tensor, head_dim: int) -> Tensor:
    """q^T k / sqrt(head_dim) for every head: feature maps -> (B, heads, queries, keys)."""
    heads, key_heads = query.shape[1] // head_dim, key.shape[1] // head_dim
    return (tokens(query, heads) * head_dim**-0.5) @ shared(tokens(key, key_heads), heads).transpose(-1, -2)


def weighted_values(weights: Tensor, value: Tensor, share: int, height: int, width: int) -> Tensor:
    """(B, heads, N, M) times the values (B, heads / share * D, ...) -> (B, heads * D, height, width)."""
    heads = weights.shape[1]
    return untokens(weights @ shared(tokens(value, heads // share), heads), height, width)


def channel_scores(query: Tensor, key: Tensor, head_dim: int) -> Tensor:
    """q k^T / sqrt(H * W) between the channels of every head: feature maps -> (B, heads, head_dim, head_dim)."""
    queries, keys = tokens(query, query.shape[1] // head_dim), tokens(key, key.shape[1] // head_dim)
    return (queries.transpose(-1, -2) * queries.shape[2] ** -0.5) @ keys


def channel_weighted(weights: Tensor, value: Tensor) -> Tensor:
    """(B, heads, D, D) times the values (B, heads * D, H, W) -> (B, heads * D, H, W)."""
    heads = weights.shape[1]
    made = weights @ value.reshape(value.shape[0], heads, value.shape[1] // heads, -1)
    return made.reshape(value.shape)


def tokens(x: Tensor, heads: int) -> Tensor:
    """(B, C, H, W) -> (B, heads, H * W, C / heads)."""
    return x.reshape(x.shape[0], heads, x.shape[1] // heads, -1).transpose(-1, -2)


def untokens(x: Tensor, height: int, width: int) -> Tensor:
    """(B, heads, H * W, D) -> (B, heads * D, height, width)."""
    x = x.transpose(-1, -2)
    if torch.jit.is_scripting():  # TorchScript does not know the next question
        pass
    elif torch.compiler.is_exporting():
        x = x.contiguous()  # else the program would hold a view that fits the layout of one attention kernel
    return x.reshape(x.shape[0], x.shape[1] * x.shape[2], height, width)


def shared(x: Tensor, heads: int) -> Tensor:
    """(B, key heads, ...) -> (B, heads, ...): each head of keys or values serves several of queries."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], 1)


def window_attention(
    query: Tensor, key: Tensor, value: Tensor, head_dim: int, window: int, shift: int = 0, bias: Tensor | None = None
) -> Tensor:
    """As `attention`, in windows (arXiv 2103.14030) that begin `shift` pixels further down and right; bias of a window."""
    heads, key_heads = query.shape[1] // head_dim, key.shape[1] // head_dim
    height, width = query.shape[2], query.shape[3]
    queries = partition(query, heads, window, shift)
    keys = shared(partition(key, key_heads, window, shift), heads)
    values = shared(partition(value, key_heads, window, shift), heads)
    mask = window_mask(height, width, window, shift, query)
    if mask is not None:  # (windows, heads or 1, pixels, pixels), then the same for each sample
        mask = mask[:, None] if bias is None else mask[:, None] + bias
        mask = mask.repeat(query.shape[0], 1, 1, 1)
    elif bias is not None:
        mask = bias[None]
    made = F.scaled_dot_product_attention(
        queries.transpose(1, 2).flatten(0, 1),
        keys.transpose(1, 2).flatten(0, 1),
        values.transpose(1, 2).flatten(0, 1),
        attn_mask=mask,
        scale=head_dim**-0.5,
    )
    made = made.reshape(query.shape[0], -1, heads, made.shape[2], made.shape[3]).transpose(1, 2)
    return merge(made, height, width, window, shift)


def window_scores(query: Tensor, key: Tensor, head_dim: int, window: int, shift: int = 0) -> Tensor:
    """q^T k / sqrt(head_dim) in windows: feature maps -> (B, heads, windows, pixels, pixels)."""
    heads, key_heads = query.shape[1] // head_dim, key.shape[1] // head_dim
    queries, keys = partition(query, heads, window, shift), shared(partition(key, key_heads, window, shift), heads)
    scores = (queries * head_dim**-0.5) @ keys.transpose(-1, -2)
    mask = window_mask(query.shape[2], query.shape[3], window, shift, scores)
    return scores if mask is None else scores + mask


def window_weighted(weights: Tensor, value: Tensor, share: int, window: int, shift: int, height: int, width: int) -> Tensor:
    """(B, heads, windows, pixels, pixels) times the values -> (B, heads * D, height, width)."""
    heads = weights.shape[1]
    values = shared(partition(value, heads // share, window, shift), heads)
    return merge(weights @ values, height, width, window, shift)


def partition(x: Tensor, heads: int, window: int, shift: int) -> Tensor:
    """(B, C, H, W) -> (B, heads, windows, pixels of one, C / heads); a smaller map is one window, zeros fill the last ones."""
    height, width = x.shape[2], x.shape[3]
    tall, wide = min(height, window), min(width, window)
    down, across = strided(height, tall), strided(width, wide)
    x = x.roll([-shift if down > 1 else 0, -shift if across > 1 else 0], [2, 3])
    x = F.pad(x, [0, across * wide - width, 0, down * tall - height])
    x = x.reshape(x.shape[0], heads, x.shape[1] // heads, down, tall, across, wide)
    return x.permute(0, 1, 3, 5, 4, 6, 2).flatten(4, 5).flatten(2, 3)


def merge(x: Tensor, height: int, width: int, window: int, shift: int) -> Tensor:
    """(B, heads, windows, pixels of one, D) -> (B, heads * D, height, width), the reverse of `partition`."""
    tall, wide = min(height, window), min(width, window)
    down, across = strided(height, tall), strided(width, wide)
    x = x.reshape(x.shape[0], x.shape[1], down, across, tall, wide, x.shape[4]).permute(0, 1, 6, 2, 4, 3, 5)
    x = x.reshape(x.shape[0], x.shape[1] * x.shape[2], down * tall, across * wide)[:, :, :height, :width]
    return x.roll([shift if down > 1 else 0, shift if across > 1 else 0], [2, 3])


def window_mask(height: int, width: int, window: int, shift: int, like: Tensor) -> Tensor | None:
    """(windows, pixels, pixels): -100 where two pixels of a window are no neighbours in the map, else 0; None without any."""
    tall, wide = min(height, window), min(width, window)
    down, across = strided(height, tall), strided(width, wide)
    up, left = shift if down > 1 else 0, shift if across > 1 else 0
    if up == 0 and left == 0 and height % tall == 0 and width % wide == 0:
        return None
    rows, columns = torch.arange(down * tall, device=like.device), torch.arange(across * wide, device=like.device)
    kind_y = (rows >= height - up).long() + (rows >= height).long()  # 0: in place, 1: from the other end, 2: zeros
    kind_x = (columns >= width - left).long() + (columns >= width).long()
    kind = (3 * kind_y[:, None] + kind_x).reshape(down, tall, across, wide)
    kind = kind.permute(0, 2, 1, 3).flatten(2, 3).flatten(0, 1)
    return (kind[:, :, None] != kind[:, None, :]).to(like.dtype) * -100.0


class RelativePositionBias(nn.Module):
    """A learned bias for each head and each offset between two pixels of a map of height x width, or of a window.

    For a map of another size the table is resized bilinearly.
    """

    def __init__(self, heads: int, height: int, width: int, window: int = 0) -> None:
        super().__init__()
        self.window = window
        self.table = nn.Parameter(torch.zeros(heads, 2 * height - 1, 2 * width - 1))

    def forward(self, height: int, width: int) -> Tensor:
        """Return (heads, N, N): entry (i, j) is the table at the offset from pixel j to pixel i; N of a map, or of a window."""
        if self.window:
            height, width = min(height, self.window), min(width, self.window)
        columns = 2 * width - 1
        table = resized_table(self.table, 2 * height - 1, columns)
        y, x = torch.arange(height, device=table.device), torch.arange(width, device=table.device)
        down = (y[:, None] - y + height - 1)[:, None, :, None]
        across = (x[:, None] - x + width - 1)[None, :, None, :]
        index = (down * columns + across).flatten()
        return table.flatten(1).index_select(1, index).view(-1, height * width, height * width)


def biased(scores: Tensor, bias: Tensor) -> Tensor:
    """(B, heads, [windows,] N, N) plus (heads, N, N)."""
    return scores + (bias if scores.dim() == 4 else bias[:, None])
