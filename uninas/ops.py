"""The table of primitive operations: all that the framework knows of each, in one place.

A new operation is one entry in `TABLE` here, with rules from `uninas.rules`, and one layer in `uninas.compile.layers`.
Nothing here knows torch.
"""

from __future__ import annotations

import copyreg
import difflib
import hashlib
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from uninas.attributes import (
    Attribute,
    Value,
    choice_reader,
    integer_reader,
    print_value,
    read_boolean,
    read_groups,
    read_padding,
    read_probability,
    read_ratio,
)
from uninas.errors import InputError
from uninas.operation import Op, OpSpec
from uninas.rules import cost, degenerate, inference
from uninas.shapes import (
    MOST_CHANNELS,
    MOST_STRIDE,
    AttentionMap,
    FeatureMap,
    IllTyped,
    Place,
    Type,
    entries,
    pixels_of,
    sides_of,
    table_size,
)

__all__ = [
    "INPUT",
    "MOST_CHANNELS",
    "MOST_STRIDE",
    "TABLE",
    "AttentionMap",
    "FeatureMap",
    "IllTyped",
    "Op",
    "OpSpec",
    "Place",
    "Type",
    "entries",
    "op",
    "parse_op",
    "pixels_of",
    "sides_of",
    "table_size",
]

_interned: dict[tuple[str, tuple[Value, ...]], Op] = {}


def op(name: str, **attributes: Value) -> Op:
    """Return the interned operation of that name.

    Raises InputError for an unknown name, an unknown or missing attribute, or a value out of its range.
    """
    spec = TABLE.get(name)
    if spec is None:
        near = difflib.get_close_matches(name[:40], sorted(TABLE), 3, cutoff=0.0)
        raise InputError(
            f"unknown operation '{name}': expected one of the {len(TABLE)} of docs/architecture_file.md; the nearest are "
            f"{', '.join(near)}"
        )
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
        raise InputError(f"expected an operation such as 'conv(kernel=3)', got {text[:80]!r}")
    attributes: dict[str, Value] = {}
    for part in (match[2] or "").split(","):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or key.strip() in attributes:
            raise InputError(f"expected 'name=value' once for each attribute in {text[:80]!r}, got {part.strip()[:40]!r}")
        attributes[key.strip()] = value.strip()
    return op(match[1], **attributes)


copyreg.pickle(Op, lambda op: (parse_op, (op.text,)))  # an interned object comes back as itself

_STRIDE = Attribute("stride", 1, integer_reader(1, 64), 2)


def _norm(name: str, label: str, infer: Callable[[Op, tuple[Type, ...]], Type] = inference.same_tensor, **more: Any) -> OpSpec:
    """A normalisation with a weight and a bias for each channel."""
    return OpSpec(
        name,
        "normalisation",
        infer,
        label,
        instance=True,
        parameters=cost.norm_parameters,
        bias_parameters=cost.norm_bias,
        **more,
    )


def _activation(name: str, label: str | None = None, *, keeps_zero: bool = True, since: int = 3) -> OpSpec:
    return OpSpec(name, "activation", inference.same, label, since, keeps_zero=keeps_zero, elementwise=True)


_SPECS = (
    OpSpec("input", "structure", inference.same, "x", arity=0, batches=False),
    OpSpec(
        "conv",
        "convolution",
        inference.infer_conv,
        instance=True,
        layer=True,
        attributes=(
            Attribute("kernel", None, integer_reader(1, 31)),
            Attribute("ratio", Fraction(1), read_ratio),
            Attribute("groups", 1, read_groups),
            Attribute("bias", True, read_boolean),
            Attribute("dilation", 1, integer_reader(1, 16)),
            _STRIDE,
            Attribute("padding", "same", read_padding, 3),
            Attribute("columns", 0, integer_reader(0, 31), 4),
        ),
        parameters=cost.conv_parameters,
        bias_parameters=cost.conv_bias,
        macs=cost.conv_macs,
        fault=degenerate.conv_fault,
    ),
    _norm("batch_norm", "BatchNorm", fault=degenerate.batch_norm_fault),
    _norm("layer_norm", "LayerNorm", fault=degenerate.layer_norm_fault),
    _norm(
        "group_norm",
        "GroupNorm {groups}",
        inference.infer_group_norm,
        since=3,
        fault=degenerate.group_norm_fault,
        attributes=(Attribute("groups", 1, integer_reader(1, 65536)),),
    ),
    OpSpec(
        "layer_scale",
        "normalisation",
        inference.same_feature,
        "LayerScale",
        3,
        instance=True,
        keeps_zero=True,
        parameters=cost.scale_parameters,
        attributes=(Attribute("initial", Fraction(1, 1_000_000), read_ratio),),
    ),
    _activation("gelu", "GELU", since=1),
    _activation("relu", "ReLU", since=2),
    _activation("relu6", "ReLU6"),
    _activation("silu", "SiLU"),
    _activation("hardswish", "Hardswish"),
    _activation("sigmoid", keeps_zero=False, since=1),
    _activation("hard_sigmoid", keeps_zero=False),
    _activation("tanh"),
    _activation("negate", "−"),
    OpSpec("softmax", "attention", inference.same, fault=degenerate.softmax_fault),
    OpSpec(
        "mask",
        "attention",
        inference.same,
        "mask |i−j| ≤ {band}",
        keeps_zero=True,
        fault=degenerate.mask_fault,
        attributes=(Attribute("band", 5, integer_reader(0, 65536)),),
    ),
    OpSpec(
        "relative_position_bias",
        "attention",
        inference.infer_table,
        "+ position bias",
        instance=True,
        parameters=cost.table_parameters,
        fault=degenerate.table_fault,
        attributes=(Attribute("shared", False, read_boolean, 3),),
    ),
    OpSpec(
        "row_column_bias",
        "attention",
        inference.same_grid,
        "+ bias of rows to columns",
        3,
        instance=True,
        batches=False,
        parameters=cost.axes_parameters,
        fault=degenerate.axes_fault,
    ),
    OpSpec(
        "position_embedding",
        "attention",
        inference.same_full,
        "+ position embedding",
        3,
        instance=True,
        parameters=cost.embedding_parameters,
    ),
    OpSpec(
        "class_token",
        "attention",
        inference.infer_class_token,
        "class token, pixels",
        3,
        instance=True,
        parameters=cost.token_parameters,
        attributes=(Attribute("position", False, read_boolean),),
    ),
    OpSpec("take_class_token", "pooling", inference.infer_take_class_token, "class token", 3, keeps_zero=True),
    OpSpec(
        "token_linear",
        "attention",
        inference.same_full,
        "linear over pixels",
        3,
        instance=True,
        layer=True,
        parameters=cost.mixing_parameters,
        bias_parameters=cost.mixing_bias,
        macs=cost.mixing_macs,
        fault=degenerate.mixing_fault,
    ),
    OpSpec(
        "max_pool",
        "pooling",
        inference.infer_window,
        "max pool {kernel}×{kernel}",
        keeps_zero=True,
        fault=degenerate.window_fault,
        attributes=(Attribute("kernel", 3, integer_reader(2, 31)), _STRIDE),
    ),
    OpSpec(
        "average_pool",
        "pooling",
        inference.infer_window,
        "average pool {kernel}×{kernel}",
        2,
        keeps_zero=True,
        fault=degenerate.window_fault,
        attributes=(Attribute("kernel", 3, integer_reader(2, 31)), _STRIDE),
    ),
    OpSpec(
        "dropout",
        "activation",
        inference.same,
        "dropout {p:g}",
        instance=True,
        keeps_zero=True,
        attributes=(Attribute("p", 0.5, read_probability),),
    ),
    OpSpec(
        "drop_path",
        "activation",
        inference.same,
        "drop path {p:g}",
        3,
        instance=True,
        keeps_zero=True,
        attributes=(Attribute("p", 0.1, read_probability),),
    ),
    OpSpec("identity", "structure", inference.same, keeps_zero=True, batches=False),
    OpSpec(
        "zero",
        "structure",
        inference.infer_zero,
        keeps_zero=True,
        batches=False,
        attributes=(
            Attribute("ratio", Fraction(1), read_ratio),
            Attribute("pooled", False, read_boolean),
            Attribute("stride", 1, integer_reader(1, MOST_STRIDE), 2),
            Attribute("tokens", 0, integer_reader(0, 1), 3),
            Attribute("map", False, read_boolean, 3),
        ),
    ),
    OpSpec(
        "space_to_depth",
        "merge",
        inference.infer_space_to_depth,
        "space to depth {factor}",
        3,
        keeps_zero=True,
        attributes=(Attribute("factor", 2, integer_reader(2, 64)),),
    ),
    OpSpec(
        "slice",
        "merge",
        inference.infer_slice,
        keeps_zero=True,
        batches=False,
        attributes=(Attribute("index", None, integer_reader(0, 65535)), Attribute("count", None, integer_reader(1, 65536))),
    ),
    OpSpec("concat", "merge", inference.infer_concat, arity=None, keeps_zero=True, batches=False),
    OpSpec("add", "merge", inference.all_equal, "+", arity=None, commutative=True, keeps_zero=True, elementwise=True),
    OpSpec("multiply", "merge", inference.all_equal, "×", arity=None, commutative=True, keeps_zero=True, elementwise=True),
    OpSpec("global_average_pool", "pooling", inference.infer_pool, "global average", keeps_zero=True),
    OpSpec("broadcast", "pooling", inference.infer_broadcast, keeps_zero=True, batches=False),
    OpSpec(
        "matmul_qk",
        "attention",
        inference.infer_matmul_qk,
        "q · kᵀ",
        arity=2,
        macs=cost.scores_macs,
        attributes=(
            Attribute("head_dim", None, integer_reader(1, 65536)),
            Attribute("window", 0, integer_reader(0, 64), 3),
            Attribute("shift", 0, integer_reader(0, 63), 3),
            Attribute("over", "pixels", choice_reader("pixels", "channels"), 3),
        ),
    ),
    OpSpec("matmul_av", "attention", inference.infer_matmul_av, "map · v", arity=2, macs=cost.weighted_macs),
)

TABLE: dict[str, OpSpec] = {spec.name: spec for spec in _SPECS}
"""Every operation by name."""

INPUT = op("input")
"""Node 0 of every graph."""
