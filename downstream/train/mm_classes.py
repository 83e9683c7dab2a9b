"""Names and colours of the classes, as OpenMMLab's tools read them: from a checkpoint, or from the data set of a configuration.

    dataset_meta("detect", ("cat", "dog"))     {"classes": ["cat", "dog"], "palette": [(230, 57, 57), (57, 108, 230)]}
    dataset_meta("segment", None)              the 150 of ADE20K

Without them MMSegmentation's inferencer writes Cityscapes' names, and MMDetection's draws in the colours of COCO, which has 80.
"""

from __future__ import annotations

import colorsys
import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from downstream.models.openmmlab import missing

__all__ = ["colours", "dataset_meta"]

_COCO = 80
_GOLDEN = 0.618034
"""Share of the circle of hues between one class and the next: any first few differ as much as they can."""


def dataset_meta(task: str, classes: Sequence[str] | None) -> dict[str, list[Any]]:
    """Give `classes` and `palette`: lists of names and of colours, red, green and blue from 0 to 255.

    Args:
        task: "detect" or "segment".
        classes: of a detector, in order; None where they are not known. A segmenter's are ADE20K's.

    Returns:
        Both; or nothing, where the classes are not known, or only MMSegmentation, which is not installed, knows them.
    """
    if task == "segment":
        if missing("segment"):
            return {}
        from mmseg.utils import get_classes, get_palette

        return {"classes": list(get_classes("ade20k")), "palette": [list(colour) for colour in get_palette("ade20k")]}
    if classes is None:
        return {}
    palette = colours(len(classes))
    if len(classes) == _COCO and not missing("detect"):
        coco = _coco()
        if tuple(classes) == tuple(coco["classes"]):
            palette = list(coco["palette"])
    return {"classes": list(classes), "palette": palette}


def _coco() -> Mapping[str, Any]:
    """Give what MMDetection knows of COCO, without what it prints and warns of when it is imported."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mmdet.datasets import CocoDataset
    about: Mapping[str, Any] = CocoDataset.METAINFO
    return about


def colours(count: int) -> list[tuple[int, int, int]]:
    """Give a colour for each of so many classes, red, green and blue from 0 to 255: a tuple, as mmengine wants it."""
    drawn = [colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.75 - number // 12 % 2 * 0.3, 0.9) for number in range(count)]
    return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in drawn]
