"""What makes a layer: the text of a constructor for each operation that has parameters or randomness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from torch import nn

from downstream.export.source.pieces import attention, layers
from uninas.ops import AttentionMap, Op, Place, Type, table_size
from uninas.rules.inference import is_filled, kernel_sides

__all__ = ["Writer", "constructor", "joins"]


@dataclass
class Writer:
    """Writes numbers of channels and sizes, as numbers or by the parameters of a class.

    Attributes:
        width: what `channels` stands for; None to write numbers.
        final: classes know whether they have parameters; until then each is called with all that it may have.
        uses: the parameters that were written: "channels", "size".
    """

    width: int | None
    final: bool = True
    uses: set[str] = field(default_factory=set)

    def channels(self, count: int, name: str = "channels") -> str:
        """Write a number of channels, heads or groups that grows with the width."""
        if self.width is None:
            return str(count)
        self.uses.add("channels")
        ratio = Fraction(count, self.width)
        times = name if ratio.numerator == 1 else f"{ratio.numerator} * {name}"
        return times if ratio.denominator == 1 else f"{times} // {ratio.denominator}"

    def table(self, made: Type, place: Place) -> str:
        """Write the reference height and width of the map or window behind a value."""
        height, width = table_size(made, place)
        windowed = isinstance(made, AttentionMap) and made.window
        if self.width is None or made.pooled or made.stride != 1 or windowed:
            return f"{height}, {width}"
        self.uses.add("size")
        return "*size"


def call(what: type | Callable[..., Any], *arguments: str, **options: str | None) -> str:
    """Write a call; options that are None are left out."""
    name = f"nn.{what.__name__}" if what.__module__.startswith("torch.") else what.__name__
    return f"{name}({', '.join([*arguments, *(f'{key}={value}' for key, value in options.items() if value is not None)])})"


def joins(op: Op) -> bool:
    """Return whether the layers of equal branches are one layer in an exported file, as `uninas.compile.fused` runs them."""
    if op.name == "conv":
        return not is_filled(op)
    return op.name in ("batch_norm", "layer_norm", "relative_position_bias", "dropout")


def constructor(
    op: Op, given: Type, made: Type, place: Place, write: Writer, *, branches: int = 1, one_input: bool = False
) -> str:
    """Write what makes the layer of an operation, or with `branches` the one of several, whose weights are concatenated.

    Args:
        op: the operation.
        given: type of what it reads, in one branch.
        made: type of what it makes, in one branch.
        place: where its graph runs.
        write: writes numbers.
        branches: how many layers are one.
        one_input: these layers read the same map, else each its own part of one.
    """
    values, out = op.values, write.channels(made[0] * branches)
    if op.name == "conv":
        return _conv(op, given, out, write, branches, one_input)
    if op.name == "batch_norm":
        return call(nn.BatchNorm2d, out)
    if op.name == "layer_norm":
        return call(layers.LayerNorm2d, out) if branches == 1 else call(layers.BranchLayerNorm2d, str(branches), out)
    if op.name == "group_norm":
        return call(layers.GroupNorm, str(values["groups"]), out)
    if op.name == "layer_scale":
        return call(layers.LayerScale, out, repr(float(values["initial"])))
    if op.name == "relative_position_bias":
        assert isinstance(made, AttentionMap)
        heads = "1" if values["shared"] else out
        window = str(made.window) if made.window else None
        return call(attention.RelativePositionBias, heads, write.table(made, place), window=window)
    if op.name == "row_column_bias":
        return call(layers.RowColumnBias, write.table(made, place))
    if op.name == "position_embedding":
        return call(layers.PositionEmbedding, out, write.table(made, place))
    if op.name == "class_token":
        return call(layers.ClassToken, out, position="True" if values["position"] else None)
    if op.name == "token_linear":
        return call(layers.TokenLinear, write.table(made, place))
    if op.name == "dropout":
        return call(nn.Dropout, repr(values["p"]))
    assert op.name == "drop_path", op.name
    return call(layers.DropPath, repr(values["p"]))


def _conv(op: Op, given: Type, out: str, write: Writer, branches: int, one_input: bool) -> str:
    values = op.values
    depthwise = values["groups"] == "depthwise"
    count = (given[0] if depthwise else values["groups"]) * (1 if one_input else branches)
    channels = write.channels(given[0] * (1 if one_input else branches))
    groups = write.channels(count) if depthwise else str(count)
    stride, dilation = (str(values[name]) if values[name] != 1 else None for name in ("stride", "dilation"))
    bias, groups_ = None if values["bias"] else "False", groups if groups != "1" else None
    if is_filled(op):
        before = str(values["padding"]) if values["padding"] not in ("same", 0) else None
        kernel = str(values["kernel"])
        return call(
            layers.PaddedConv2d,
            channels,
            out,
            kernel,
            stride=stride,
            dilation=dilation,
            groups=groups_,
            bias=bias,
            padding=before,
        )
    rows, columns = kernel_sides(op)
    sides = [values["dilation"] * (side // 2) for side in (rows, columns)]
    padding = str(sides[0]) if rows == columns else f"({sides[0]}, {sides[1]})"
    kernel = str(rows) if rows == columns else f"({rows}, {columns})"
    around = padding if any(sides) else None
    return call(nn.Conv2d, channels, out, kernel, stride=stride, padding=around, dilation=dilation, groups=groups_, bias=bias)
