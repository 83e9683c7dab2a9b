"""What flows along an edge of a graph, and its size: feature maps, attention maps, the place where a graph runs.

Types are polymorphic in the graph's width and in the input size: a feature map has a number of channels (derived from the
width by ratios), a stride (its sides are ceil(side / stride) of the graph's input) and is either full or pooled (1 x 1); an
attention map has a number of heads and one row and one column per token. A pooled map remembers the stride to which a broadcast
takes it back.
"""

from __future__ import annotations

from typing import NamedTuple

from uninas.errors import InputError

MOST_CHANNELS = 1 << 22
"""Of any value: far beyond every network, and small enough that a hostile file's numbers stay numbers."""

MOST_STRIDE = 1 << 16
"""Of any value: an image side at most."""


class FeatureMap(NamedTuple):
    """A tensor (channels, ceil(H / stride), ceil(W / stride)) in a graph that runs at H x W; (channels, 1, 1) when pooled."""

    channels: int
    pooled: bool
    stride: int = 1

    def __str__(self) -> str:
        return f"{self.channels} channels{', pooled' if self.pooled else ''}{_at_stride(self.stride)}"


class AttentionMap(NamedTuple):
    """A tensor (heads, N, N), N the pixels of a feature map of that stride, or N = 1 when it comes from pooled maps."""

    heads: int
    pooled: bool
    stride: int = 1

    def __str__(self) -> str:
        return f"attention map of {self.heads} heads{', pooled' if self.pooled else ''}{_at_stride(self.stride)}"


def _at_stride(stride: int) -> str:
    return "" if stride == 1 else f", stride {stride}"


Type = FeatureMap | AttentionMap


class Place(NamedTuple):
    """Where a graph runs: its input's height and width now, and at the architecture's reference size (sizes of tables)."""

    height: int
    width: int
    reference_height: int
    reference_width: int

    def strided(self, stride: int) -> Place:
        """The place of a map that is `stride` times coarser; sides round up."""
        return self if stride == 1 else Place(*[-(-side // stride) for side in self])


class IllTyped(InputError):
    """An operation received inputs that it cannot take."""


def pixels_of(type_: Type, place: Place) -> int:
    """Number of pixels of a map of that type, of tokens behind an attention map."""
    if type_.pooled:
        return 1
    if type_.stride != 1:
        place = place.strided(type_.stride)
    return place.height * place.width


def entries(type_: Type, place: Place) -> int:
    """Number of entries of a tensor of that type, batch 1."""
    pixels = pixels_of(type_, place)
    return type_[0] * (pixels if type(type_) is FeatureMap else pixels * pixels)


def table_size(type_: Type, place: Place) -> tuple[int, int]:
    """Reference height and width of the map behind a value of that type: what tables that depend on size are made for."""
    at = place.strided(type_.stride)
    return (1, 1) if type_.pooled else (at.reference_height, at.reference_width)
