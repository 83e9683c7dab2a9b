"""What kind of network an architecture is, in words, by what its blocks mix pixels with.

A part counts where at least a quarter of the blocks have it: one edit does not make another family.
"""

from __future__ import annotations

from collections import Counter
from math import ceil

from uninas.analysis.features import kind_of
from uninas.graph import Architecture, Block, Graph

PARTS = ("convolution", "depthwise", "attention", "pooling", "gate")
"""Dense or grouped spatial convolution, depthwise convolution, attention, pooling over a window, a product of two branches."""

_PART = {"spatial": "convolution", "depthwise": "depthwise", "attention": "attention", "pooling": "pooling", "gate": "gate"}
_SHARE = 0.25


def family(architecture: Architecture) -> str:
    """Return the parts that at least a quarter of the blocks have, joined by " + "; "pointwise" where there is none.

    A network without blocks is judged by its transitions.
    """
    blocks = [_parts(block) for stage in architecture.stages for block in stage.blocks if any(block.subblocks)]
    if not blocks:
        blocks = [_graph_parts(stage.transition) for stage in architecture.stages if stage.transition is not None]
    counts = Counter(part for parts in blocks for part in parts)
    found = [part for part in PARTS if counts[part] >= max(1, ceil(_SHARE * len(blocks)))]
    return " + ".join(found) or "pointwise"


def _parts(block: Block) -> frozenset[str]:
    return frozenset[str]().union(*(_graph_parts(graph) for graph in block.subblocks if graph is not None))


def _graph_parts(graph: Graph) -> frozenset[str]:
    if "parts" not in graph.memo:
        kinds = {kind_of(node.op) for node in graph.nodes}
        graph.memo["parts"] = frozenset(_PART[kind] for kind in kinds if kind in _PART)
    found: frozenset[str] = graph.memo["parts"]
    return found
