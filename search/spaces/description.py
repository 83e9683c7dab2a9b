"""A network as one vector of numbers, for models that learn what makes networks good. No torch, no weights.

    names()                                  what the entries are
    described(architecture, (64, 64))        float64, one entry per name, equally long for every network of the graph space

`uninas.analysis.features` describes what blocks are made of, in the manner of GRAF (arXiv 2404.16551). Here that is put
together with what stands where: a level is a number of halvings of the input, so that networks of three and of five stages are
compared by what works at which resolution. Counts and costs enter as logarithms, since the second of two blocks says more than
the thirtieth; what a level costs, as its share of the network.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from uninas.analysis.cost import costs_of_parts
from uninas.analysis.features import KINDS, block_features, block_keys
from uninas.graph import Architecture, Graph, Stage

LEVELS = 7
"""Halvings of the input that are told apart: 0 to 5, and 6 or more."""

_OF_A_LEVEL = ("depth", "width", "macs", "params", *(f"count.{kind}" for kind in KINDS))
_WHOLE = (
    "params",
    "macs",
    "layers",
    "activations",
    "attention_tokens",
    "stages",
    "depth",
    "transitions",
    "stem.macs",
    "head.params",
)


@cache
def names() -> tuple[str, ...]:
    """Name the entries of `described`, in their order."""
    levels = tuple(f"level{level}.{name}" for level in range(LEVELS) for name in _OF_A_LEVEL)
    return (*_WHOLE, *levels, *(f"blocks.{name}" for name in block_keys()))


def described(architecture: Architecture, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """Describe a network.

    Args:
        architecture: in any form. Its costs are counted as it was written; what is said of its blocks is of their canonical form.
        size: (height, width) of its input in pixels; default: the reference size.

    Returns:
        float64 of shape ``(len(names()),)``, without NaN and infinity.

    Raises:
        GraphError: a graph is ill typed, or nothing is left of such an input.
    """
    stem, *stages, head = costs_of_parts(architecture, size)
    params, macs = (sum(part[which] for part in (stem, *stages, head)) for which in (0, 1))
    levels = np.zeros((LEVELS, len(_OF_A_LEVEL)))
    blocks = np.zeros(len(block_keys()))
    image = architecture.image(size)
    side = max(image.height, image.width)
    for stage, cost, flow in zip(architecture.stages, stages, architecture.flows(size)[1:], strict=True):
        own = _of_stage(stage)
        level = min(LEVELS - 1, max(0, round(math.log2(side / max(flow.place.height, flow.place.width)))))
        depth = len(stage.blocks)
        row = levels[level]
        row[0] += depth
        row[1] = max(row[1], math.log2(stage.width))
        row[2] += cost[1] / max(macs, 1)
        row[3] += cost[0] / max(params, 1)
        row[4:] += own[: len(KINDS)]
        blocks += own
    levels[:, 0] = np.log1p(levels[:, 0])
    levels[:, 4:] = np.log1p(levels[:, 4:])
    whole = [
        math.log1p(params),
        math.log1p(macs),
        math.log1p(sum(part[2] for part in (stem, *stages, head))),
        math.log1p(sum(part[3] for part in (stem, *stages, head))),
        math.log1p(max(part[4] for part in (stem, *stages, head))),
        float(len(stages)),
        math.log1p(sum(len(stage.blocks) for stage in architecture.stages)),
        float(sum(stage.transition is not None for stage in architecture.stages)),
        stem[1] / max(macs, 1),
        head[0] / max(params, 1),
    ]
    return np.concatenate([whole, levels.ravel(), np.log1p(blocks)])


def _of_stage(stage: Stage) -> NDArray[np.float64]:
    """The sum over a stage's blocks of `block_features`; kept with the stage."""
    found: NDArray[np.float64] | None = stage.memo.get("described")
    if found is None:
        graphs = [graph for block in stage.blocks for graph in block.subblocks if graph is not None]
        found = sum((_of_graph(graph, stage.width) for graph in graphs), np.zeros(len(block_keys())))
        stage.memo["described"] = found
    return found


def _of_graph(graph: Graph, width: int) -> NDArray[np.float64]:
    """`block_features` as a vector; kept with the graph, for a width."""
    found: NDArray[np.float64] | None = graph.memo.get(("described", width))
    if found is None:
        features = block_features(graph, width)
        found = graph.memo["described", width] = np.array([features[name] for name in block_keys()])
    return found
