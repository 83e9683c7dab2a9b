"""How long a network takes for one inference, on the device it is on: the one timed loop of the repository."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from proxies.measuring.seeds import input_batch
from proxies.measuring.state import in_mode, placed

__all__ = ["PRECISIONS", "inference_seconds", "pass_seconds"]

PRECISIONS = ("float32", "bfloat16", "float16")
"""What a network can be timed in; the last two by torch's autocast."""


def pass_seconds(
    run: Callable[[Tensor], Any],
    inputs: Tensor,
    *,
    enough: Callable[[Sequence[float]], bool],
    warmup: int = 1,
    precision: str = "float32",
) -> list[float]:
    """Time forward passes one by one until there are enough.

    Each is the wall time from passing the batch until its outputs are there: on CUDA the clock is read when the device has
    nothing left to do, so what the host needs to start the kernels counts, as it does in use.

    Args:
        run: a forward pass; its module stands in the mode that it is to be timed in.
        inputs: the batch, on the device.
        enough: given the times so far, one at least, whether to stop.
        warmup: passes before the first timed one.
        precision: one of `PRECISIONS`.

    Returns:
        seconds of each timed pass, in their order.
    """
    half = precision != "float32"
    seconds: list[float] = []
    with torch.inference_mode(), torch.autocast(inputs.device.type, getattr(torch, precision) if half else None, enabled=half):
        for _ in range(warmup):
            run(inputs)
        _wait(inputs.device)
        while not seconds or not enough(seconds):
            clock = time.perf_counter()
            run(inputs)
            _wait(inputs.device)
            seconds.append(time.perf_counter() - clock)
    return seconds


def inference_seconds(
    module: nn.Module,
    *,
    input_shape: Sequence[int],
    batch: int = 1,
    runs: int = 10,
    warmup: int = 3,
    precision: str = "float32",
    device: str | torch.device = "cpu",
) -> list[float]:
    """Time `runs` forward passes of `module` on noise, in evaluation mode, after `warmup` others; the module stays as it was.

    Args:
        module: any network; its weights' values do not matter for the time, but it must have some.
        input_shape: (C, H, W).
        batch: images at a time.
        precision: one of `PRECISIONS`.

    Returns:
        seconds of each pass.
    """
    with placed(module, device=device), in_mode(module, train=False):
        inputs = input_batch(input_shape, batch, seed=0, device=device)
        return pass_seconds(module, inputs, enough=lambda seconds: len(seconds) >= runs, warmup=warmup, precision=precision)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
