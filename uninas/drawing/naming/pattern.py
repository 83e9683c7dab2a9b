"""A named group of nodes, and the words that there are for one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NAMES: dict[str, str] = {
    "attention": "attention",
    "mixer": "pool mixer",
    "squeeze-excite": "SE",
    "silu": "SiLU",
    "gate": "gate",
    "mbconv": "MBConv",
    "fused": "fused MBConv",
    "separable": "separable",
    "bottleneck": "bottleneck",
    "basic": "basic block",
    "convnext": "ConvNeXt",
    "mlp": "MLP",
    "expand": "expand",
    "reduce": "reduce",
    "dense": "dense concat",
    "conv": "conv",
}
"""Every kind of pattern, with the word for it in a picture."""


@dataclass(frozen=True)
class Pattern:
    """A named group of nodes: `kind` is a key of NAMES, `text` its name with sizes, as in a summary; `nodes` are indices."""

    kind: str
    text: str
    nodes: frozenset[int]


def union(patterns: Iterable[Pattern]) -> set[int]:
    """Return all nodes of some patterns."""
    return {node for pattern in patterns for node in pattern.nodes}


def outermost(patterns: Iterable[Pattern]) -> list[Pattern]:
    """Return the patterns that lie in no other."""
    every = list(patterns)
    return [one for one in every if not any(one.nodes < other.nodes for other in every)]
