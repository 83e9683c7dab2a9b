"""Graphs with one input and one output of equal type that edits insert: single operations and macros of the space.

A macro is its plain nodes once inserted. Which fragments fit an edge depends on its type's kind: "full" or "pooled" feature map,
or "attention" map.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from uninas.errors import InputError
from uninas.graph import Graph, GraphBuilder
from uninas.ops import FeatureMap, Op, Type, op
from uninas.presets import attention, attention_block, mbconv, mlp_block, resnet_block, squeeze_excitation

KINDS = ("full", "pooled", "attention")


def kind_of(type_: Type) -> str:
    """One of KINDS: which fragments fit an edge of that type."""
    if type(type_) is FeatureMap:
        return "pooled" if type_.pooled else "full"
    return "attention"


def _build(grow: Callable[[GraphBuilder, int], int]) -> Graph:
    builder = GraphBuilder()
    return builder.build(grow(builder, 0))


def _chain(*ops: Op) -> Graph:
    return _build(lambda builder, start: builder.chain(start, *ops))


_CONV1, _CONV3 = op("conv", kernel=1), op("conv", kernel=3)
_EXPAND4, _REDUCE4 = op("conv", kernel=1, ratio=4), op("conv", kernel=1, ratio="1/4")
_BATCH_NORM, _GELU = op("batch_norm"), op("gelu")

SINGLE: dict[str, tuple[Op, tuple[str, ...]]] = {
    "conv1x1": (_CONV1, ("full", "pooled")),
    "conv3x3": (_CONV3, ("full",)),
    "depthwise3x3": (op("conv", kernel=3, groups="depthwise", bias=False), ("full",)),
    "depthwise5x5": (op("conv", kernel=5, groups="depthwise", bias=False), ("full",)),
    "batch_norm": (_BATCH_NORM, ("full",)),
    "layer_norm": (op("layer_norm"), ("full", "pooled")),
    "gelu": (_GELU, KINDS),
    "sigmoid": (op("sigmoid"), KINDS),
    "max_pool": (op("max_pool"), ("full",)),
    "softmax": (op("softmax"), ("full", "attention")),
    "mask": (op("mask"), ("full", "attention")),
    "dropout": (op("dropout"), KINDS),
    "relative_position_bias": (op("relative_position_bias"), ("attention",)),
}
"""Operations that keep their input's type: name -> (operation, kinds of edge)."""

_MACROS: dict[str, tuple[Graph, tuple[str, ...]]] = {
    "conv3x3_norm_act": (_chain(_CONV3, _BATCH_NORM, _GELU), ("full",)),
    "resnet_block": (resnet_block(), ("full",)),
    "mbconv": (mbconv(), ("full",)),
    "mlp": (mlp_block(), ("full",)),
    "expand_act_reduce": (_chain(_EXPAND4, _GELU, _REDUCE4), ("full", "pooled")),
    "reduce_act_expand": (_chain(_REDUCE4, _GELU, _EXPAND4), ("full", "pooled")),
    "squeeze_excitation": (_build(squeeze_excitation), ("full",)),
    "pool_broadcast": (_chain(op("global_average_pool"), op("broadcast")), ("full",)),
    "attention": (attention_block(), ("full",)),
    "attention_core": (_build(lambda builder, start: attention(builder, start, bias=False)), ("full",)),
}

FRAGMENTS: dict[str, Graph] = {name: _chain(operation) for name, (operation, _) in SINGLE.items()} | {
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

VOCABULARIES: dict[str, tuple[str, ...]] = {
    "universal": tuple(FRAGMENTS),
    # Operations of arXiv 2510.06035 and what its networks are made of.
    "uninas": (
        "conv1x1", "conv3x3", "depthwise3x3", "depthwise5x5", "batch_norm", "layer_norm", "gelu", "sigmoid", "max_pool",
        "softmax", "mask", "dropout", "relative_position_bias", "conv3x3_norm_act", "resnet_block", "mbconv", "mlp",
        "expand_act_reduce", "reduce_act_expand", "squeeze_excitation", "pool_broadcast", "attention", "attention_core",
    ),
}  # fmt: skip
"""Named sets of fragments that edits may insert."""


class Vocabulary(NamedTuple):
    """What edits may insert: FITTING and SAME_TYPE, cut down to some fragments, in the order of FRAGMENTS."""

    fitting: dict[str, tuple[str, ...]]
    same_type: dict[str, tuple[Op, ...]]


def vocabulary(names: Iterable[str]) -> Vocabulary:
    """The fragments of those names, and of the vocabularies of those names, together.

    Raises InputError for a name that is neither, and for none at all.
    """
    chosen = set[str]()
    for name in names:
        if name not in VOCABULARIES and name not in FRAGMENTS:
            near = difflib.get_close_matches(name, [*VOCABULARIES, *FRAGMENTS], 1, cutoff=0.0)[0]
            raise InputError(
                f"expected a vocabulary ({', '.join(VOCABULARIES)}) or a fragment, came {name[:60]!r}, nearest is {near!r}"
            )
        chosen.update(VOCABULARIES.get(name, (name,)))
    if not chosen:
        raise InputError(f"expected a vocabulary ({', '.join(VOCABULARIES)}) or fragments ({', '.join(FRAGMENTS)}), came none")
    fitting = {kind: tuple(name for name in fitting if name in chosen) for kind, fitting in FITTING.items()}
    operations = [operation for name, (operation, _) in SINGLE.items() if name in chosen]
    return Vocabulary(fitting, {kind: tuple(o for o in same if o in operations) for kind, same in SAME_TYPE.items()})


UNIVERSAL = vocabulary(["universal"])
"""Every fragment there is."""
