"""What bounds memory, and what happens where it is not enough."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from benchmarks.gpu.candidate import Candidates, with_spectrum
from benchmarks.gpu.scores import apart
from benchmarks.gpu.steps import Bench
from search.workers import evaluate
from search.workers.job import Cause, Job, Outcome
from uninas.runtime.machine import peak_bytes

__all__ = ["memory"]

ROOM = 2**30  # bytes that are left to a candidate of 30 M parameters at 224 pixels, which wants more
EQUAL = 1e-3  # relative, of the score with another micro_batch


def memory(bench: Bench) -> None:
    """Score one candidate by parts of its batch, and as a whole; then where it does not fit, and again where it does."""
    evaluate.prepare(bench.device)
    _, job, _ = Candidates("uninas_30m", toy=bench.toy).ask()
    with bench.part("micro_batch"):
        _parts(bench, job)
    before = evaluate.evaluate(job, bench.device)
    for what, crowded, too_much in _ways(bench, job):
        with bench.part(what):
            with crowded:
                failed = evaluate.evaluate(too_much, bench.device)
            bench.row(what, ok=failed.cause is Cause.OUT_OF_MEMORY, reason=failed.reason)
            after = evaluate.evaluate(job, bench.device)
            held = after.status == "ok" and after.scores == before.scores
            bench.row(f"{what}, the next candidate", ok=held, reason=after.reason)


def _parts(bench: Bench, job: Job) -> None:
    """Compare peaks and scores; on a CPU, whose peak is the whole process's, no more than the scores."""
    found: dict[int, tuple[Outcome, int | None]] = {}
    for micro_batch in dict.fromkeys((max(1, job.batch // 16), max(1, job.batch // 4), job.batch)):
        peak_bytes(reset=True)
        outcome = evaluate.evaluate(with_spectrum(job, micro_batch=micro_batch), bench.device)
        peak = outcome.peak_bytes if bench.gpu else peak_bytes()
        found[micro_batch] = outcome, peak
        bench.row(
            f"micro_batch {micro_batch}",
            ok=outcome.status == "ok",
            reason=outcome.reason,
            peak_bytes=peak,
            seconds=sum(outcome.seconds.values()),
            scores=dict(outcome.scores),
        )
    (small, low), (whole, high) = found[min(found)], found[job.batch]
    differences = [apart(small.scores[name], whole.scores[name]) for name in job.proxies]  # type: ignore[arg-type]
    bench.row("one score with any micro_batch", ok=max(differences) <= EQUAL, difference=max(differences))
    if bench.gpu and not bench.toy and low is not None and high is not None:
        bench.row("a smaller micro_batch takes less memory", ok=low < high, share=low / high)


def _ways(bench: Bench, job: Job) -> Iterator[tuple[str, AbstractContextManager[None], Job]]:
    """Give ways in which memory is not enough, and the job that wants more."""
    if not bench.gpu:
        yield "more than the machine has", nullcontext(), dataclasses.replace(job, batch=2**40)
        return
    whole = with_spectrum(job, micro_batch=job.batch)
    yield "memory that others hold", _held(bench.device), whole
    yield "a limit of torch's own", _limited(bench.device), whole


@contextmanager
def _held(device: str) -> Iterator[None]:
    """Hold all of the device's memory but `ROOM`, as a neighbour on a shared GPU does."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    ballast = torch.empty(max(0, free - ROOM), dtype=torch.uint8, device=device)
    try:
        yield
    finally:
        del ballast
        torch.cuda.empty_cache()


@contextmanager
def _limited(device: str) -> Iterator[None]:
    """Let torch take no more than `ROOM`."""
    torch.cuda.empty_cache()
    place = torch.device("cuda", torch.device(device).index or 0)
    torch.cuda.set_per_process_memory_fraction(ROOM / torch.cuda.get_device_properties(place).total_memory, place)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, place)
