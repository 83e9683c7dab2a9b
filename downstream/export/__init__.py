"""Networks as folders that other tools open: timm, torch.export, ONNX."""

from downstream.export.exporting import FORMATS, Subject, export, subject_of

__all__ = ["FORMATS", "Subject", "export", "subject_of"]
