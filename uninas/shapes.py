"""What flows along an edge of a graph, and its size: feature maps, attention maps, the size at which a graph runs.

Types are polymorphic in the graph's width and in the input size: a feature map has a number of channels (derived from the
width by ratios), a stride (its sides are ceil(side / stride) of the graph's input) and is either full or pooled (1 x 1); an
attention map has a number of heads and one row and one column per token. A pooled map remembers the stride and the class tokens
to which a broadcast takes it back.
"""

from __future__ import annotations

from math import isqrt
from typing import NamedTuple

from uninas.errors import InputError

MOST_CHANNELS = 1 << 22
"""Of any value: far beyond every network, and small enough that a hostile file's numbers stay numbers."""

MOST_STRIDE = 1 << 16
"""Of any value: an image side at most."""


class FeatureMap(NamedTuple):
    """A tensor (channels, ceil(H / stride), ceil(W / stride)) in a graph that runs at H x W; (channels, 1, 1) when pooled.

    With class tokens in front of its pixels a full map is a sequence, (channels, tokens + pixels, 1).
    """

    channels: int
    pooled: bool
    stride: int = 1
    tokens: int = 0

    def __str__(self) -> str:
        return f"{self.channels} channels{_described(*self[1:])}"


class AttentionMap(NamedTuple):
    """A tensor (heads, queries, keys), one row for each pixel and token of a feature map, one column for each of another.

    `keys` describes the map of the keys (pooled, stride, tokens) where it is another than the queries'. `key_heads`: heads of
    keys and values, where several heads of queries share one; 0 for as many. In windows of `window` x `window` pixels (a map
    that is smaller is one), which begin `shift` pixels further down and right, it is (heads, windows, queries, keys). A map
    between the `channels` of each head is (heads, channels, channels), whatever the size.
    """

    heads: int
    pooled: bool
    stride: int = 1
    tokens: int = 0
    keys: tuple[bool, int, int] | None = None
    key_heads: int = 0
    window: int = 0
    shift: int = 0
    channels: int = 0

    def __str__(self) -> str:
        keys = "" if self.keys is None else f", keys{_described(*self.keys) or ', full'}"
        shared = f", {self.key_heads} of keys" if self.key_heads else ""
        windows = f", windows of {self.window}" if self.window else ""
        shifted = f" shifted by {self.shift}" if self.shift else ""
        channels = f", between {self.channels} channels" if self.channels else ""
        return f"attention map of {self.heads} heads{shared}{_described(*self[1:4])}{keys}{windows}{shifted}{channels}"


def _described(pooled: bool, stride: int, tokens: int) -> str:
    words = ["pooled"] if pooled else []
    words += [f"stride {stride}"] if stride != 1 else []
    words += [f"{tokens} class token{'s' * (tokens > 1)}"] if tokens else []
    return "".join(f", {word}" for word in words)


Type = FeatureMap | AttentionMap


class Place(NamedTuple):
    """Where a graph runs: its input's height and width now, and at the architecture's reference size (sizes of tables)."""

    height: int
    width: int
    reference_height: int
    reference_width: int

    def strided(self, stride: int) -> Place:
        """Return the place of a map that is `stride` times coarser; sides round up."""
        return self if stride == 1 else Place(*[-(-side // stride) for side in self])

    def halved(self, rounding: str) -> Place:
        """Return the place of a map that is half as fine; odd sides round "up" or "down"."""
        return self.strided(2) if rounding == "up" else Place(*[side // 2 for side in self])


class IllTyped(InputError):
    """An operation received inputs that it cannot take."""


def grid(pooled: bool, stride: int, tokens: int, place: Place) -> int:
    """Count pixels and tokens of a map of that kind."""
    if pooled:
        return 1
    if stride != 1:
        place = place.strided(stride)
    return place.height * place.width + tokens


def pixels_of(type_: FeatureMap, place: Place) -> int:
    """Count the pixels of a feature map, class tokens included."""
    return grid(type_.pooled, type_.stride, type_.tokens, place)


def sides_of(map_: AttentionMap, place: Place) -> tuple[int, int, int]:
    """Return the number of windows (1 without), of rows and of columns of an attention map."""
    if map_.channels:
        return 1, map_.channels, map_.channels
    if map_.window:
        at = place.strided(map_.stride)
        tall, wide = min(map_.window, at.height), min(map_.window, at.width)
        return -(-at.height // tall) * -(-at.width // wide), tall * wide, tall * wide
    rows = grid(map_.pooled, map_.stride, map_.tokens, place)
    return 1, rows, rows if map_.keys is None else grid(*map_.keys, place)


def entries(type_: Type, place: Place) -> int:
    """Count the entries of a tensor of that type, batch 1."""
    if type(type_) is FeatureMap:
        return type_.channels * pixels_of(type_, place)
    assert type(type_) is AttentionMap
    windows, rows, columns = sides_of(type_, place)
    return type_.heads * windows * rows * columns


def table_size(type_: Type, place: Place) -> tuple[int, int]:
    """Return the reference height and width of the map or window behind a value: the size of tables that depend on size."""
    if type_.pooled:
        return 1, 1
    at = place.strided(type_.stride)
    if type(type_) is AttentionMap and type_.window:
        return min(type_.window, at.reference_height), min(type_.window, at.reference_width)
    return at.reference_height, at.reference_width


def axis_side(height: int, width: int) -> int:
    """Return the side of the least square grid with a position for each row, and for each column, of a map of that size."""
    return isqrt(max(height, width) - 1) + 1
