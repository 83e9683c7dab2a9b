"""Regions of interest in float32, whatever the precision of the model: type "Float32RoIExtractor" in MMDetection.

RoIAlign of mmcv does not support bfloat16, and float16 coordinates above 1,024 pixels are rounded to whole pixels. And the maps
may have any strides: MMDetection takes each to have twice the stride of the one before.
"""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor

__all__ = ["Float32RoIExtractor"]


@MODELS.register_module()
class Float32RoIExtractor(SingleRoIExtractor):
    """The extractor of MMDetection on features in float32."""

    def forward(self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None) -> Any:
        """Maps (B, C, H, W) of several strides and boxes (n, 5) -> (n, C, h, w) in float32."""
        return super().forward(tuple(one.float() for one in feats), rois.float(), roi_scale_factor)

    def map_roi_levels(self, rois: Tensor, num_levels: int) -> Tensor:
        """Boxes (n, 5) -> the number of the map that each is read from, (n,): MMDetection's where strides double."""
        scale = torch.sqrt((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2])) / self.finest_scale + 1e-6
        coarser = [stride / self.featmap_strides[0] for stride in self.featmap_strides[1:num_levels]]
        return torch.bucketize(scale, scale.new_tensor(coarser), right=True)
