"""Stable names of the operations that carry parameters or randomness: what the compiled module calls its layers."""

from __future__ import annotations

import re

from uninas.graph import Graph


def layer_names(graph: Graph) -> tuple[str | None, ...]:
    """Name each node's layer, `<operation>_<ordinal among equals>`; None where it has no layer of its own."""
    counts: dict[str, int] = {}
    names: list[str | None] = []
    for node in graph.nodes:
        if not node.op.spec.instance:
            names.append(None)
            continue
        stem = re.sub(r"[^a-z0-9]+", "_", node.op.text).strip("_")
        counts[stem] = counts.get(stem, -1) + 1
        names.append(f"{stem}_{counts[stem]}")
    return tuple(names)


def subblock_prefix(stage: int, block: int, sub: int) -> str:
    """Return where a sub-block's layers are in the module: "stages.0.blocks.1.sub2."."""
    return f"stages.{stage}.blocks.{block}.sub{sub + 1}."
