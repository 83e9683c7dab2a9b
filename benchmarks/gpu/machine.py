"""What the steps run on, and the ceilings of its arithmetic: with them a candidate's seconds can be judged."""

from __future__ import annotations

import importlib.metadata
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu.steps import Bench

__all__ = ["machine"]

REPEATS = 10
LIBRARIES = ("torch", "ray", "timm", "torchvision", "omegaconf")


def machine(bench: Bench) -> None:
    """Name device and libraries; time large products of matrices, and a copy."""
    bench.row("libraries", **{name: _version(name) for name in LIBRARIES})
    if bench.gpu:
        bench.row("device", **_gpu(bench.device))
    torch.backends.cuda.matmul.allow_tf32 = False  # as scores are computed
    side, count = (256, 2**16) if bench.toy else (4096, 2**29)
    for precision in (torch.float64, torch.float32, torch.bfloat16):
        with bench.part(f"product, {precision}"):
            a, b = (torch.randn(side, side, device=bench.device).to(precision) for _ in range(2))
            seconds = _median(bench.device, lambda a=a, b=b: a @ b)
            bench.row(f"product, {str(precision).removeprefix('torch.')}", tflops=2 * side**3 / seconds / 1e12)
    with bench.part("copy"):
        source = torch.randn(count, device=bench.device)
        target = torch.empty_like(source)
        seconds = _median(bench.device, lambda: target.copy_(source))
        bench.row("copy", terabytes_per_second=2 * source.nbytes / seconds / 1e12)  # read and written


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu(device: str) -> dict[str, Any]:
    found = torch.cuda.get_device_properties(device)
    driver = None
    if shutil.which("nvidia-smi"):
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(asked, capture_output=True, encoding="utf-8", check=False).stdout.partition("\n")[0]
    return {
        "name": found.name,
        "gibibytes": found.total_memory / 2**30,
        "multiprocessors": found.multi_processor_count,
        "cuda": torch.version.cuda,
        "driver": driver,
    }


def _median(device: str, work: Callable[[], Any]) -> float:
    """Median seconds of one call, after two others."""
    seconds = []
    for _ in range(REPEATS + 2):
        clock = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - clock)
    return statistics.median(seconds[2:])
