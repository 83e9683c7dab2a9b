"""Ray's actors on a whole GPU and on parts of one: one journal, and a deadline that a kernel cannot outlast."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uninas
from benchmarks.actors import SEARCH, Clock
from benchmarks.gpu.hanging import HANGS
from benchmarks.gpu.networks import small
from benchmarks.gpu.steps import Bench
from search.config import loading
from search.config.schema import PoolConfig
from search.distributed.ray_pool import RayPool
from search.engine import driver
from search.journal import journal
from search.workers.job import Cause, Job
from search.workers.pool import scored
from uninas.runtime import ray_local

__all__ = ["actors", "deadline", "difference"]

ON_A_GPU = ("batch=32", "finalists.controls=[]")
SMALL = ("size=32", "batch=4", "space.widths=[32, 32, 32, 64]", "window=2")
VOLATILE = ("seconds", "worker", "attempts", "peak_bytes")  # what one seed does not decide


def actors(bench: Bench) -> None:
    """Run one small search by one actor, by two and by four that share the GPU, on one Ray; compare the journals."""
    ways = [(1, 1.0), (2, 0.5), (4, 0.25)] if bench.gpu else [(1, 0.0), (2, 0.0)]
    candidates = 4 if bench.toy else 64
    expected: list[dict[str, Any]] | None = None
    with _ray(cpus=max(ray_local.cores(), 4)), tempfile.TemporaryDirectory() as made:
        for count, share in ways:
            name = f"actors: {count}, GPUs each: {share:g}"
            with bench.part(name):
                given = [f"evaluations={candidates}", f"pool.workers={count}", f"pool.gpus_per_worker={share}"]
                clock, folder = Clock(), Path(made, str(count))
                driver.begin(loading.parse(SEARCH, [*ON_A_GPU, *given, *(SMALL if bench.toy else ())]), folder, view=clock)
                found = [one for one in journal.read(folder / "journal.jsonl") if one["kind"] in ("candidate", "rescore")]
                peaks = [one["peak_bytes"] for one in found if one.get("peak_bytes")]
                rate = clock.rate(candidates)
                lines = [{key: value for key, value in one.items() if key not in VOLATILE} for one in found]
                expected = expected or lines
                differs = difference(expected, lines)
                failed = sum(one.get("status") == "failed" for one in lines)
                bench.row(
                    name,
                    ok=differs is None and failed == 0,
                    candidates=candidates,
                    rate=rate,
                    failed=failed,
                    peak_bytes=max(peaks, default=None),
                    differs=differs,
                )


def difference(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> str | None:
    """Say where two journals differ first; None where they do not."""
    if len(one) != len(other):
        return f"{len(one)} records and {len(other)}"
    for place, (a, b) in enumerate(zip(one, other, strict=True)):
        for key in dict.fromkeys((*a, *b)):
            if a.get(key) != b.get(key):
                return f"record {place}, {key}: {a.get(key)} and {b.get(key)}"
    return None


def deadline(bench: Bench) -> None:
    """Score a candidate, one that hangs on the GPU, and the first again: by one actor that has the whole GPU."""
    limit = 30.0 if bench.toy else 15.0  # the first candidate has to load libraries within it, on a busy processor too
    plain = _job()
    jobs = [plain, replace(plain, digest=f"{HANGS}{plain.digest}"), plain]
    notes: list[str] = []
    config = PoolConfig(kind="ray", workers=1, gpus_per_worker=1.0 if bench.gpu else 0.0, deadline_s=limit, batch=1)
    pool = RayPool(config, evaluator="benchmarks.gpu.hanging", note=notes.append)
    try:
        pool.start()
        clock = time.perf_counter()
        outcomes = []
        for done, what in zip(
            scored(pool, jobs, check=lambda: None, show=lambda count: None),
            ("a candidate before", "the one that hangs", "a candidate after"),
            strict=True,
        ):
            spent, clock = time.perf_counter() - clock, time.perf_counter()
            outcome = done.outcome
            outcomes.append(outcome)
            ok = outcome.cause is Cause.DEADLINE if what == "the one that hangs" else outcome.status == "ok"
            bench.row(what, ok=ok, seconds=spent, reason=outcome.reason, worker=done.worker, notes=list(notes))
        bench.row("the same score before and after", ok=outcomes[0].scores == outcomes[2].scores)
    finally:
        pool.close()


def _job() -> Job:
    """Give a small candidate, scored in a moment."""
    network = small("resnet")
    text = uninas.to_text(network)
    return Job(network.digest, text, size=(32, 32), classes=10, batch=8, repeats=1, seed=0, proxies=("vkdnw",))


@contextmanager
def _ray(*, cpus: int) -> Iterator[None]:
    """Start a Ray of one's own, which searches inside find and leave open."""
    started = ray_local.start(cpus=cpus)
    try:
        yield
    finally:
        started.close()
