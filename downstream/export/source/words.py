"""Names in exported files: of classes, of the layers in a class, of the local variables of a pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from uninas.drawing.naming.patterns import find_patterns, outermost
from uninas.graph import Graph

__all__ = ["ANONYMOUS", "class_name", "numbered", "snake", "unique"]

_CLASSES = {
    "attention": "Attention",
    "mixer": "PoolMixer",
    "squeeze-excite": "SqueezeExcite",
    "gate": "Gate",
    "mbconv": "MBConv",
    "fused": "FusedMBConv",
    "separable": "SeparableConv",
    "bottleneck": "Bottleneck",
    "basic": "BasicBlock",
    "convnext": "ConvNeXt",
    "mlp": "MLP",
    "expand": "Expand",
    "reduce": "Reduce",
    "dense": "Dense",
    "conv": "Conv",
}
"""Kind of a pattern -> what a class is called that holds one; kinds that are left out give no name."""

_MOST_PARTS = 3
"""Of a class's name: one of more patterns is called by its first ones."""

ANONYMOUS = ("x", "y", "z", "w", "u", "v")
"""Names of values that are nothing but values, in the order in which they are given."""


def class_name(graph: Graph, width: int, tokens: int, *, residual: bool, default: str) -> str:
    """Name the class of a graph by the patterns that it holds: MBConv, AttentionMLP; `default` where it holds none."""
    kinds = [one.kind for one in outermost(find_patterns(graph, width, tokens, residual=residual)) if one.kind in _CLASSES]
    distinct = list(dict.fromkeys(kinds))
    if len(distinct) > 1:
        distinct = [kind for kind in distinct if kind != "conv"]
    return "".join(_CLASSES[kind] for kind in distinct[:_MOST_PARTS]) or default


def snake(name: str) -> str:
    """Return a class's name as that of an attribute: MBConv -> mbconv, AttentionMLP -> attention_mlp, SubBlock -> sub_block."""
    known = sorted(_CLASSES.values(), key=len, reverse=True)
    words = {
        "PoolMixer": "pool_mixer",
        "SqueezeExcite": "squeeze_excite",
        "BasicBlock": "basic_block",
        "FusedMBConv": "fused_mbconv",
    }
    return "_".join(words.get(part, part.lower()) for part in re.findall("|".join([*known, "[A-Z][a-z]*"]), name))


def numbered(names: Sequence[str]) -> list[str]:
    """Number the names that occur more than once: conv, norm, conv -> conv1, norm, conv2."""
    counts: dict[str, int] = {}
    found = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        found.append(f"{name}{counts[name]}" if names.count(name) > 1 else name)
    return found


def unique(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken: the name, or with the first number from 2 on that is free."""
    used = set(taken)
    number, found = 1, name
    while found in used:
        number += 1
        found = f"{name}{number}"
    return found
