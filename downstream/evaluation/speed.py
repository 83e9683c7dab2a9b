"""The speed and the memory of a network on a device: measured in a process of its own.

measure(architecture, size=(224, 224), classes=1000, batch=64, device="cuda")     Speed(pictures_per_second, peak_bytes, ...)
"""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from uninas.errors import InputError
from uninas.graph import Architecture
from uninas.runtime.machine import peak_bytes, processor
from uninas.text import parse, to_text

__all__ = ["Speed", "measure"]

ROUNDS = 10
ENOUGH_SECONDS = 10.0  # after so long no more rounds than three are needed


@dataclass(frozen=True)
class Speed:
    """The speed of inference.

    Attributes:
        pictures_per_second: images/s, the median over the rounds.
        spread: difference between the fastest and the slowest round, relative to the median.
        peak_bytes: growth of memory at its peak, including the weights; None where the system does not report it.
        device: its name.
    """

    pictures_per_second: float
    spread: float
    peak_bytes: int | None
    device: str


def measure(
    architecture: Architecture,
    *,
    size: tuple[int, int],
    classes: int,
    batch: int,
    device: str,
    precision: str = "float32",
    threads: int | None = None,
) -> Speed:
    """Measure inference on noise after a warm-up.

    Args:
        architecture: the network.
        size: (H, W).
        classes: of the classifier; 0 runs only the stages, as the backbone of a detector.
        batch: images per batch.
        device: of torch.
        precision: "float32", "bfloat16" or "float16" (autocast).
        threads: of torch on the CPU; None for torch's own choice.

    Raises:
        InputError: the process failed, for example out of memory.
    """
    what = f"{size[0]}x{size[1]}, batch {batch} on {device}"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    arguments = (theirs, to_text(architecture), size, classes, batch, device, precision, threads)
    process = context.Process(target=_answer, args=arguments, daemon=True)
    process.start()
    theirs.close()
    try:
        found: dict[str, Any] = ours.recv()
    except EOFError:
        process.join()
        raise InputError(f"{what}: expected a measurement; the process ended with code {process.exitcode}") from None
    process.join()
    if "error" in found:
        raise InputError(f"{what}: expected a measurement; {found['error']}")
    return Speed(**found)


def _answer(
    pipe: Any, text: str, size: tuple[int, int], classes: int, batch: int, device: str, precision: str, threads: int | None
) -> None:
    import torch

    import proxies  # noqa: F401 here, so that its modules do not count as memory of the network
    from uninas.compile.module import build

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        place = torch.device(device)
        architecture = parse(text)
        module = build(architecture, classes=classes).eval().to(place)
        images = torch.randn(batch, architecture.in_channels, *size, device=place)
        before = _peak(place, reset=True)
        weights = sum(value.numel() * value.element_size() for value in module.state_dict().values())
        rates = _rates(module, images, precision, classes)
        after = _peak(place)
    except (RuntimeError, AssertionError, MemoryError) as error:  # out of memory, no such device, or torch built without it
        pipe.send({"error": str(error).partition("\n")[0]})
        return
    middle = statistics.median(rates)
    pipe.send(
        {
            "pictures_per_second": middle,
            "spread": (max(rates) - min(rates)) / middle,
            "peak_bytes": None if before is None or after is None else after - before + weights,
            "device": _name(place),
        }
    )


def _rates(module: Any, images: Any, precision: str, classes: int) -> list[float]:
    from proxies import pass_seconds

    def enough(seconds: Sequence[float]) -> bool:
        return len(seconds) == ROUNDS or (len(seconds) >= 3 and sum(seconds) >= ENOUGH_SECONDS)

    run = module if classes else module.forward_features
    return [len(images) / seconds for seconds in pass_seconds(run, images, enough=enough, precision=precision)]


def _peak(place: Any, *, reset: bool = False) -> int | None:
    """Give the peak memory in bytes, of the device or (on Linux) of this process; with `reset` counted from now on."""
    import torch

    if place.type == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats(place)
            return int(torch.cuda.memory_allocated(place))
        return int(torch.cuda.max_memory_allocated(place))
    return peak_bytes(reset=reset)


def _name(place: Any) -> str:
    import torch

    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    return f"{processor()}, {torch.get_num_threads()} threads"
