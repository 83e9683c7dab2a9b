"""Degenerate operations: well typed, but without effect at the reference size. Edits never make one; files only warn."""

from __future__ import annotations

from uninas.graph import Architecture, Flow, Graph
from uninas.ops import Place, Type


def block_fault(graph: Graph, at: Flow) -> str | None:
    """Say why a graph holds a degenerate operation in a block on that map, or None.

    Judged at the reference size, as if for training at batch 1.
    """
    key = ("meaning", at.channels, at.tokens, at.place.reference_height, at.place.reference_width)
    if key not in graph.memo:
        graph.memo[key] = _first_fault(graph, graph.types(at.channels, at.tokens), at.place)
    found: str | None = graph.memo[key]
    return found


def frame_fault(graph: Graph, given: Flow) -> str | None:
    """Say why a graph of the frame that reads that map holds a degenerate operation, or None."""
    key = ("frame meaning", *given)
    if key not in graph.memo:
        graph.memo[key] = _first_fault(graph, given.types(graph), given.place)
    found: str | None = graph.memo[key]
    return found


def _first_fault(graph: Graph, types: tuple[Type, ...], place: Place) -> str | None:
    for index in range(1, len(graph.nodes)):
        operation, inputs = graph.nodes[index]
        if operation.spec.fault is not None:
            fault = operation.spec.fault(operation, types[inputs[0]], place)
            if fault is not None:
                return f"%{index} {operation.text}: {fault}"
    return None


def warnings_of(architecture: Architecture) -> list[str]:
    """Return one line for each graph that holds a degenerate operation at the reference size."""
    flows = architecture.flows()
    found: list[tuple[str, str | None]] = []
    if isinstance(architecture.stem, Graph):
        found.append(("stem", frame_fault(architecture.stem, Flow(architecture.in_channels, architecture.image()))))
    for s, (stage, before, after) in enumerate(zip(architecture.stages, flows, flows[1:], strict=False), start=1):
        if stage.transition is not None:
            found.append((f"stage {s}, transition", frame_fault(stage.transition, before)))
        for b, block in enumerate(stage.blocks, start=1):
            for k, graph in enumerate(block.subblocks, start=1):
                if graph is not None:
                    found.append((f"stage {s}, block {b}, sub-block {k}", block_fault(graph, after)))
    if architecture.head is not None:
        found.append(("head", frame_fault(architecture.head, flows[-1])))
    return [f"{where}, {fault}" for where, fault in found if fault]
