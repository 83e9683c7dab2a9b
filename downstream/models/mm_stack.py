"""What there is of MMDetection and MMSegmentation: absent, without mmcv's operators, or complete; and what to say of it.

The packages are the maintained line of OpenMMLab (onedl-mmcv, ...), imported as mmengine, mmcv, mmdet, mmseg; the last originals
run the same code. mmcv is built from source, and a build that was not told otherwise leaves the compiled operators out.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache

from uninas.errors import InputError

__all__ = ["missing", "operators", "require"]

_PACKAGES = {"detect": ("mmengine", "mmcv", "mmdet"), "segment": ("mmengine", "mmcv", "mmseg")}
_BUILD = (
    "pip install 'setuptools>=80,<81' wheel packaging ninja psutil; "
    "MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir --force-reinstall --no-deps onedl-mmcv"
)


def missing(task: str) -> list[str]:
    """Name the packages of a task ("detect" or "segment") that are not installed."""
    return [name for name in _PACKAGES[task] if importlib.util.find_spec(name) is None]


@cache
def operators() -> bool:
    """Whether mmcv has its compiled operators."""
    import mmcv  # noqa: F401 what is wrong with mmcv itself is not about its operators
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
    """Make sure that a task can run; segmentation of the maintained line does without operators, of the originals it does not.

    Raises:
        InputError: what is missing, and how to get it.
    """
    absent = missing(task)
    if absent:
        raise InputError(
            f"--task {task}: expected the packages {', '.join(_PACKAGES[task])}; missing: {', '.join(absent)}: "
            f"pip install 'uninas-ray[mm]', where docs/guides/train.md says how mmcv is built with its operators"
        )
    if not operators() and (task == "detect" or not _segmentation_imports()):
        raise InputError(
            f"--task {task}: expected mmcv with its compiled operators (mmcv._ext); this mmcv was built without them: {_BUILD}"
        )
