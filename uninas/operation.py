"""What an operation is: its specification, and an operation with its attributes. The table of all of them is `uninas.ops`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uninas.attributes import Attribute
from uninas.shapes import Place, Type


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

    def __copy__(self) -> Op:
        return self

    def __deepcopy__(self, memo: Any) -> Op:
        return self


@dataclass(frozen=True)
class OpSpec:
    """All that the framework knows about an operation.

    `label` is its name in drawings, filled with its attributes (default: the name). `since` is the version of the file format
    that introduced it. `arity` None means one or more inputs. `instance` operations carry parameters or draw random numbers:
    equal ones are several. `keeps_zero`: zeros in, zeros out. `elementwise`: acts on each entry alone, so a broadcast may move
    past it. `batches`: equal ones on isomorphic branches may run as one on stacked inputs. `fault` says why it is degenerate on
    an input.
    """

    name: str
    family: str
    infer: Callable[[Op, tuple[Type, ...]], Type]
    label: str | None = None
    since: int = 1
    arity: int | None = 1
    attributes: tuple[Attribute, ...] = ()
    commutative: bool = False
    instance: bool = False
    keeps_zero: bool = False
    elementwise: bool = False
    batches: bool = True
    layer: bool = False
    parameters: Callable[[Op, Type, Type, Place], int] | None = None
    bias_parameters: Callable[[Op, Type, Place], int] | None = None
    macs: Callable[[Op, Type, Type, Place], int] | None = None
    fault: Callable[[Op, Type, Place], str | None] | None = None
