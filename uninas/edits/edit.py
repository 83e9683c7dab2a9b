"""What an edit is: plain data that says how a neighbour differs, and the typed answer when it is rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from uninas.errors import InputError
from uninas.rejections import Reason

PARTS = ("block", "stem", "entry", "head")
"""Parts of a network that hold graphs: a block of a stage, and the frame around the blocks ("entry": a stage's transition)."""

NAMES = {part: "transition" if part == "entry" else part for part in PARTS}
"""Part -> its name in a message. Journals and architecture files keep the older word."""


@dataclass(frozen=True)
class Edit:
    """A change of one architecture: its kind, the part it touches (of a block the sub-block), and its arguments.

    Node numbers refer to the canonical form of the parent, so an edit is replayed without random numbers.
    """

    kind: str
    stage: int = 0
    block: int = 0
    sub: int = 0
    arguments: Mapping[str, int | str] = field(default_factory=dict)
    part: str = "block"

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data; the part is named where it is no block."""
        part = {} if self.part == "block" else {"part": self.part}
        return {"kind": self.kind, **part, "stage": self.stage, "block": self.block, "sub": self.sub, **self.arguments}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Edit:
        """Read `as_dict`. Raises InputError."""
        rest = dict(data)
        kind, part = rest.pop("kind", None), rest.pop("part", "block")
        place = [rest.pop(name, 0) for name in ("stage", "block", "sub")]
        if not isinstance(kind, str) or part not in PARTS or not all(type(p) is int and p >= 0 for p in place):
            raise InputError(f"expected an edit with a kind and a place, got {str(data)[:100]}")
        if not all(isinstance(k, str) and type(v) in (int, str) for k, v in rest.items()):
            raise InputError(f"expected integers and texts as an edit's arguments, got {str(data)[:100]}")
        stage, block, sub = place
        return cls(kind, stage, block, sub, rest, part)


@dataclass(frozen=True)
class Rejection:
    """Why an edit gave no new architecture; `reason` is one of REASONS, `detail` says where, in words."""

    reason: Reason
    detail: str


REASONS: dict[Reason, str] = {
    reason: reason.sentence
    for reason in (
        Reason.NO_SITE,
        Reason.ILL_TYPED,
        Reason.NO_CHANGE,
        Reason.DEGENERATE,
        Reason.TOO_LARGE,
        Reason.TOO_SYMMETRIC,
    )
}
"""What an edit may be rejected for, in words."""


@dataclass(frozen=True)
class Limits:
    """Sizes that no edit exceeds."""

    nodes_per_subblock: int = 64  # and of a graph of the frame
    stages: int = 8
    blocks_per_stage: int = 24
    smallest_width: int = 16
    largest_width: int = 4096
