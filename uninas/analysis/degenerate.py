"""Operations that are well typed and mean nothing at the reference size. Edits refuse to make them; files only warn."""

from __future__ import annotations

from uninas.graph import Architecture, Flow, Graph
from uninas.ops import Place, Type


def meaningless(graph: Graph, at: Flow) -> str | None:
    """Why a graph holds an operation without meaning in a block on that map, or None.

    Judged at the reference size, as if for training at batch 1.
    """
    key = ("meaning", at.channels, at.tokens, at.place.reference_height, at.place.reference_width)
    if key not in graph.memo:
        graph.memo[key] = _first_fault(graph, graph.types(at.channels, at.tokens), at.place)
    found: str | None = graph.memo[key]
    return found


def frame_fault(graph: Graph, given: Flow) -> str | None:
    """Why a graph of the frame that reads that map holds an operation without meaning, or None."""
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
    """One line for each graph that holds an operation without meaning at the reference size."""
    flows = architecture.flows()
    found: list[tuple[str, str | None]] = []
    if isinstance(architecture.stem, Graph):
        found.append(("stem", frame_fault(architecture.stem, Flow(architecture.in_channels, architecture.image()))))
    for s, (stage, before, after) in enumerate(zip(architecture.stages, flows, flows[1:], strict=False)):
        if stage.entry is not None:
            found.append((f"stage {s}, entry", frame_fault(stage.entry, before)))
        for b, block in enumerate(stage.blocks):
            for k, graph in enumerate(block.subblocks):
                if graph is not None:
                    found.append((f"stage {s}, block {b}, sub-block {k + 1}", meaningless(graph, after)))
    if architecture.head is not None:
        found.append(("head", frame_fault(architecture.head, flows[-1])))
    return [f"{where}, {fault}" for where, fault in found if fault]
