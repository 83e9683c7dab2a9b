"""Labels of a drawing: operations, their families, channel counts. New operations fall back to their text."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

from uninas.ops import AttentionMap, Op, Type
from uninas.rules.inference import kernel_sides

FAMILIES: dict[str, str] = {
    "convolution": "convolution",
    "normalisation": "normalisation",
    "activation": "activation",
    "attention": "attention",
    "pooling": "pooling",
    "merge": "merge and split",
    "structure": "input and output",
}
"""Every family that drawings distinguish, with its name in the legend. An unknown family is drawn as `structure`."""


def family_of(op: Op) -> str:
    """Return the key in `FAMILIES` under which an operation is drawn."""
    return op.spec.family if op.spec.family in FAMILIES else "structure"


def op_label(op: Op) -> str:
    """Return a short name for a box: "conv 3×3", "depthwise 5×5", "softmax"."""
    values = op.values
    if op.name == "conv":
        return _conv_label(op)
    if op.name == "slice":
        return f"part {values['index'] + 1} of {values['count']}"
    if op.spec.label is None:
        return op.text.replace("_", " ")
    label = op.spec.label.format(**values) + (_stride_label(op) if "stride" in values else "")
    if op.spec.family == "attention":  # windows, what the product is over: two that differ are not to look alike
        label = ", ".join([label, *_unsaid(op, ("head_dim", "position"))])
    return label


def qualifiers(op: Op, known: tuple[str, ...] = ()) -> list[str]:
    """Return the words that tell an operation from others of its name: what its label adds for attributes off their default.

    Attributes in `known` are shown elsewhere. What the label does not mention is shown as attribute and value.
    """
    label = op.spec.label or ""
    off_default = [a.name for a in op.spec.attributes if a.name not in known and op.values[a.name] != a.default]
    found = []
    if any(f"{{{name}" in label for name in off_default):
        fixed = label.partition("{")[0].partition(",")[0]  # the name; what comes behind a comma qualifies it
        found.append(op_label(op).removeprefix(fixed).strip(" ,()"))
    return found + _unsaid(op, known)


def _unsaid(op: Op, known: tuple[str, ...]) -> list[str]:
    """Attributes off their default that the label does not mention, as words."""
    label, found = op.spec.label or "", []
    for attribute in op.spec.attributes:
        name, value = attribute.name, op.values[attribute.name]
        if name not in known and value != attribute.default and f"{{{name}" not in label:
            words = name.replace("_", " ")
            found.append(words if value is True else f"{words} {value}")
    return found


def _conv_label(op: Op) -> str:
    (rows, columns), groups = kernel_sides(op), op.values["groups"]
    label = f"{'depthwise' if groups == 'depthwise' else 'conv'} {rows}×{columns}"
    if groups not in (1, "depthwise"):
        label += f", {groups} groups"
    if op.values["dilation"] != 1:
        label += f", dilation {op.values['dilation']}"
    return label + _stride_label(op)


def _stride_label(op: Op) -> str:
    return "" if op.values["stride"] == 1 else f" stride {op.values['stride']}"


def type_label(type_: Type, width: int, *, symbolic: bool = False, before: Collection[Type] = ()) -> str:
    """Return the type of a value: "384 ch", "96 ch, 1×1", "6 maps", "2C, stride 2"; with `symbolic` in multiples of the width C.

    Stride and class token are left out where they are as in all the types `before`.
    """
    shows_stride = not before or any(one.stride != type_.stride for one in before)
    shows_token = not before or any(one.tokens != type_.tokens for one in before)
    at = "" if type_.stride == 1 or type_.pooled or not shows_stride else f", stride {type_.stride}"
    if isinstance(type_, AttentionMap):
        count = multiple(type_.heads, width) if symbolic else str(type_.heads)
        maps = "map" if count == "1" else "maps"
        return f"{count} {maps}, 1×1" if type_.pooled else f"{count} {maps}{at}"
    text = multiple(type_.channels, width) if symbolic else f"{type_.channels} ch"
    text += " + token" * (type_.tokens > 0 and not type_.pooled and shows_token)
    return f"{text}, 1×1" if type_.pooled else f"{text}{at}"


def multiple(channels: int, width: int) -> str:
    """Return a channel count as a multiple of the block's width C: "C", "4C", "C/4", "3C/2"."""
    ratio = Fraction(channels, width)
    above = "C" if ratio.numerator == 1 else f"{ratio.numerator}C"
    return above if ratio.denominator == 1 else f"{above}/{ratio.denominator}"


def quantity(value: float) -> str:
    """Return a count with three significant digits and a letter: 26.9 M, 4.21 G, 512."""
    for limit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= 0.9995 * limit:
            scaled = value / limit
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{letter}"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"


def percent(part: float, whole: float) -> str:
    """Return a share of a whole: "42 %", "0.3 %", "< 0.1 %"; "–" of nothing."""
    if whole <= 0:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.05:
        return "< 0.1 %"
    return f"{share:.0f} %" if share >= 9.95 or share == 0 else f"{share:.1f} %"
