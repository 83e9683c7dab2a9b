"""Rules of cost: an operation, its first input's type, the output's and the place give exact integers.

MACs are fused multiply-adds of convolutions, linear layers and attention products.
"""

from __future__ import annotations

from uninas.operation import Op
from uninas.rules.inference import conv_groups, kernel_sides
from uninas.shapes import AttentionMap, FeatureMap, Place, Type, axis_side, entries, pixels_of, sides_of, table_size


def conv_weights(op: Op, given: Type, made: Type) -> int:
    """Count the entries of a convolution's kernel."""
    rows, columns = kernel_sides(op)
    return made[0] * (given[0] // conv_groups(op, given[0])) * rows * columns


def conv_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count the parameters of kernel and bias."""
    return conv_weights(op, given, made) + (made[0] if op.values["bias"] else 0)


def conv_macs(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count the kernel's entries once for each pixel, or entry of an attention map, that is made."""
    return conv_weights(op, given, made) * (entries(made, place) // made[0])


def conv_bias(op: Op, made: Type, place: Place) -> int:
    """Count one bias for each channel made, or none."""
    return made[0] if op.values["bias"] else 0


def norm_bias(op: Op, made: Type, place: Place) -> int:
    """Count one bias for each channel."""
    return made[0]


def norm_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count one weight and one bias for each channel."""
    return 2 * made[0]


def table_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count one bias for each head, or for all together, and each offset between two tokens, at the reference size."""
    height, width = table_size(made, place)
    return (1 if op.values["shared"] else made[0]) * (2 * height - 1) * (2 * width - 1)


def axes_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count one bias for each offset between two positions of the grid that rows and columns lie on, at the reference size."""
    offsets = 2 * axis_side(*table_size(made, place)) - 1
    return offsets * offsets


def scores_macs(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count the channels of a head times the entries of the map; between channels, the pixels that are summed over."""
    assert type(given) is FeatureMap
    assert type(made) is AttentionMap
    windows, rows, columns = sides_of(made, place)
    return made.heads * windows * rows * columns * (pixels_of(given, place) if made.channels else op.values["head_dim"])


def weighted_macs(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count each entry of the map (the first input) once for each channel of a head of the values."""
    assert type(given) is AttentionMap
    assert type(made) is FeatureMap
    if given.channels:
        return made.channels * given.channels * pixels_of(made, place)
    windows, rows, columns = sides_of(given, place)
    return windows * rows * columns * made.channels


def token_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count one vector, and another for its position."""
    return made[0] * (2 if op.values["position"] else 1)


def mixing_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count one weight for each pair of pixels and one bias for each pixel, at the reference size."""
    height, width = table_size(made, place)
    return (height * width) ** 2 + height * width


def mixing_bias(op: Op, made: Type, place: Place) -> int:
    """Count one bias for each pixel, at the reference size."""
    height, width = table_size(made, place)
    return height * width


def mixing_macs(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count each pair of pixels once for each channel, at the reference size: a map of another size is resized."""
    height, width = table_size(made, place)
    return made[0] * (height * width) ** 2


def scale_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count one factor for each channel."""
    return made[0]


def embedding_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    """Count one offset for each channel and pixel, at the reference size."""
    height, width = table_size(made, place)
    return made[0] * height * width
