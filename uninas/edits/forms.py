"""Ready-made stems, transitions between stages and heads, by name: what edits and random architectures build the frame of.

A form is given its activation, so that a network has one. "template" is the network template's own part (`uninas.graph`).
"""

from __future__ import annotations

from collections.abc import Callable

from uninas.graph import IDENTITY, Graph
from uninas.networks.pieces import NORM, chain, conv, normed
from uninas.ops import Op, op

ACTIVATIONS = ("relu", "gelu", "silu", "hardswish")
"""What a form may be given."""

_LAYER_NORM = op("layer_norm")


def template_stem(given: int, inner: int, width: int) -> Graph:
    """Build the template's stem as a graph, which a class token may end."""
    return chain(*normed(given, inner, 3, op("gelu"), stride=2), conv(inner, width, 3))


STEMS: dict[str, Callable[[int, int, Op], Graph | tuple[int, int]]] = {
    "template": lambda given, width, act: (max(width // 2, 1), width),
    "conv": lambda given, width, act: chain(*normed(given, width, 3, act, stride=2)),
    "conv_pool": lambda given, width, act: chain(*normed(given, width, 7, act, stride=2), op("max_pool", stride=2)),
    "two_convs": lambda given, width, act: chain(
        *normed(given, max(width // 2, 1), 3, act, stride=2), *normed(max(width // 2, 1), width, 3, act, stride=2)
    ),
    "patches": lambda given, width, act: chain(conv(given, width, 4, stride=4, bias=True), _LAYER_NORM),
}
"""Name -> function from (channels read, channels made, activation) to a stem, at stride 2 or 4."""

TRANSITIONS: dict[str, Callable[[int, int, Op], Graph | None]] = {
    "template": lambda given, width, act: None,
    "conv": lambda given, width, act: chain(*normed(given, width, 3, None, stride=2)),
    "patches": lambda given, width, act: chain(_LAYER_NORM, conv(given, width, 2, stride=2, bias=True)),
    "average": lambda given, width, act: chain(op("average_pool", kernel=2, stride=2), *normed(given, width, 1, None)),
    "max": lambda given, width, act: chain(op("max_pool", stride=2), *normed(given, width, 1, None)),
    "fold": lambda given, width, act: chain(op("space_to_depth"), *normed(4 * given, width, 1, None)),
    "project": lambda given, width, act: chain(*normed(given, width, 1, act)),
}
"""Name -> function from (channels read, channels made, activation) to a transition; only "project" keeps the resolution."""

HEADS: dict[str, Callable[[int, Op], Graph | None]] = {
    "template": lambda given, act: None,
    "none": lambda given, act: IDENTITY,
    "norm": lambda given, act: chain(NORM, act),
    "expand": lambda given, act: chain(*normed(given, 2 * given, 1, act)),
    "pooled": lambda given, act: chain(op("global_average_pool"), _LAYER_NORM),
    "pooled_expand": lambda given, act: chain(op("global_average_pool"), conv(given, 2 * given, bias=True), act),
}
"""Name -> function from (channels read, activation) to a head."""
