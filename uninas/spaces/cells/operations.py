"""What an edge of a cell may do, as nodes of a graph: the operations of DARTS, NASNet, ENAS, AmoebaNet and PNAS.

Names and layers are those in which NDS trained all five spaces (facebookresearch/unnas, pycls/models/nas/operations.py, which
extends quark0/darts, cnn/operations.py). What computes is ReLU, convolution without bias, BatchNorm; pools have no BatchNorm.

Two of them need a word. Halving a map without losing pixels (factorised reduction) is two 1x1 convolutions of stride 2, the
second of which reads the odd rows and columns; their outputs are concatenated. A pair of convolutions 1xk and kx1 strides over
columns in the first and over rows in the second; here a stride is one for both, so the first computes every column and the
second strides over both. The result is the same number for number and so are the parameters, but the first convolution has
twice the MACs where it stands on a reduction's input.
"""

from __future__ import annotations

from uninas.graph import GraphBuilder
from uninas.networks.pieces import NORM, RELU, conv
from uninas.ops import Op, op

OPERATIONS = (
    "none",
    "skip_connect",
    "avg_pool_3x3",
    "max_pool_3x3",
    "max_pool_5x5",
    "max_pool_7x7",
    "conv_1x1",
    "conv_3x3",
    "conv_3x1_1x3",
    "conv_7x1_1x7",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "dil_sep_conv_3x3",
)
"""Every name that an edge may have in one of the spaces."""


def add_operation(builder: GraphBuilder, name: str, x: int, channels: int, stride: int) -> int:
    """Append an edge's operation on node `x`, which keeps its channels; returns its output's index."""
    kind, _, sides = name.rpartition("_")
    kernel = int(sides[-1]) if sides[-1].isdigit() else 0
    if name == "none":
        return builder.add(op("zero", stride=stride), x)
    if name == "skip_connect":
        return x if stride == 1 else factorised_reduction(builder, x, channels, channels)
    if kind in ("avg_pool", "max_pool"):
        return builder.add(op("average_pool" if kind == "avg_pool" else "max_pool", kernel=kernel, stride=stride), x)
    if name in ("conv_3x1_1x3", "conv_7x1_1x7"):
        row = op("conv", kernel=1, columns=kernel, bias=False)
        return builder.chain(x, RELU, row, op("conv", kernel=kernel, columns=1, bias=False, stride=stride), NORM)
    if kind == "conv":
        return builder.chain(x, RELU, conv(channels, channels, kernel, stride=stride), NORM)
    dilation = 2 if kind.startswith("dil") else 1
    once = builder.chain(x, *_separable(kernel, stride, dilation))
    return once if kind == "dil_conv" else builder.chain(once, *_separable(kernel, 1, dilation))


def _separable(kernel: int, stride: int, dilation: int) -> tuple[Op, ...]:
    """ReLU, depthwise convolution, 1x1 convolution, BatchNorm."""
    depthwise = op("conv", kernel=kernel, groups="depthwise", bias=False, stride=stride, dilation=dilation)
    return RELU, depthwise, op("conv", kernel=1, bias=False), NORM


def factorised_reduction(builder: GraphBuilder, x: int, channels: int, out: int) -> int:
    """Append ReLU, the even and the odd pixels through a 1x1 convolution each, concatenated, BatchNorm: half the resolution."""
    active = builder.add(RELU, x)
    even = conv(channels, out // 2, stride=2)
    odd = op("conv", **{**even.values, "padding": -1})
    return builder.add(NORM, builder.add(op("concat"), builder.add(even, active), builder.add(odd, active)))


def projection(builder: GraphBuilder, x: int, channels: int, out: int) -> int:
    """Append ReLU, a 1x1 convolution and BatchNorm."""
    return builder.chain(x, RELU, conv(channels, out), NORM)
