"""Ready-made stems, entries of a stage and heads, by name: what edits and random architectures build the frame of.

A form is given its activation, so that a network has one. "template" is the network template's own part (`uninas.graph`).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from uninas.graph import IDENTITY, Graph, GraphBuilder
from uninas.ops import Op, op

ACTIVATIONS = ("relu", "gelu", "silu", "hardswish")
"""What a form may be given."""

_BATCH_NORM, _LAYER_NORM = op("batch_norm"), op("layer_norm")


def chain(*ops: Op) -> Graph:
    """A graph that is one path."""
    builder = GraphBuilder()
    return builder.build(builder.chain(0, *ops))


def conv(channels: int, made: int, kernel: int = 1, stride: int = 1, **more: bool | int | str) -> Op:
    """A convolution from so many channels to so many."""
    return op("conv", kernel=kernel, ratio=Fraction(made, channels), stride=stride, **more)


def _normed(channels: int, made: int, kernel: int, stride: int) -> tuple[Op, Op]:
    return conv(channels, made, kernel, stride, bias=False), _BATCH_NORM


STEMS: dict[str, Callable[[int, int, Op], Graph | tuple[int, int]]] = {
    "template": lambda given, width, act: (max(width // 2, 1), width),
    "conv": lambda given, width, act: chain(*_normed(given, width, 3, 2), act),
    "conv_pool": lambda given, width, act: chain(*_normed(given, width, 7, 2), act, op("max_pool", stride=2)),
    "two_convs": lambda given, width, act: chain(
        *_normed(given, max(width // 2, 1), 3, 2), act, *_normed(max(width // 2, 1), width, 3, 2), act
    ),
    "patches": lambda given, width, act: chain(conv(given, width, 4, 4), _LAYER_NORM),
}
"""Name -> a stem that reads so many channels and makes so many, at stride 2 or 4."""

ENTRIES: dict[str, Callable[[int, int, Op], Graph | None]] = {
    "template": lambda given, width, act: None,
    "conv": lambda given, width, act: chain(*_normed(given, width, 3, 2)),
    "patches": lambda given, width, act: chain(_LAYER_NORM, conv(given, width, 2, 2)),
    "average": lambda given, width, act: chain(op("average_pool", kernel=2, stride=2), *_normed(given, width, 1, 1)),
    "max": lambda given, width, act: chain(op("max_pool", stride=2), *_normed(given, width, 1, 1)),
    "fold": lambda given, width, act: chain(op("space_to_depth"), *_normed(4 * given, width, 1, 1)),
    "project": lambda given, width, act: chain(*_normed(given, width, 1, 1), act),
}
"""Name -> an entry from so many channels to so many; all halve the resolution but "project", which keeps it."""

HEADS: dict[str, Callable[[int, Op], Graph | None]] = {
    "template": lambda given, act: None,
    "none": lambda given, act: IDENTITY,
    "norm": lambda given, act: chain(_BATCH_NORM, act),
    "expand": lambda given, act: chain(*_normed(given, 2 * given, 1, 1), act),
    "pooled": lambda given, act: chain(op("global_average_pool"), _LAYER_NORM),
    "pooled_expand": lambda given, act: chain(op("global_average_pool"), conv(given, 2 * given), act),
}
"""Name -> a head that reads so many channels."""
