"""From samples to a whole search: the arithmetic, on numbers that can be done by hand."""

from __future__ import annotations

from typing import Any

import pytest

from search.config import loading
from search.config.plan import SearchPlan
from search.preview.estimate import Range, at_a_time, estimate
from search.preview.samples import Sample, Timed
from search.preview.words import prospect
from tests.search.drive import TOY
from uninas.runtime.machine import Memory

TOTALS = {"search": 100, "random": 50, "finalists": 10}
SLOW, FAST = 4.0, 2.0


def plan_of(*overrides: str) -> SearchPlan:
    return SearchPlan.resolve(loading.parse(TOY, ["pool.kind=ray", "window=16", *overrides]))


def sample(phase: str, seconds: float, **changes: Any) -> Sample:
    values: dict[str, Any] = {
        "phase": phase,
        "digest": "0" * 64,
        "ask_seconds": 0.0,
        "rungs": (),
        "last": Timed(seconds),
        "final": Timed(seconds),
        "peak_bytes": 400_000_000,
        "gpu_bytes": None,
        "line_bytes": 1000,
        "reason": None,
    }
    return Sample(**{**values, **changes})


SAMPLES = [sample("search", SLOW), sample("random", FAST)]


def test_time_is_that_of_the_mean_between_that_of_the_fastest_and_of_the_slowest() -> None:
    found = estimate(plan_of("pool.workers=2"), SAMPLES, TOTALS, cores=2)
    assert [(phase.name, phase.parallel, phase.seconds) for phase in found.phases] == [
        ("search", 2, Range(150.0, 100.0, 200.0)),
        ("random", 2, Range(75.0, 50.0, 100.0)),
        ("finalists", 2, Range(15.0, 10.0, 20.0)),
    ]
    assert found.seconds == Range(240.0, 160.0, 320.0)
    assert found.phases[0].rate == Range(100 / 150, 0.5, 1.0)
    assert (found.worker_bytes, found.journal_bytes) == (400_000_000, 160_000)


@pytest.mark.parametrize(
    ("overrides", "cores", "parallel"),
    [
        (["pool.workers=2"], 8, 2),
        (["pool.workers=64"], 2, 2),  # of so few cores the others gain nothing
        (["pool.workers=64", "pool.gpus_per_worker=0.5"], 2, 64),
        (["pool.workers=64", "pool.address=auto"], 2, 64),
        (["pool.kind=serial", "pool.workers=1"], 8, 1),
    ],
)
def test_no_more_work_at_a_time_than_there_are_cores(overrides: list[str], cores: int, parallel: int) -> None:
    assert at_a_time(plan_of(*overrides), cores) == parallel


def test_a_window_bounds_how_many_work() -> None:
    plan = plan_of("pool.workers=8", "window=3")
    assert [phase.parallel for phase in estimate(plan, SAMPLES, TOTALS, cores=8).phases] == [3, 3, 8]


def test_asks_take_turns_with_scorings_in_one_process_and_bound_a_pool() -> None:
    slow = [sample("search", 2.0, ask_seconds=1.5)]
    assert estimate(plan_of("pool.kind=serial"), slow, {"search": 10}, cores=2).seconds.mean == 35.0
    assert estimate(plan_of("pool.workers=2"), slow, {"search": 10}, cores=2).seconds.mean == 15.0


def test_on_a_ladder_the_dear_score_is_for_the_share_that_goes_on() -> None:
    plan = plan_of("pool.workers=1", "ladder=[{score: snip, keep: 0.5}, {score: synflow, keep: 0.2}]")
    climbed = [sample("search", 10.0, rungs=(Timed(1.0), Timed(4.0)), final=Timed(30.0)), sample("random", 10.0)]
    found = {phase.name: phase.seconds.mean for phase in estimate(plan, climbed, TOTALS, cores=1).phases}
    assert found["search"] == pytest.approx(100 * (1.0 + 0.5 * 4.0 + 0.1 * 10.0))
    assert found["random"] == pytest.approx(50 * 10.0)
    assert found["finalists"] == pytest.approx(10 * (30.0 + 10.0) / 2)


def said(plan: SearchPlan, *, memory: int = 10**12, gpu: int | None = None, free: int | None = 10**9, **changes: Any) -> str:
    samples = [sample("search", SLOW, **changes), sample("random", FAST)]
    found = estimate(plan, samples, TOTALS, cores=4)
    have = Memory(memory, memory)
    return "\n".join(prospect(plan, samples, found, cores=4, memory=have, gpu_bytes=gpu, free_bytes=free))


def test_what_does_not_fit_is_a_warning_with_what_would() -> None:
    plan = plan_of("pool.workers=4")
    assert "memory: 400 MB a worker" in said(plan)
    assert "warning" not in said(plan)
    assert "warning: 1.6 GB for 4 workers is more than the 900 MB available: set pool.workers=2" in said(plan, memory=900_000_000)
    assert "warning: disk: 160 kB of journal, and 1 kB are free" in said(plan, free=1000)
    assert "warning: one took 4.0 s, and would fail by pool.deadline_s=3" in said(plan_of("pool.deadline_s=3"))
    assert "warning: 1 of 2 have no score, the first 000000000000: out of memory" in said(plan, reason="out of memory")
    shared = plan_of("pool.workers=4", "pool.gpus_per_worker=0.25")
    assert "GPU memory: 5.0 GB of tensors a worker, 4 on a GPU of 80.0 GB" in said(shared, gpu=80 * 10**9, gpu_bytes=5 * 10**9)
    assert "raise pool.gpus_per_worker" in said(shared, gpu=16 * 10**9, gpu_bytes=5 * 10**9)


def test_what_was_measured_is_said() -> None:
    plan = plan_of("pool.workers=2")
    assert "(measured on 2 candidates)" in said(plan)
    told = said(plan, last=Timed(90.0, steps=8))
    assert "(measured on 2 candidates: 1 of 2 scorings whole, the others by 8 steps of training each)" in told
    assert "time: search 38 min" in told
