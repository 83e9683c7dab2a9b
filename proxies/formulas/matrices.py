"""What the weight matrices of a network say without any values: formulas of their shapes. Without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["WeightMatrix", "depth_entropy", "spectral_capacity", "spectral_integral"]


@dataclass(frozen=True)
class WeightMatrix:
    """The shape of a convolution's or linear layer's weight, as the matrix that it multiplies by.

    Attributes:
        outputs: its output channels, of all groups together.
        inputs: what one output is a sum over: input channels of its group times the pixels of the kernel.
        groups: how many such matrices, each of ``outputs / groups`` rows, it consists of.
        pointwise: a linear layer, or a convolution of one pixel and one group, which is the same map.
        entries: how many numbers its result has for one sample.
    """

    outputs: int
    inputs: int
    groups: int
    pointwise: bool
    entries: int


def spectral_capacity(matrices: Sequence[WeightMatrix]) -> float:
    """Sum over matrices of the expected sum of ln(1 + s^2) over singular values s at initialisation: :func:`spectral_integral`.

    The entries' variance is 2 / (inputs + outputs) of a pointwise map (Glorot's) and 2 / inputs of any other convolution (He's).
    """
    total = 0.0
    for matrix in matrices:
        variance = 2.0 / (matrix.inputs + matrix.outputs) if matrix.pointwise else 2.0 / matrix.inputs
        total += matrix.groups * spectral_integral(matrix.outputs // matrix.groups, matrix.inputs, variance)
    return total


def spectral_integral(rows: int, columns: int, variance: float) -> float:
    """Sum of ln(1 + s^2) over the singular values s of a matrix with independent entries, by the law of Marchenko and Pastur.

    With N rows, K columns, g = variance N and b = K / N the squares s^2 are g times eigenvalues x of the law with ratio b, and

        K integral ln(1 + g x) = K [ ln(1 + g - F/4) + ln(1 + g b - F/4) / b - F / (4 b g) ],
        F = ( sqrt(g (1 + sqrt b)^2 + 1) - sqrt(g (1 - sqrt b)^2 + 1) )^2

    (the law's Shannon transform: Tulino and Verdu, Random Matrix Theory and Wireless Communications, 2004). Rows and
    columns may change places.
    """
    if rows < columns:
        rows, columns = columns, rows
    g, b = variance * rows, columns / rows
    high, low = (math.sqrt(g * (1.0 + sign * math.sqrt(b)) ** 2 + 1.0) for sign in (1, -1))
    quarter = (high - low) ** 2 / 4.0
    return columns * (math.log1p(g - quarter) + math.log1p(g * b - quarter) / b - quarter / (b * g))


def depth_entropy(matrices: Sequence[WeightMatrix]) -> float:
    """ln(numbers in the last feature map) times the sum over matrices of ln(inputs of one output); 0 for no matrices.

    The last feature map is the result of the last layer that has more than one position, or of the last layer.
    """
    maps = [matrix for matrix in matrices if matrix.entries > matrix.outputs] or list(matrices)
    return math.log(maps[-1].entries) * sum(math.log(matrix.inputs) for matrix in matrices) if maps else 0.0
