"""The networks that steps work on where no search gives them: small ones, since a CPU has to score some, too."""

from __future__ import annotations

from collections.abc import Sequence

import uninas
from uninas.spaces import nasbench201

__all__ = ["small", "various"]

CELL = ("nor_conv_3x3", "nor_conv_1x1", "skip_connect", "avg_pool_3x3", "nor_conv_3x3", "nor_conv_1x1")


def small(name: str, *, widths: Sequence[int] = (32, 32, 32, 64), side: int = 32, classes: int = 10) -> uninas.Architecture:
    """Give a preset at these widths, of five blocks, for images of that side in pixels."""
    form = {"widths": widths, "depths": (1, 1, 2, 1), "stem": (8, 16), "classes": classes, "input_size": (side, side)}
    return uninas.canonicalise(uninas.preset(name, **form))


def various(toy: bool) -> dict[str, uninas.Architecture]:
    """Give one of each kind: convolutions, attention, both, and a cell with skips and pooling."""
    form = {} if toy else {"widths": (32, 64, 96, 128), "side": 64}
    found = {name: small(name, **form) for name in ("resnet", "coatnet", "vit")}
    if not toy:
        cell = nasbench201.architecture(nasbench201.cell_text(CELL), classes=10, input_size=(32, 32))
        found["nasbench201"] = uninas.canonicalise(cell)
    return found
