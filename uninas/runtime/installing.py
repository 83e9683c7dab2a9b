"""How UniNAS on Ray is installed today: from a checkout or a wheel file; no package index has it."""

from __future__ import annotations

__all__ = ["COMMAND", "MMCV", "with_extra"]

COMMAND = "pip install PATH/TO/uninas-ray"
"""PATH/TO/uninas-ray is a checkout, or a wheel file such as uninas_ray-0.1.0-py3-none-any.whl."""


MMCV = (
    "pip install 'setuptools>=80,<81' wheel packaging ninja psutil; "
    "MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir --force-reinstall --no-deps onedl-mmcv"
)
"""Builds mmcv with its compiled operators; docs/guides/train.md has a way that takes less time."""


def with_extra(extra: str) -> str:
    """Give the command with an optional part, such as "mm"."""
    return f"pip install 'PATH/TO/uninas-ray[{extra}]'"
