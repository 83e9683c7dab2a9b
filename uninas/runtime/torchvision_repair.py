"""Make torchvision, and so timm, importable where its compiled operators do not match the installed torch.

Beside a CPU build of torch a torchvision wheel that is linked against CUDA loses its operators, and its import ends in
``RuntimeError: operator torchvision::nms does not exist``: it registers a shape rule for an operator that is not there. With the
operators' schemas declared the import goes through; the operators themselves stay absent, and calling one is a clear error.
Models and transforms do not need them.

    from uninas.runtime.torchvision_repair import repair
    repair()
    import timm
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["repair"]

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_kept: list[torch.library.Library] = []  # a library's definitions last as long as the object


def repair() -> bool:
    """Import torchvision, declaring its missing operators if that is what prevents the import.

    Returns:
        True if a repair was needed, False if torchvision is healthy (or not installed).

    Raises:
        RuntimeError: torchvision fails to import for another reason.
    """
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name == "torchvision":
            return False
        raise
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return False
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]  # half imported: a second import would start in the middle
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)  # type: ignore[no-untyped-call]
    _kept.append(library)
    importlib.import_module("torchvision")
    return True
