"""`scored`: one generator between jobs and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from search.workers.job import Job, Outcome
from search.workers.pool import Done, scored


def jobs(count: int) -> list[Job]:
    return [Job(str(number), "", (8, 8), 10, 2, 1, 0, ("flops",)) for number in range(count)]


@dataclass
class Backwards:
    """A pool of `room` jobs that finishes the last one first; with `late` there is no room before so many polls."""

    room: int
    late: int = 0

    def __post_init__(self) -> None:
        self.under_way: list[tuple[int, Any]] = []
        self.most = 0

    def free(self) -> int:
        return 0 if self.late > 0 else self.room - len(self.under_way)

    def submit(self, ticket: int, job: Any) -> None:
        assert self.free() > 0
        self.under_way.append((ticket, job))
        self.most = max(self.most, len(self.under_way))

    def poll(self, timeout_s: float) -> list[Done]:
        self.late -= 1
        if not self.under_way:
            return []
        ticket, job = self.under_way.pop()
        return [Done(ticket, Outcome({"flops": float(job.digest)}), "w")]

    def workers(self) -> int:
        return 1

    def start(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        self.under_way = []


@pytest.mark.parametrize("room", [1, 3, 50])
@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("late", [0, 4])
def test_every_job_is_given_once_in_the_order_wanted(room: int, in_order: bool, late: int) -> None:
    pool, shown = Backwards(room, late), list[int]()
    done = list(scored(pool, iter(jobs(20)), check=lambda: None, show=shown.append, in_order=in_order))
    assert sorted(item.ticket for item in done) == list(range(20))
    assert all(item.outcome.scores == {"flops": float(item.ticket)} for item in done)
    assert ([item.ticket for item in done] == list(range(20))) == (in_order or room == 1)
    assert pool.most == min(room, 20)
    assert shown[-1] == 0
    assert max(shown) <= 20


def test_jobs_are_drawn_as_there_is_room_for_them() -> None:
    drawn: list[int] = []

    def slowly() -> Any:
        for number, job in enumerate(jobs(10)):
            drawn.append(number)
            yield job

    for count, _ in enumerate(scored(Backwards(2), slowly(), check=lambda: None, show=lambda under_way: None, in_order=False), 1):
        assert len(drawn) <= count + 2


def test_what_the_check_raises_ends_the_scoring() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    pool = Backwards(2)
    with pytest.raises(KeyboardInterrupt):
        next(scored(pool, jobs(5), check=stop, show=lambda under_way: None))
    assert len(pool.under_way) == 2


def test_no_jobs_need_no_pool() -> None:
    assert list(scored(Backwards(0), [], check=lambda: None, show=lambda under_way: None)) == []
