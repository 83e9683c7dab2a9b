"""Use a network after the search: timm, MMDetection, MMSegmentation, training, evaluation, export.

    import downstream, timm                                   in either order
    timm.create_model("uninas", arch="coatnet")               every architecture is a model of timm
    downstream.UniNASNet                                      the class of these models
    python -m downstream SCRIPT.py ...                        runs a script of others, such as timm's, after this import

Importing this package imports neither torch nor timm: the model is registered when timm is imported, or at once if it already is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from downstream.models import timm_entry
from uninas.runtime.on_import import when_imported
from uninas.runtime.torchvision_repair import repair

if TYPE_CHECKING:
    from downstream.models.timm_model import UniNASNet

__all__ = ["UniNASNet"]

when_imported("mmengine", before=repair)  # it imports torchvision, as timm does
when_imported("timm", before=repair, after=timm_entry.register)


def __getattr__(name: str) -> Any:
    if name != "UniNASNet":
        raise AttributeError(f"module 'downstream' has no attribute '{name}'")
    from downstream.models.timm_model import UniNASNet

    return UniNASNet


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
