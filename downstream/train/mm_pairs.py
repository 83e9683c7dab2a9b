"""ADE20K's data set for images of every kind that can be read, and masks of every kind that keeps labels.

MMSegmentation's own looks only at images called *.jpg, and leaves the others out without a word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmseg.datasets import ADE20KDataset
from mmseg.registry import DATASETS

from downstream.data.layouts import pairs

__all__ = ["NAME"]

NAME = "UniNASPairs"


@DATASETS.register_module(name=NAME)
class _Pairs(ADE20KDataset):
    def load_data_list(self) -> list[dict[str, Any]]:
        """List images and masks, sorted by image, as MMSegmentation needs them."""
        found, _ = pairs(Path(self.data_prefix["img_path"]), Path(self.data_prefix["seg_map_path"]))
        common = {"label_map": self.label_map, "reduce_zero_label": self.reduce_zero_label}
        return [{"img_path": str(image), "seg_map_path": str(mask), "seg_fields": [], **common} for image, mask in found]
