"""A model as a program that needs none of our code: torch.export and ONNX, with any batch size."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from downstream.models.timm_model import UniNASNet
from uninas.errors import InputError

__all__ = ["INPUT", "OUTPUT", "program", "runner", "write_onnx"]

INPUT, OUTPUT = "pictures", "logits"


def program(model: UniNASNet, size: tuple[int, int]) -> Any:
    """Trace a model: a `torch.export.ExportedProgram` of (batch, in_chans, *size), with any batch size."""
    images = torch.zeros(2, model.in_chans, *size)
    with torch.no_grad():
        return torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))


def write_onnx(model: UniNASNet, size: tuple[int, int], path: Path) -> None:
    """Write a model with its weights as ONNX.

    Raises:
        InputError: packages for it are missing.
    """
    _needed()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter itself
        made = torch.onnx.export(program(model, size), dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False)
    assert made is not None
    made.save(path, external_data=False)


def runner(path: Path) -> Callable[[Tensor], Tensor]:
    """Give a function that runs an ONNX file on the CPU, from images to logits."""
    _needed()
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def _needed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"ONNX: expected the packages onnx, onnxscript and onnxruntime (pip install onnx onnxscript onnxruntime); {error}"
        ) from None
