"""Families of networks in five words, so that a ground truth can have equally many of each."""

from __future__ import annotations

from uninas.analysis.family import family
from uninas.graph import Architecture

FAMILIES = ("convolution", "attention", "hybrid", "gate", "mixer")
"""Blocks that mix pixels by convolution alone; by attention alone; by both; by convolution with a product of two branches, as
squeeze-and-excitation; by pooling, or not at all (then transitions do)."""


def family_of(architecture: Architecture) -> str:
    """Name the family, by the parts that at least a quarter of the blocks have, see `uninas.analysis.family`.

    Attention counts before gates, gates before pooling.
    """
    parts = set(family(architecture).split(" + "))
    convolves = bool(parts & {"convolution", "depthwise"})
    if "attention" in parts:
        return "hybrid" if convolves else "attention"
    if "gate" in parts:
        return "gate"
    return "mixer" if "pooling" in parts or not convolves else "convolution"
