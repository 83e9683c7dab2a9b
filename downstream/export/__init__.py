"""Networks as folders that other tools open: timm, torch.export, ONNX."""

from downstream.export.exporting import FORMATS, export

__all__ = ["FORMATS", "export"]
