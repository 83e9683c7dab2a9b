"""Operations that are well typed and mean nothing at the reference size. Edits refuse to make them; files only warn."""

from __future__ import annotations

from uninas.graph import Architecture, Flow, Graph
from uninas.ops import FeatureMap, Op, Place, Type, table_size


def meaningless(graph: Graph, width: int, place: Place) -> str | None:
    """Why a graph holds an operation without meaning in a block of that width at that place, or None.

    Judged at the reference size, as if for training at batch 1.
    """
    key = ("meaning", width, place.reference_height, place.reference_width)
    if key not in graph.memo:
        graph.memo[key] = _first_fault(graph, graph.types(width), place)
    found: str | None = graph.memo[key]
    return found


def _first_fault(graph: Graph, types: tuple[Type, ...], place: Place) -> str | None:
    for index in range(1, len(graph.nodes)):
        operation, inputs = graph.nodes[index]
        test = _TESTS.get(operation.name)
        if test is not None:
            fault = test(operation, types[inputs[0]], place)
            if fault is not None:
                return f"%{index} {operation.text}: {fault}"
    return None


def _sides(given: Type, place: Place) -> tuple[int, int]:
    """Lengths of the last two dimensions of a tensor of that type."""
    height, width = table_size(given, place)
    return (height, width) if given.pooled or type(given) is FeatureMap else (height * width,) * 2


def _softmax(operation: Op, given: Type, place: Place) -> str | None:
    return "softmax over one entry is constant" if _sides(given, place)[1] == 1 else None


def _layer_norm(operation: Op, given: Type, place: Place) -> str | None:
    return "LayerNorm over one channel is always zero" if given[0] == 1 else None


def _batch_norm(operation: Op, given: Type, place: Place) -> str | None:
    return "BatchNorm on a 1x1 map cannot train at batch 1" if _sides(given, place) == (1, 1) else None


def _window(operation: Op, given: Type, place: Place) -> str | None:
    return "pooling a 1x1 map changes nothing" if _sides(given, place) == (1, 1) else None


def _mask(operation: Op, given: Type, place: Place) -> str | None:
    if max(_sides(given, place)) - 1 <= operation.values["band"]:
        return "the band covers the whole map"
    return None


def _conv(operation: Op, given: Type, place: Place) -> str | None:
    if _sides(given, place) == (1, 1):
        if operation.values["kernel"] > 1:
            return "only the centre of the kernel sees a 1x1 map"
        if operation.values["stride"] > 1:
            return "a 1x1 map has nothing to stride over"
    return None


def _table(operation: Op, given: Type, place: Place) -> str | None:
    return "an attention map of one entry" if _sides(given, place)[1] == 1 else None


_TESTS = {
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "max_pool": _window,
    "average_pool": _window,
    "mask": _mask,
    "conv": _conv,
    "relative_position_bias": _table,
}


def warnings_of(architecture: Architecture) -> list[str]:
    """One line for each graph that holds an operation without meaning at the reference size."""
    flows = architecture.flows()
    found: list[tuple[str, str | None]] = []
    if isinstance(architecture.stem, Graph):
        found.append(("stem", _frame_fault(architecture.stem, Flow(architecture.in_channels, architecture.image()))))
    for s, (stage, before, (width, place)) in enumerate(zip(architecture.stages, flows, flows[1:], strict=False)):
        if stage.entry is not None:
            found.append((f"stage {s}, entry", _frame_fault(stage.entry, before)))
        for b, block in enumerate(stage.blocks):
            for k, graph in enumerate(block.subblocks):
                if graph is not None:
                    found.append((f"stage {s}, block {b}, sub-block {k + 1}", meaningless(graph, width, place)))
    if architecture.head is not None:
        found.append(("head", _frame_fault(architecture.head, flows[-1])))
    return [f"{where}, {fault}" for where, fault in found if fault]


def _frame_fault(graph: Graph, given: Flow) -> str | None:
    return _first_fault(graph, graph.frame_types(given.channels), given.place)
