"""Block families with drawn hyperparameters: the stages of a random architecture (`uninas.grammar.sampling`).

A recipe is drawn before the width is known, and makes a block for any width that is a multiple of its step.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from uninas.edits.fragments import FRAGMENTS, Vocabulary
from uninas.graph import Block, Graph, GraphBuilder
from uninas.networks.pieces import NORM, chain, gated, normed
from uninas.networks.presets import attention_block, mbconv, mlp_block
from uninas.ops import Op, op

_LAYER_NORM, _ADD, _SIGMOID = op("layer_norm"), op("add"), op("sigmoid")


class Recipe(NamedTuple):
    """A family with its hyperparameters drawn, which makes a block of any width that is a multiple of `step`."""

    family: str
    step: int
    make: Callable[[int], Block]


_MIXERS = {
    "pool_mixer": 8,
    "window_attention": 32,
    "channel_attention": 32,
    "coarse_attention": 32,
    "shared_key_attention": 32,
}
"""Fragments that mix pixels, and what a width must be a multiple of for each."""


def _plain(graph: Graph) -> Block:
    return Block((graph,), residual=False)


def _beside(builder: GraphBuilder, x: int) -> Graph:
    """The graph that adds node `x` to its input."""
    return builder.build(builder.add(_ADD, x, 0))


def _whole(width: int, ratio: Fraction) -> int:
    """So many times the width, in whole multiples of eight."""
    return max(8, round(width * ratio / 8) * 8)


def _basic(rng: random.Random, act: Op, words: Vocabulary) -> Recipe:
    """Two convolutions beside the input (arXiv 1512.03385)."""
    kernel = rng.choice((3, 3, 5))

    def make(width: int) -> Block:
        builder = GraphBuilder()
        x = builder.chain(0, *normed(width, width, kernel, act), *normed(width, width, kernel, None))
        return _plain(builder.build(builder.add(act, builder.add(_ADD, x, 0))))

    return Recipe("basic", 8, make)


def _bottleneck(rng: random.Random, act: Op, words: Vocabulary) -> Recipe:
    """1x1, kxk in groups and 1x1 convolution, perhaps gated, beside the input (arXiv 1512.03385, 1611.05431, 2003.13678)."""
    ratio, kernel = Fraction(rng.choice(("1/4", "1/2", "1"))), rng.choice((3, 3, 5))
    group_width, gate = rng.choice((None, 8, 16, 32)), rng.random() < 0.5

    def make(width: int) -> Block:
        inner = _whole(width, ratio)
        groups = 1 if group_width is None or inner % group_width else inner // group_width
        builder = GraphBuilder()
        x = builder.chain(0, *normed(width, inner, 1, act), *normed(inner, inner, kernel, act, groups=groups))
        if gate:
            x = gated(builder, x, inner, _whole(width, Fraction(1, 8)), act, _SIGMOID)
        x = builder.chain(x, *normed(inner, width, 1, None))
        return _plain(builder.build(builder.add(act, builder.add(_ADD, x, 0))))

    return Recipe("bottleneck", 8, make)


def _inverted(rng: random.Random, act: Op, words: Vocabulary) -> Recipe:
    """Expansion, depthwise convolution, perhaps a gate, reduction, beside the input (arXiv 1801.04381, 1905.11946)."""
    ratio, kernel = Fraction(rng.choice(("2", "3", "4", "6"))), rng.choice((3, 5, 7))
    gate = rng.random() < 0.5

    def make(width: int) -> Block:
        inner = _whole(width, ratio)
        builder = GraphBuilder()
        x = builder.chain(0, *normed(width, inner, 1, act), *normed(inner, inner, kernel, act, groups="depthwise"))
        if gate:
            x = gated(builder, x, inner, _whole(width, Fraction(1, 4)), act, _SIGMOID)
        return _plain(_beside(builder, builder.chain(x, *normed(inner, width, 1, None))))

    return Recipe("inverted", 8, make)


def _convnext(rng: random.Random, act: Op, words: Vocabulary) -> Recipe:
    """Depthwise convolution, LayerNorm, MLP, LayerScale, beside the input (arXiv 2201.03545)."""
    kernel, expansion = rng.choice((5, 7, 9)), rng.choice((2, 3, 4))
    builder = GraphBuilder()
    x = builder.chain(
        0,
        op("conv", kernel=kernel, groups="depthwise"),
        _LAYER_NORM,
        op("conv", kernel=1, ratio=expansion),
        act,
        op("conv", kernel=1, ratio=f"1/{expansion}"),
        op("layer_scale"),
    )
    block = _plain(_beside(builder, x))
    return Recipe("convnext", 8, lambda width: block)


def _mbconv(rng: random.Random, act: Op, words: Vocabulary) -> Recipe:
    """The template's MBConv (arXiv 2510.06035)."""
    block = Block((mbconv(rng.choice((2, 4, 6)), rng.choice((3, 5, 7))), None))
    return Recipe("mbconv", 8, lambda width: block)


def _transformer(rng: random.Random, act: Op, words: Vocabulary) -> Recipe:
    """Attention with a relative position bias, and an MLP."""
    head_dim = rng.choice((16, 32, 32, 64))
    block = Block((attention_block(head_dim), mlp_block(rng.choice((2, 3, 4)))))
    return Recipe("transformer", head_dim, lambda width: block)


def _metaformer(rng: random.Random, act: Op, words: Vocabulary) -> Recipe:
    """A transformer block whose pixels mix otherwise (arXiv 2111.11418): by pooling, depthwise convolution, in windows."""
    kernel = rng.choice((3, 5, 7))
    mixers = [(chain(op("average_pool")), 8), (chain(op("conv", kernel=kernel, groups="depthwise", bias=False), NORM), 8)]
    mixers += [(FRAGMENTS[name], step) for name, step in _MIXERS.items() if name in words.fitting["full"]]
    mixer, step = mixers[rng.randrange(len(mixers))]
    block = Block((mixer, mlp_block(rng.choice((2, 4)))))
    return Recipe("metaformer", step, lambda width: block)


def _fragments(rng: random.Random, act: Op, words: Vocabulary) -> Recipe:
    """Two residual sub-blocks of one or two fragments each, of those that may be inserted."""

    def sub() -> Graph:
        builder, x = GraphBuilder(), 0
        for _ in range(rng.randint(1, 2)):
            x = builder.include(FRAGMENTS[rng.choice(words.fitting["full"])], x)
        return builder.build(x)

    block = Block((sub(), sub()))
    return Recipe("fragments", 32, lambda width: block)


RECIPES: dict[str, Callable[[random.Random, Op, Vocabulary], Recipe]] = {
    "basic": _basic,
    "bottleneck": _bottleneck,
    "inverted": _inverted,
    "convnext": _convnext,
    "mbconv": _mbconv,
    "transformer": _transformer,
    "metaformer": _metaformer,
    "fragments": _fragments,
}
"""Family -> what draws its hyperparameters."""


def attends(block: Block) -> bool:
    """Return whether a block holds an attention map over all pixels."""
    nodes = [node for graph in block.subblocks if graph is not None for node in graph.nodes if node.op.name == "matmul_qk"]
    return any(node.op.values["window"] == 0 and node.op.values["over"] == "pixels" for node in nodes)
