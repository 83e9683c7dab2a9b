"""How UniNAS on Ray is installed today: from a checkout or a wheel file; no package index has it."""

from __future__ import annotations

__all__ = ["COMMAND", "with_extra"]

COMMAND = "pip install PATH/TO/uninas-ray"
"""PATH/TO/uninas-ray is a checkout, or a wheel file such as uninas_ray-0.1.0-py3-none-any.whl."""


def with_extra(extra: str) -> str:
    """Give the command with an optional part, such as "mm"."""
    return f"pip install 'PATH/TO/uninas-ray[{extra}]'"
