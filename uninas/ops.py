"""The table of primitive operations: attributes, type inference and exact cost of each, in one place.

A new operation is one entry in `TABLE` here and one layer in `uninas.layers`. Nothing in this file knows torch.

Types are polymorphic in the graph's width and in the input size: a feature map has a number of channels (derived from the
width by ratios), a stride (its sides are ceil(side / stride) of the graph's input) and is either full or pooled (1 x 1); an
attention map has a number of heads and one row and one column per token. A pooled map remembers the stride to which a broadcast
takes it back. MACs are fused multiply-adds of convolutions, linear layers and attention products.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from uninas.attributes import (
    Attribute,
    Value,
    integer_reader,
    odd_reader,
    print_value,
    read_boolean,
    read_groups,
    read_probability,
    read_ratio,
)
from uninas.errors import InputError


class FeatureMap(NamedTuple):
    """A tensor (channels, ceil(H / stride), ceil(W / stride)) in a graph that runs at H x W; (channels, 1, 1) when pooled."""

    channels: int
    pooled: bool
    stride: int = 1

    def __str__(self) -> str:
        return f"{self.channels} channels{', pooled' if self.pooled else ''}{_at_stride(self.stride)}"


class AttentionMap(NamedTuple):
    """A tensor (heads, N, N), N the pixels of a feature map of that stride, or N = 1 when it comes from pooled maps."""

    heads: int
    pooled: bool
    stride: int = 1

    def __str__(self) -> str:
        return f"attention map of {self.heads} heads{', pooled' if self.pooled else ''}{_at_stride(self.stride)}"


def _at_stride(stride: int) -> str:
    return "" if stride == 1 else f", stride {stride}"


Type = FeatureMap | AttentionMap


class Place(NamedTuple):
    """Where a graph runs: its input's height and width now, and at the architecture's reference size (sizes of tables)."""

    height: int
    width: int
    reference_height: int
    reference_width: int

    def strided(self, stride: int) -> Place:
        """The place of a map that is `stride` times coarser; sides round up."""
        return self if stride == 1 else Place(*[-(-side // stride) for side in self])


class IllTyped(InputError):
    """An operation received inputs that it cannot take."""


# --- operations with their attributes ---------------------------------------------------------------------------------


class Op:
    """An operation with its attributes: interned, immutable, compared by identity. Make one with `op()` or `parse_op()`."""

    __slots__ = ("code", "name", "spec", "text", "values")

    name: str
    values: dict[str, Any]
    spec: OpSpec
    text: str  # "conv(kernel=3, ratio=4)": attributes at their default are left out, so equal operations print equally
    code: int  # 64 bits of a stable hash of the text, for canonical ordering

    def __repr__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return (parse_op, (self.text,))

    def __copy__(self) -> Op:
        return self

    def __deepcopy__(self, memo: Any) -> Op:
        return self


@dataclass(frozen=True)
class OpSpec:
    """What the framework knows of an operation.

    `arity` None means one or more inputs. `instance` operations carry parameters or draw random numbers: two equal ones are two.
    `keeps_zero`: zeros in, zeros out. `elementwise`: acts on each entry alone, so a broadcast may move past it.
    """

    name: str
    family: str
    infer: Callable[[Op, tuple[Type, ...]], Type]
    arity: int | None = 1
    attributes: tuple[Attribute, ...] = ()
    commutative: bool = False
    instance: bool = False
    keeps_zero: bool = False
    elementwise: bool = False
    layer: bool = False
    parameters: Callable[[Op, Type, Type, Place], int] | None = None
    bias_parameters: Callable[[Op, Type], int] | None = None
    macs: Callable[[Op, Type, Type, Place], int] | None = None


_interned: dict[tuple[str, tuple[Value, ...]], Op] = {}


def op(name: str, **attributes: Value) -> Op:
    """The interned operation of that name.

    Raises InputError for an unknown name, an unknown or missing attribute, or a value out of its range.
    """
    spec = TABLE.get(name)
    if spec is None:
        raise InputError(f"unknown operation '{name}': expected one of {', '.join(sorted(TABLE))}")
    values: dict[str, Value] = {}
    for attribute in spec.attributes:
        given = attributes.pop(attribute.name, attribute.default)
        if given is None:
            raise InputError(f"operation '{name}' needs the attribute '{attribute.name}'")
        values[attribute.name] = attribute.read(print_value(given))
    if attributes:
        known = ", ".join(a.name for a in spec.attributes) or "none"
        raise InputError(f"operation '{name}' has no attribute '{next(iter(attributes))}': known are {known}")
    key = (name, tuple(values.values()))
    found = _interned.get(key)
    if found is None:
        found = object.__new__(Op)
        found.name, found.values, found.spec = name, values, spec
        shown = [f"{a.name}={print_value(values[a.name])}" for a in spec.attributes if values[a.name] != a.default]
        found.text = f"{name}({', '.join(shown)})" if shown else name
        found.code = int.from_bytes(hashlib.blake2b(found.text.encode(), digest_size=8).digest(), "big")
        found = _interned.setdefault(key, found)
    return found


_OP_PATTERN = re.compile(r"([a-z_0-9]{1,40})(?:\(([^()]{0,200})\))?\Z")


def parse_op(text: str) -> Op:
    """Read what `Op.text` printed. Raises InputError."""
    match = _OP_PATTERN.match(text.strip())
    if match is None:
        raise InputError(f"expected an operation such as 'conv(kernel=3)', came {text[:80]!r}")
    attributes: dict[str, Value] = {}
    for part in (match[2] or "").split(","):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or key.strip() in attributes:
            raise InputError(f"expected 'name=value' once for each attribute in {text[:80]!r}, came {part.strip()[:40]!r}")
        attributes[key.strip()] = value.strip()
    return op(match[1], **attributes)


# --- inference ----------------------------------------------------------------------------------------------------------


def _feature(op: Op, given: Type) -> FeatureMap:
    if type(given) is not FeatureMap:
        raise IllTyped(f"{op.text} expects a feature map, came {given}")
    return given


def _same(op: Op, inputs: tuple[Type, ...]) -> Type:
    return inputs[0]


def _same_feature(op: Op, inputs: tuple[Type, ...]) -> Type:
    return _feature(op, inputs[0])


def _same_map(op: Op, inputs: tuple[Type, ...]) -> Type:
    if type(inputs[0]) is not AttentionMap:
        raise IllTyped(f"{op.text} expects an attention map, came {inputs[0]}")
    return inputs[0]


def _all_equal(op: Op, inputs: tuple[Type, ...]) -> Type:
    first = inputs[0]
    for other in inputs:
        if other != first or type(other) is not type(first):
            raise IllTyped(f"{op.text} expects inputs of one shape, came {first} and {other}")
    return first


def _scaled(op: Op, channels: int, ratio: Fraction) -> int:
    product = channels * ratio.numerator
    if product % ratio.denominator:
        raise IllTyped(f"{op.text} cannot make {ratio} of {channels} channels: not a whole number")
    return _bounded(op, product // ratio.denominator)


def _bounded(op: Op, channels: int) -> int:
    if channels > MOST_CHANNELS:
        raise IllTyped(f"{op.text} would make {channels} channels, expected at most {MOST_CHANNELS}")
    return channels


def _strided(op: Op, given: FeatureMap) -> int:
    """The stride of what an operation with a `stride` makes of a map."""
    stride: int = op.values["stride"]
    if stride == 1:
        return given.stride
    if given.pooled:
        raise IllTyped(f"{op.text} expects a full map to take every {stride}th pixel of, came {given}")
    if given.stride * stride > MOST_STRIDE:
        raise IllTyped(f"{op.text} would make a map of stride {given.stride * stride}, expected at most {MOST_STRIDE}")
    return given.stride * stride


def _conv_groups(op: Op, channels: int) -> int:
    groups = op.values["groups"]
    return channels if groups == "depthwise" else int(groups)


def _infer_conv(op: Op, inputs: tuple[Type, ...]) -> Type:
    given = _feature(op, inputs[0])
    out = _scaled(op, given.channels, op.values["ratio"])
    groups = _conv_groups(op, given.channels)
    if given.channels % groups or out % groups:
        raise IllTyped(f"{op.text} cannot split {given.channels} -> {out} channels into {groups} groups")
    return FeatureMap(out, given.pooled, _strided(op, given))


def _infer_window(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Pooling over a window, padded to keep the size (or its ceil(size / stride)); an even window moves by its own size."""
    given = _feature(op, inputs[0])
    if op.values["kernel"] % 2 == 0 and op.values["kernel"] != op.values["stride"]:
        raise IllTyped(f"{op.text} expects an odd kernel, or an even one that is equal to its stride")
    return FeatureMap(given.channels, given.pooled, _strided(op, given))


def _infer_zero(op: Op, inputs: tuple[Type, ...]) -> Type:
    given = _feature(op, inputs[0])
    stride = given.stride * op.values["stride"]
    if stride > MOST_STRIDE:
        raise IllTyped(f"{op.text} would make a map of stride {stride}, expected at most {MOST_STRIDE}")
    return FeatureMap(_scaled(op, given.channels, op.values["ratio"]), given.pooled or op.values["pooled"], stride)


def _infer_slice(op: Op, inputs: tuple[Type, ...]) -> Type:
    given = _feature(op, inputs[0])
    index, count = op.values["index"], op.values["count"]
    if given.channels % count or index >= count:
        raise IllTyped(f"{op.text} cannot take piece {index} of {given.channels} channels in {count}")
    return FeatureMap(given.channels // count, given.pooled, given.stride)


def _infer_concat(op: Op, inputs: tuple[Type, ...]) -> Type:
    features = [_feature(op, given) for given in inputs]
    first = features[0]
    if any(f.pooled != first.pooled for f in features):
        raise IllTyped(f"{op.text} expects maps of one size, came full and pooled ones")
    if any(f.stride != first.stride for f in features):
        raise IllTyped(f"{op.text} expects maps of one size, came strides {sorted({f.stride for f in features})}")
    return FeatureMap(_bounded(op, sum(f.channels for f in features)), first.pooled, first.stride)


def _infer_pool(op: Op, inputs: tuple[Type, ...]) -> Type:
    given = _feature(op, inputs[0])
    return FeatureMap(given.channels, True, given.stride)


def _infer_broadcast(op: Op, inputs: tuple[Type, ...]) -> Type:
    given = _feature(op, inputs[0])
    if not given.pooled:
        raise IllTyped(f"{op.text} expects a pooled map, came {given}")
    return FeatureMap(given.channels, False, given.stride)


def _infer_matmul_qk(op: Op, inputs: tuple[Type, ...]) -> Type:
    query = _feature(op, _all_equal(op, inputs))
    if query.channels % op.values["head_dim"]:
        raise IllTyped(f"{op.text} cannot split {query.channels} channels into heads of {op.values['head_dim']}")
    return AttentionMap(query.channels // op.values["head_dim"], query.pooled, query.stride)


def _infer_matmul_av(op: Op, inputs: tuple[Type, ...]) -> Type:
    attention, value = _same_map(op, inputs[:1]), _feature(op, inputs[1])
    assert type(attention) is AttentionMap
    if value.channels % attention.heads or value[1:] != attention[1:]:
        raise IllTyped(f"{op.text} cannot apply an {attention} to {value}")
    return value


# --- cost -----------------------------------------------------------------------------------------------------------------


def pixels_of(type_: Type, place: Place) -> int:
    """Number of pixels of a map of that type, of tokens behind an attention map."""
    if type_.pooled:
        return 1
    if type_.stride != 1:
        place = place.strided(type_.stride)
    return place.height * place.width


def entries(type_: Type, place: Place) -> int:
    """Number of entries of a tensor of that type, batch 1."""
    pixels = pixels_of(type_, place)
    return type_[0] * (pixels if type(type_) is FeatureMap else pixels * pixels)


def _conv_weights(op: Op, given: Type, made: Type) -> int:
    kernel: int = op.values["kernel"]
    return made[0] * (given[0] // _conv_groups(op, given[0])) * kernel * kernel


def _conv_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    return _conv_weights(op, given, made) + (made[0] if op.values["bias"] else 0)


def _conv_macs(op: Op, given: Type, made: Type, place: Place) -> int:
    return _conv_weights(op, given, made) * pixels_of(made, place)


def _conv_bias(op: Op, made: Type) -> int:
    return made[0] if op.values["bias"] else 0


def _norm_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    return 2 * made[0]


def _table_parameters(op: Op, given: Type, made: Type, place: Place) -> int:
    height, width = table_size(made, place)
    return made[0] * (2 * height - 1) * (2 * width - 1)


def table_size(type_: Type, place: Place) -> tuple[int, int]:
    """Reference height and width of the map behind a value of that type: what tables that depend on size are made for."""
    at = place.strided(type_.stride)
    return (1, 1) if type_.pooled else (at.reference_height, at.reference_width)


def _matmul_macs(op: Op, given: Type, made: Type, place: Place) -> int:
    """Channels times tokens squared, for both attention products: `made` of qk has C = heads * head_dim."""
    tokens = pixels_of(made, place)
    channels = made[0] * op.values["head_dim"] if type(made) is AttentionMap else made[0]
    return channels * tokens * tokens


MOST_CHANNELS = 1 << 22
"""Of any value: far beyond every network, and small enough that a hostile file's numbers stay numbers."""

MOST_STRIDE = 1 << 16
"""Of any value: an image side at most."""

_STRIDE = Attribute("stride", 1, integer_reader(1, 64))

_SPECS = (
    OpSpec("input", "structure", _same, arity=0),
    OpSpec(
        "conv", "convolution", _infer_conv, instance=True, layer=True,
        attributes=(
            Attribute("kernel", None, odd_reader(1, 31)),
            Attribute("ratio", Fraction(1), read_ratio),
            Attribute("groups", 1, read_groups),
            Attribute("bias", True, read_boolean),
            Attribute("dilation", 1, integer_reader(1, 16)),
            _STRIDE,
        ),
        parameters=_conv_parameters, bias_parameters=_conv_bias, macs=_conv_macs,
    ),
    OpSpec("batch_norm", "normalisation", _same_feature, instance=True, parameters=_norm_parameters,
           bias_parameters=lambda op, made: made[0]),
    OpSpec("layer_norm", "normalisation", _same_feature, instance=True, parameters=_norm_parameters,
           bias_parameters=lambda op, made: made[0]),
    OpSpec("gelu", "activation", _same, keeps_zero=True, elementwise=True),
    OpSpec("relu", "activation", _same, keeps_zero=True, elementwise=True),
    OpSpec("sigmoid", "activation", _same, elementwise=True),
    OpSpec("softmax", "attention", _same),
    OpSpec("mask", "attention", _same, keeps_zero=True, attributes=(Attribute("band", 5, integer_reader(0, 65536)),)),
    OpSpec("relative_position_bias", "attention", _same_map, instance=True, parameters=_table_parameters),
    OpSpec("max_pool", "pooling", _infer_window, keeps_zero=True,
           attributes=(Attribute("kernel", 3, odd_reader(3, 31)), _STRIDE)),
    OpSpec("average_pool", "pooling", _infer_window, keeps_zero=True,
           attributes=(Attribute("kernel", 3, integer_reader(2, 31)), _STRIDE)),
    OpSpec("dropout", "activation", _same, instance=True, keeps_zero=True,
           attributes=(Attribute("p", 0.5, read_probability),)),
    OpSpec("identity", "structure", _same, keeps_zero=True),
    OpSpec("zero", "structure", _infer_zero, keeps_zero=True,
           attributes=(Attribute("ratio", Fraction(1), read_ratio), Attribute("pooled", False, read_boolean),
                       Attribute("stride", 1, integer_reader(1, MOST_STRIDE)))),
    OpSpec("slice", "merge", _infer_slice, keeps_zero=True,
           attributes=(Attribute("index", None, integer_reader(0, 65535)), Attribute("count", None, integer_reader(1, 65536)))),
    OpSpec("concat", "merge", _infer_concat, arity=None, keeps_zero=True),
    OpSpec("add", "merge", _all_equal, arity=None, commutative=True, keeps_zero=True, elementwise=True),
    OpSpec("multiply", "merge", _all_equal, arity=None, commutative=True, keeps_zero=True, elementwise=True),
    OpSpec("global_average_pool", "pooling", _infer_pool, keeps_zero=True),
    OpSpec("broadcast", "pooling", _infer_broadcast, keeps_zero=True),
    OpSpec("matmul_qk", "attention", _infer_matmul_qk, arity=2, macs=_matmul_macs,
           attributes=(Attribute("head_dim", None, integer_reader(1, 65536)),)),
    OpSpec("matmul_av", "attention", _infer_matmul_av, arity=2, macs=_matmul_macs),
)  # fmt: skip

TABLE: dict[str, OpSpec] = {spec.name: spec for spec in _SPECS}
"""Every operation by name."""

INPUT = op("input")
"""Node 0 of every graph."""
