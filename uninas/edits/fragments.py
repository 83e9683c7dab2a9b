"""Graphs with one input and one output of equal type that edits insert: single operations and macros of the space.

A macro is its plain nodes once inserted. Which fragments fit an edge depends on its type's kind: "full" or "pooled" feature map,
"sequence" of a class token and pixels, or "attention" map.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from uninas.edits import macros
from uninas.edits.macros import chain
from uninas.errors import InputError
from uninas.graph import Graph, GraphBuilder
from uninas.networks.presets import attention, attention_block, mbconv, mlp_block, resnet_block, squeeze_excitation
from uninas.ops import FeatureMap, Op, Type, op

KINDS = ("full", "pooled", "sequence", "attention")


def kind_of(type_: Type) -> str:
    """Return which of KINDS a type is: it decides which fragments fit an edge of that type."""
    if type(type_) is FeatureMap:
        return "pooled" if type_.pooled else "sequence" if type_.tokens else "full"
    return "attention"


def _build(grow: Callable[[GraphBuilder, int], int]) -> Graph:
    builder = GraphBuilder()
    return builder.build(grow(builder, 0))


_CONV1, _CONV3 = op("conv", kernel=1), op("conv", kernel=3)
_EXPAND4, _REDUCE4 = op("conv", kernel=1, ratio=4), op("conv", kernel=1, ratio="1/4")
_BATCH_NORM, _GELU = op("batch_norm"), op("gelu")
_ALL_MAPS, _PIXELS, _FULL = ("full", "pooled", "sequence"), ("full", "sequence"), ("full",)


def _depthwise(kernel: int, dilation: int = 1) -> Op:
    return op("conv", kernel=kernel, groups="depthwise", bias=False, dilation=dilation)


SINGLE: dict[str, tuple[Op, tuple[str, ...]]] = {
    "conv1x1": (_CONV1, _ALL_MAPS),
    "conv3x3": (_CONV3, _FULL),
    "depthwise3x3": (_depthwise(3), _FULL),
    "depthwise5x5": (_depthwise(5), _FULL),
    "batch_norm": (_BATCH_NORM, _PIXELS),
    "layer_norm": (op("layer_norm"), _ALL_MAPS),
    "gelu": (_GELU, KINDS),
    "sigmoid": (op("sigmoid"), KINDS),
    "max_pool": (op("max_pool"), _FULL),
    "softmax": (op("softmax"), ("full", "attention")),
    "mask": (op("mask"), ("full", "attention")),
    "dropout": (op("dropout"), KINDS),
    "relative_position_bias": (op("relative_position_bias"), ("attention",)),
    # of other networks than those of arXiv 2510.06035
    "grouped3x3": (op("conv", kernel=3, groups=8), _FULL),
    "depthwise7x7": (_depthwise(7), _FULL),
    "dilated3x3": (_depthwise(3, dilation=2), _FULL),
    "average_pool": (op("average_pool"), _FULL),
    "group_norm": (op("group_norm", groups=8), _ALL_MAPS),
    "layer_scale": (op("layer_scale", initial="1/100"), _ALL_MAPS),
    "relu": (op("relu"), KINDS),
    "relu6": (op("relu6"), KINDS),
    "silu": (op("silu"), KINDS),
    "hardswish": (op("hardswish"), KINDS),
    "hard_sigmoid": (op("hard_sigmoid"), KINDS),
    "drop_path": (op("drop_path"), _PIXELS),
    "position_embedding": (op("position_embedding"), _FULL),
    "token_linear": (op("token_linear"), _FULL),
}
"""Operations that keep their input's type: name -> (operation, kinds of edge)."""

_MACROS: dict[str, tuple[Graph, tuple[str, ...]]] = {
    "conv3x3_norm_act": (chain(_CONV3, _BATCH_NORM, _GELU), _FULL),
    "resnet_block": (resnet_block(), _FULL),
    "mbconv": (mbconv(), _FULL),
    "mlp": (mlp_block(), _PIXELS),
    "expand_act_reduce": (chain(_EXPAND4, _GELU, _REDUCE4), _ALL_MAPS),
    "reduce_act_expand": (chain(_REDUCE4, _GELU, _EXPAND4), _ALL_MAPS),
    "squeeze_excitation": (_build(squeeze_excitation), _PIXELS),
    "pool_broadcast": (chain(op("global_average_pool"), op("broadcast")), _PIXELS),
    "attention": (attention_block(), _FULL),
    "attention_core": (_build(lambda builder, start: attention(builder, start, bias=False)), _PIXELS),
    # of other networks
    "fused_mbconv": (macros.fused_mbconv(), _FULL),
    "convnext_block": (macros.convnext_block(), _FULL),
    "depthwise_mlp": (macros.depthwise_mlp(), _FULL),
    "window_attention": (macros.window_attention(), _FULL),
    "shifted_window_attention": (macros.window_attention(shift=3), _FULL),
    "coarse_attention": (macros.coarse_attention(), _FULL),
    "shared_key_attention": (macros.shared_key_attention(), _PIXELS),
    "channel_attention": (macros.channel_attention(), _PIXELS),
    "pool_mixer": (macros.pool_mixer(), _FULL),
    "dense_layers": (macros.dense_layers(), _FULL),
    "token_mixer": (macros.token_mixer(), _FULL),
}

FRAGMENTS: dict[str, Graph] = {name: chain(operation) for name, (operation, _) in SINGLE.items()} | {
    name: graph for name, (graph, _) in _MACROS.items()
}
"""Everything that can be inserted, by name."""

FITTING: dict[str, tuple[str, ...]] = {
    kind: tuple(name for name, (_, kinds) in [*SINGLE.items(), *_MACROS.items()] if kind in kinds) for kind in KINDS
}
"""Kind of edge -> names of the fragments that fit it."""

SAME_TYPE: dict[str, tuple[Op, ...]] = {
    kind: tuple(operation for operation, kinds in SINGLE.values() if kind in kinds) for kind in KINDS
}
"""Kind of edge -> operations that may take each other's place on it."""


# --- vocabularies ---------------------------------------------------------------------------------------------------------

_PAPER = (  # operations of arXiv 2510.06035 and what its networks are made of
    "conv1x1 conv3x3 depthwise3x3 depthwise5x5 batch_norm layer_norm gelu sigmoid max_pool softmax mask dropout "
    "relative_position_bias conv3x3_norm_act resnet_block mbconv mlp expand_act_reduce reduce_act_expand "
    "squeeze_excitation pool_broadcast attention attention_core"
)

VOCABULARIES: dict[str, tuple[str, ...]] = {
    "universal": tuple(FRAGMENTS),
    "uninas": tuple(_PAPER.split()),
}
"""Named sets of fragments that edits may insert."""


class Vocabulary(NamedTuple):
    """What edits may insert: FITTING and SAME_TYPE, cut down to some fragments, in the order of FRAGMENTS."""

    fitting: dict[str, tuple[str, ...]]
    same_type: dict[str, tuple[Op, ...]]


def vocabulary(names: Iterable[str]) -> Vocabulary:
    """Return the fragments of those names, and of the vocabularies of those names, together.

    Raises InputError for a name that is neither, and for none at all.
    """
    chosen = set[str]()
    for name in names:
        if name not in VOCABULARIES and name not in FRAGMENTS:
            near = difflib.get_close_matches(name, [*VOCABULARIES, *FRAGMENTS], 1, cutoff=0.0)[0]
            raise InputError(
                f"expected a vocabulary ({', '.join(VOCABULARIES)}) or a fragment, got {name[:60]!r}, nearest is {near!r}"
            )
        chosen.update(VOCABULARIES.get(name, (name,)))
    if not chosen:
        raise InputError(f"expected a vocabulary ({', '.join(VOCABULARIES)}) or fragments ({', '.join(FRAGMENTS)}), got none")
    fitting = {kind: tuple(name for name in fitting if name in chosen) for kind, fitting in FITTING.items()}
    operations = [operation for name, (operation, _) in SINGLE.items() if name in chosen]
    return Vocabulary(fitting, {kind: tuple(o for o in same if o in operations) for kind, same in SAME_TYPE.items()})


UNIVERSAL = vocabulary(["universal"])
"""Every fragment there is."""
