"""Export networks as folders for other tools: timm, OpenMMLab, torch.export, ONNX, the UniNAS reference implementation."""

from downstream.export.exporting import FORMATS, export

__all__ = ["FORMATS", "export"]
