"""Regions of interest in float32, whatever the precision of the model: type "Float32RoIExtractor" in MMDetection.

RoIAlign of mmcv does not support bfloat16, and float16 coordinates above 1,024 pixels are rounded to whole pixels.
"""

from __future__ import annotations

from typing import Any

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
