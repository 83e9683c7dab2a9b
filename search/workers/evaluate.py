"""Score one candidate: text -> torch module -> proxies. Runs in the worker; torch lives here and in search.bench."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import gc
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch

import proxies
import uninas
import uninas.compile
from search.workers import real_batches
from search.workers.counted import counted, only_counts
from search.workers.job import Cause, Job, Outcome, outcome_of, too_slow
from search.workers.scoring_code import digest
from uninas.runtime.machine import processor

_Job = TypeVar("_Job")


def prepare(device: str = "cpu") -> dict[str, str]:
    """Set up this process for reproducible scoring, and say on what it runs.

    One torch thread (with several, a busy machine is slower, and sums differ), no TF32, no autotuned kernels. These are
    settings of the whole process: a worker calls this once.

    Returns:
        torch build, device model, precision, threads, Python, digest of the scoring code: with the run seed and the network's
        digest they decide a score.
    """
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    return {
        "torch": torch.__version__,
        "device": model_of(device),
        "precision": "float32 network, TF32 off; float64 spectra",
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "code": digest()[:12],
    }


def model_of(device: str) -> str:
    """Name the device's kind and model, and no machine: what decides a score's rounding, and a latency."""
    model = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
    return f"{torch.device(device).type}: {model}"


def evaluate(job: Job, device: str = "cpu") -> Outcome:
    """Build and score one candidate. Whatever Python raises becomes a failed outcome with its reason."""
    counts = only_counts(job.proxies) and job.timing is None
    return guarded(_count if counts else _score, job, device, builds=not counts)


def guarded(score: Callable[[_Job, str, dict[str, float]], Outcome], job: _Job, device: str, *, builds: bool = True) -> Outcome:
    """Run `score(job, device, seconds)`; what it raises becomes a failed outcome, and its memory is given back either way.

    `builds`: whether it makes a network at all. Looking for memory to give back takes many times as long as counting.
    """
    seconds: dict[str, float] = {}
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    try:
        outcome = score(job, device, seconds)
    except Exception as error:  # a failure is a result, with its reason
        outcome = _failed(error, seconds)
    finally:
        if builds:
            _release(device)
    if device.startswith("cuda"):
        return dataclasses.replace(outcome, peak_bytes=int(torch.cuda.max_memory_allocated(device)))
    return outcome


def _count(job: Job, device: str, seconds: dict[str, float]) -> Outcome:
    """Count, without a network; `seconds` are those of the two stages that another score has."""
    clock = time.perf_counter()
    architecture = uninas.parse(job.architecture, f"candidate {job.digest[:12]}")
    seconds["build"] = time.perf_counter() - clock
    scores = counted(architecture, job.proxies, size=job.size, classes=job.classes)
    seconds["score"] = time.perf_counter() - clock - seconds["build"]
    return outcome_of(scores, seconds, whole=True)


def _score(job: Job, device: str, seconds: dict[str, float]) -> Outcome:
    """Do the work, noting the time of each stage in `seconds`; all tensors are gone when it returns."""
    clock = time.perf_counter()
    architecture = uninas.parse(job.architecture, f"candidate {job.digest[:12]}")
    module, shape = uninas.compile.build(architecture, classes=job.classes), (architecture.in_channels, *job.size)
    seconds["build"] = time.perf_counter() - clock
    latency_ms: float | None = None
    if job.timing is not None:  # before the scores, which a network over the budget does not need
        latency_ms = _latency(module, shape, job, device, seconds)
        if job.timing.limit_ms is not None and latency_ms > job.timing.limit_ms:
            return too_slow(latency_ms, model_of(device), job.timing.limit_ms, seconds)
    clock = time.perf_counter()
    values = proxies.score(
        module,
        list(job.proxies),
        input_shape=shape,
        batch=job.batch,
        seed=job.seed,
        repeats=job.repeats,
        device=device,
        options=job.options,
        images=None if job.images is None else _images(job.images),
    )
    seconds["score"] = time.perf_counter() - clock
    outcome = outcome_of({name: _plain(value) for name, value in values.items()}, seconds, whole=True)
    return outcome if latency_ms is None else replace(outcome, latency_ms=latency_ms, device=model_of(device))


@functools.lru_cache(maxsize=1)
def _images(digest: str) -> proxies.Images:
    """Give the real batch of that digest."""
    inputs, targets = real_batches.images(digest)
    return proxies.Images(torch.tensor(inputs), torch.tensor(targets))


def _latency(module: torch.nn.Module, shape: tuple[int, int, int], job: Job, device: str, seconds: dict[str, float]) -> float:
    """Measure one inference in milliseconds, to the microsecond: the median of several."""
    assert job.timing is not None
    clock = time.perf_counter()
    passes = proxies.inference_seconds(
        module,
        input_shape=shape,
        batch=job.timing.batch,
        runs=job.timing.runs,
        warmup=job.timing.warmup,
        precision=job.timing.precision,
        device=device,
    )
    seconds["latency"] = time.perf_counter() - clock
    return round(1e3 * statistics.median(passes), 3)


def _plain(value: Any) -> float | Mapping[str, str]:
    return {"failed": str(value)} if isinstance(value, proxies.ProxyFailure) else float(value)


def _failed(error: Exception, seconds: Mapping[str, float]) -> Outcome:
    """Make the outcome of a network that could not be built or scored; its reason is one line."""
    if proxies.out_of_memory(error):
        return Outcome.failed("out of memory", Cause.OUT_OF_MEMORY, seconds)
    return Outcome.failed(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", Cause.ERROR, seconds)


def _release(device: str) -> None:
    """Give memory back, so that a worker stays as large as its largest candidate needs it, not as their sum."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    if trim := _malloc_trim():
        trim(0)


@functools.cache
def _malloc_trim() -> Any:
    """Find glibc's malloc_trim; None with another C library, which keeps freed memory in its own way."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None


def _processor() -> str:
    """Name the processor's model and the instruction set torch uses, which decides rounding."""
    return f"{processor()} ({torch.backends.cpu.get_cpu_capability()})"
