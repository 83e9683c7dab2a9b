"""Candidates of the papers' searches end to end, as a search scores them: asked for, built, scored. And where the time goes."""

from __future__ import annotations

import cProfile
import dataclasses
import pstats
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiler

from benchmarks.gpu.steps import AIMS, Bench
from search.algorithms import make
from search.config import loading
from search.config.plan import SearchPlan
from search.ranking.objective import SPECTRA
from search.spaces.from_config import from_config
from search.workers import evaluate
from search.workers.job import Job, Outcome, numbers

__all__ = ["Candidates", "candidates", "profile", "with_spectrum"]

CONFIGS = Path(__file__).parents[2] / "configs" / "search"
COUNT = 8  # candidates whose median counts, after the first
LARGEST = 12  # of a profile
SMALL = ("size=32", "batch=2", "classes=10", "proxies.micro_batch=1")
TOY: Mapping[str, tuple[str, ...]] = {
    "uninas_30m": (*SMALL, "space.widths=[32, 32, 32, 64]", "space.depths=[1, 1, 2, 1]", "space.stem=[8, 16]"),
    "mobilenetv2": SMALL,
}


class Candidates:
    """The candidates of a search, one after the other, with the jobs that its workers would get."""

    def __init__(self, name: str, *, toy: bool) -> None:
        config = loading.load(CONFIGS / f"{name}.yaml", TOY[name] if toy else ())
        self.plan = SearchPlan.resolve(config)
        self._space = from_config(config)
        plan = self.plan
        self._engine = make(plan.algorithm, self._space, plan.objective, seed=plan.seed, window=plan.window, options=plan.options)

    def ask(self) -> tuple[int, Job, Mapping[str, int]]:
        """Give the next candidate: its index, its job, and what it costs."""
        proposal = self._engine.ask()
        job = self.plan.search_job(proposal.candidate.digest, self._space.text(proposal.candidate))
        assert isinstance(job, Job)
        return proposal.index, job, proposal.candidate.cost

    def tell(self, index: int, outcome: Outcome) -> None:
        """Report what came of it."""
        self._engine.tell(index, numbers(outcome.scores))


def candidates(bench: Bench) -> None:
    """Time candidates of both searches; then the first search's with other bounds of memory."""
    evaluate.prepare(bench.device)
    for number, name in enumerate(AIMS):
        with bench.part(name):
            _time(bench, name, until=0.55 if number == 0 else 0.3)  # of what is left, they may use so much
    with bench.part("bounds of memory"):
        _bounds(bench)


def _time(bench: Bench, name: str, *, until: float) -> None:
    stop, count = bench.left() * (1 - until), 2 if bench.toy else COUNT
    found = Candidates(name, toy=bench.toy)
    whole: list[float] = []
    stages: list[dict[str, float]] = []
    first: tuple[Job, Outcome] | None = None
    for _ in range(2 * COUNT):
        if len(whole) == count or (whole and bench.left() < stop):
            break
        clock = time.perf_counter()
        index, job, cost = found.ask()
        asked = time.perf_counter() - clock
        outcome = evaluate.evaluate(job, bench.device)
        seconds = time.perf_counter() - clock
        found.tell(index, outcome)
        spent = {"ask": asked, **outcome.seconds}
        spent["rest"] = seconds - sum(spent.values())  # memory is given back, for the most part
        bench.row(
            f"{name}, candidate {index}",
            ok=outcome.status == "ok",
            reason=outcome.reason,
            seconds=seconds,
            stages=spent,
            cost=dict(cost),
            scores=dict(outcome.scores),
            peak_bytes=outcome.peak_bytes,
        )
        if first is None:
            first = job, outcome  # it loads kernels and libraries: its time does not count
        elif outcome.status == "ok":
            whole.append(seconds)
            stages.append(spent)
    median = statistics.median(whole)
    bench.row(
        f"{name}, median",
        ok=median <= AIMS[name].seconds if bench.gpu and not bench.toy else None,
        config=name,
        seconds=median,
        spread=[min(whole), max(whole)],
        candidates=len(whole),
        stages={stage: statistics.median(one[stage] for one in stages) for stage in stages[0]},
    )
    assert first is not None
    again = evaluate.evaluate(first[0], bench.device)
    bench.row(f"{name}, the first again", ok=again.scores == first[1].scores, seconds=sum(again.seconds.values()))


def with_spectrum(job: Job, **options: Any) -> Job:
    """Give the job with other options of its scores of the Fisher spectrum."""
    changed = {name: {**job.options.get(name, {}), **options} for name in job.proxies if name in SPECTRA}
    return dataclasses.replace(job, options={**job.options, **changed})


def _bounds(bench: Bench) -> None:
    """Score one candidate with more memory than the configuration gives it: does a large GPU gain by it?"""
    found = Candidates("uninas_30m", toy=bench.toy)
    _, job, _ = found.ask()
    for micro_batch, memory in ((job.batch // 4, 2**29), (job.batch, 2**29), (job.batch // 4, 2**33), (job.batch, 2**33)):
        if bench.left() < 5:
            return
        changed = with_spectrum(job, micro_batch=max(1, micro_batch), memory=memory)
        outcome = [evaluate.evaluate(changed, bench.device) for _ in range(2)][-1]  # the first loads kernels
        bench.row(
            f"uninas_30m, the start, micro_batch {max(1, micro_batch)}, memory {memory / 2**30:g} GiB",
            ok=True if outcome.status == "ok" else None,  # it may not fit
            reason=outcome.reason,
            seconds=sum(outcome.seconds.values()),
            peak_bytes=outcome.peak_bytes,
            scores=dict(outcome.scores),
        )


def profile(bench: Bench) -> None:
    """Say what takes the time of a candidate: kernels on the device (on a CPU torch's operations), and functions of Python."""
    evaluate.prepare(bench.device)
    for name in list(AIMS)[: 1 if bench.toy else None]:
        with bench.part(name):
            _, job, _ = Candidates(name, toy=bench.toy).ask()
            evaluate.evaluate(job, bench.device)
            with bench.part(f"{name}, kernels"):
                _kernels(bench, name, job)
            with bench.part(f"{name}, Python"):
                _functions(bench, name, job)


def _kernels(bench: Bench, name: str, job: Job) -> None:
    clock = time.perf_counter()
    with profiler(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.gpu else [])]) as seen:
        evaluate.evaluate(job, bench.device)
        seconds = time.perf_counter() - clock
    where, key = (DeviceType.CUDA, "self_device_time_total") if bench.gpu else (DeviceType.CPU, "self_cpu_time_total")
    events = [(getattr(one, key) / 1e6, one) for one in seen.key_averages() if one.device_type == where]
    events.sort(key=lambda pair: -pair[0])
    bench.row(
        f"{name}, on the device",
        seconds=seconds,
        busy=sum(spent for spent, _ in events) / seconds,
        calls=sum(one.count for _, one in events),
        largest=[{"name": one.key[:120], "seconds": spent, "calls": one.count} for spent, one in events[:LARGEST]],
    )


def _functions(bench: Bench, name: str, job: Job) -> None:
    """Time functions without those that they call; one that reads a result waits for the device in its own time."""
    seen = cProfile.Profile()
    clock = time.perf_counter()
    seen.runcall(evaluate.evaluate, job, bench.device)
    seconds = time.perf_counter() - clock
    figures = [
        {"name": f"{Path(file).name}:{line} {function}", "seconds": own, "calls": calls}
        for (file, line, function), (_, calls, own, _, _) in pstats.Stats(seen).stats.items()  # type: ignore[attr-defined]
    ]
    figures.sort(key=lambda one: -one["seconds"])
    bench.row(f"{name}, in Python", seconds=seconds, calls=sum(one["calls"] for one in figures), largest=figures[:LARGEST])
