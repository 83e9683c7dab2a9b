"""Rules of degeneracy: why an operation is degenerate on such an input at the reference size, or None."""

from __future__ import annotations

from uninas.operation import Op
from uninas.rules.inference import kernel_sides
from uninas.shapes import AttentionMap, FeatureMap, Place, Type, pixels_of, sides_of, table_size


def sides(given: Type, place: Place) -> tuple[int, int]:
    """Return the lengths of the last two dimensions of a tensor of that type, at the reference size."""
    at = Place(*place[2:], *place[2:])
    if type(given) is AttentionMap:
        return sides_of(given, at)[1:]
    assert type(given) is FeatureMap
    return (pixels_of(given, at), 1) if given.tokens else table_size(given, at)


def softmax_fault(op: Op, given: Type, place: Place) -> str | None:
    """Say why the operation is degenerate on such an input, or None."""
    return "softmax over one entry is constant" if sides(given, place)[1] == 1 else None


def layer_norm_fault(op: Op, given: Type, place: Place) -> str | None:
    """Say why the operation is degenerate on such an input, or None."""
    return "LayerNorm over one channel is always zero" if given[0] == 1 else None


def group_norm_fault(op: Op, given: Type, place: Place) -> str | None:
    """Say why the operation is degenerate on such an input, or None."""
    alone = given[0] == op.values["groups"] and sides(given, place) == (1, 1)
    return "GroupNorm over one entry is always zero" if alone else None


def batch_norm_fault(op: Op, given: Type, place: Place) -> str | None:
    """Say why the operation is degenerate on such an input, or None."""
    return "BatchNorm on a 1x1 map cannot train at batch 1" if sides(given, place) == (1, 1) else None


def window_fault(op: Op, given: Type, place: Place) -> str | None:
    """Say why the operation is degenerate on such an input, or None."""
    return "pooling a 1x1 map changes nothing" if sides(given, place) == (1, 1) else None


def mask_fault(op: Op, given: Type, place: Place) -> str | None:
    """Say why the operation is degenerate on such an input, or None."""
    return "the band covers the whole map" if max(sides(given, place)) - 1 <= op.values["band"] else None


def conv_fault(op: Op, given: Type, place: Place) -> str | None:
    """Say why the operation is degenerate on such an input, or None."""
    if sides(given, place) == (1, 1):
        if kernel_sides(op) != (1, 1):
            return "only the centre of the kernel sees a 1x1 map"
        if op.values["stride"] > 1:
            return "a 1x1 map has nothing to stride over"
    return None


def mixing_fault(op: Op, given: Type, place: Place) -> str | None:
    """Say why the operation is degenerate on such an input, or None."""
    return "a linear layer over one pixel" if sides(given, place) == (1, 1) else None


def axes_fault(op: Op, given: Type, place: Place) -> str | None:
    """Say why the operation is degenerate on such an input, or None."""
    return "one bias for the one pixel of a map" if sides(given, place) == (1, 1) else None


def table_fault(op: Op, given: Type, place: Place) -> str | None:
    """Say why the operation is degenerate on such an input, or None."""
    return "an attention map of one entry" if sides(given, place)[1] == 1 else None
