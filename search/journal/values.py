"""What the readers of several kinds of record share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PHASES = ("search", "random")
"""What a candidate may belong to; rescored finalists are of neither."""


def phase_of(data: Mapping[str, Any]) -> str:
    """Give the phase that a candidate's line names."""
    phase: str = data["phase"]
    if phase not in PHASES:
        raise ValueError(f"phase: expected {' or '.join(PHASES)}; got '{phase}'")
    return phase


def mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Give the value of a key that holds an object."""
    value = data[key]
    if not isinstance(value, dict):
        raise TypeError(f"{key}: expected an object; got {type(value).__name__}")
    return value
