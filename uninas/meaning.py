"""Operations that are well typed and mean nothing at the reference size. Edits refuse to make them; files only warn."""

from __future__ import annotations

from uninas.graph import Architecture, Graph
from uninas.ops import FeatureMap, Op, Place, Type


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
    if given.pooled:
        return 1, 1
    if type(given) is FeatureMap:
        return place.reference_height, place.reference_width
    tokens = place.reference_height * place.reference_width
    return tokens, tokens


def _softmax(operation: Op, given: Type, place: Place) -> str | None:
    return "softmax over one entry is constant" if _sides(given, place)[1] == 1 else None


def _layer_norm(operation: Op, given: Type, place: Place) -> str | None:
    return "LayerNorm over one channel is always zero" if given[0] == 1 else None


def _batch_norm(operation: Op, given: Type, place: Place) -> str | None:
    return "BatchNorm on a 1x1 map cannot train at batch 1" if _sides(given, place) == (1, 1) else None


def _max_pool(operation: Op, given: Type, place: Place) -> str | None:
    return "pooling a 1x1 map changes nothing" if _sides(given, place) == (1, 1) else None


def _mask(operation: Op, given: Type, place: Place) -> str | None:
    if max(_sides(given, place)) - 1 <= operation.values["band"]:
        return "the band covers the whole map"
    return None


def _conv(operation: Op, given: Type, place: Place) -> str | None:
    if operation.values["kernel"] > 1 and _sides(given, place) == (1, 1):
        return "only the centre of the kernel sees a 1x1 map"
    return None


def _table(operation: Op, given: Type, place: Place) -> str | None:
    return "an attention map of one entry" if _sides(given, place)[1] == 1 else None


_TESTS = {
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "max_pool": _max_pool,
    "mask": _mask,
    "conv": _conv,
    "relative_position_bias": _table,
}


def warnings_of(architecture: Architecture) -> list[str]:
    """One line for each sub-block that holds an operation without meaning at the reference size."""
    found = []
    for s, (stage, place) in enumerate(zip(architecture.stages, architecture.places(), strict=True)):
        for b, block in enumerate(stage.blocks):
            for k, graph in enumerate(block.subblocks):
                fault = None if graph is None else meaningless(graph, stage.width, place)
                if fault:
                    found.append(f"stage {s}, block {b}, sub-block {k + 1}, {fault}")
    return found
