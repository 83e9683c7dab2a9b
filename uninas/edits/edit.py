"""What an edit is: plain data that says how a neighbour differs, and the typed answer when it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from uninas.errors import InputError


@dataclass(frozen=True)
class Edit:
    """A change of one architecture: its kind, the sub-block it touches, and its arguments.

    Node numbers refer to the canonical form of the parent, so an edit is replayed without random numbers.
    """

    kind: str
    stage: int = 0
    block: int = 0
    sub: int = 0
    arguments: Mapping[str, int | str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"kind": self.kind, "stage": self.stage, "block": self.block, "sub": self.sub, **self.arguments}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Edit:
        """Read `as_dict`. Raises InputError."""
        rest = dict(data)
        kind = rest.pop("kind", None)
        place = [rest.pop(name, 0) for name in ("stage", "block", "sub")]
        if not isinstance(kind, str) or not all(type(p) is int and p >= 0 for p in place):
            raise InputError(f"expected an edit with a kind and a place, came {str(data)[:100]}")
        if not all(isinstance(k, str) and type(v) in (int, str) for k, v in rest.items()):
            raise InputError(f"expected integers and texts as an edit's arguments, came {str(data)[:100]}")
        stage, block, sub = place
        return cls(kind, stage, block, sub, rest)


@dataclass(frozen=True)
class Rejection:
    """Why an edit gave no new architecture; `reason` is one of REASONS, `detail` a sentence."""

    reason: str
    detail: str


REASONS: dict[str, str] = {
    "no_site": "the architecture has no place for this kind of edit",
    "ill_typed": "shapes would not fit",
    "no_change": "the canonical form stays the same",
    "meaningless": "an operation would mean nothing at the reference size",
    "too_large": "more nodes or blocks than the limits allow",
    "too_symmetric": "the graph's symmetries would take too long to sort out",
}


@dataclass(frozen=True)
class Limits:
    """Sizes that no edit exceeds."""

    nodes_per_subblock: int = 64
    blocks_per_stage: int = 24
    smallest_width: int = 16
    largest_width: int = 4096
