"""Whether MMDetection and MMSegmentation are installed, and mmcv with its compiled operators; and what to do if not.

The packages are the maintained line of OpenMMLab (onedl-mmcv, ...), imported as mmengine, mmcv, mmdet, mmseg; the last original
releases run the same code. mmcv is built from source, by default without its compiled operators.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache

from uninas.errors import InputError
from uninas.runtime import installing

__all__ = ["missing", "operators", "require"]

_PACKAGES = {"detect": ("mmengine", "mmcv", "mmdet"), "segment": ("mmengine", "mmcv", "mmseg")}


def missing(task: str) -> list[str]:
    """Name the packages of a task ("detect" or "segment") that are not installed."""
    return [name for name in _PACKAGES[task] if importlib.util.find_spec(name) is None]


@cache
def operators() -> bool:
    """Whether mmcv has its compiled operators."""
    import mmcv  # noqa: F401 an error of mmcv itself is not one of its operators
    import torch  # noqa: F401 mmcv's library links against it

    try:
        importlib.import_module("mmcv._ext")
    except ImportError:
        return False
    return True


def _segmentation_imports() -> bool:
    try:
        importlib.import_module("mmseg.models")
    except ImportError:
        return False
    return True


def require(task: str) -> None:
    """Make sure that a task can run. Segmentation needs no operators in the maintained line, but does in the original releases.

    Raises:
        InputError: what is missing, and how to install it.
    """
    absent = missing(task)
    if absent:
        raise InputError(
            f"--task {task}: expected the packages {', '.join(_PACKAGES[task])}; missing: {', '.join(absent)}: "
            f"{installing.with_extra('mm')}, where docs/guides/train.md says how mmcv is built with its operators"
        )
    if not operators() and (task == "detect" or not _segmentation_imports()):
        raise InputError(
            f"--task {task}: expected mmcv with its compiled operators (mmcv._ext); this mmcv was built without them: "
            f"{installing.MMCV}"
        )
