"""The time that counts for deadlines, by made-up clocks and by a process that is really suspended."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from search.workers.stopwatch import Stopwatch
from tests.search.conftest import ROOT
from tests.waiting import wait_until


def stopwatch(*times: tuple[float, float]) -> Stopwatch:
    """One whose clocks read so: wall, processor."""
    moments: Iterator[tuple[float, float]] = iter(times)
    read: list[float] = []

    def clock() -> float:
        wall, worked = next(moments)
        read.append(worked)
        return wall

    return Stopwatch(1.0, clock=clock, worked=lambda: read.pop())


def test_time_counts_while_the_process_runs() -> None:
    watch = stopwatch((0, 0), (1, 0), (2.5, 0), (4.5, 2.0))
    assert [watch.look() for _ in range(3)] == [1, 2.5, 4.5]
    assert watch.suspended == 0


def test_a_suspension_does_not_count_and_a_long_call_does() -> None:
    watch = stopwatch((0, 0), (1000, 0.1), (1060, 59.0), (1070, 59.0))
    assert [watch.look(), watch.look(), watch.look(10.0)] == [2, 2 + 58.9 + 1.1 - 1.1, pytest.approx(70.9)]
    assert watch.suspended == pytest.approx(1070 - 70.9)


# A job that computes for a fifth of a second, under a deadline of three; it says when it has begun.
SCORING = """
import time
from search.workers import pool
from tests.search import fakes

def evaluate(job, device):
    print("begun", flush=True)
    begun = time.process_time()
    while time.process_time() - begun < 0.2:
        pass
    return fakes.outcome_of({"vkdnw": 1.0}, {"score": 1.0})

fakes.evaluate = evaluate
serial = pool.SerialPool(3.0, evaluator="tests.search.fakes")
serial.start()
serial.submit(0, None)
print(serial.poll(0)[0].outcome.status, flush=True)
"""


@pytest.mark.slow
def test_a_suspended_search_misses_no_deadline() -> None:
    with subprocess.Popen([sys.executable, "-c", SCORING], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        psutil.Process(process.pid).suspend()
        until = time.monotonic() + 4
        wait_until(lambda: time.monotonic() > until)
        psutil.Process(process.pid).resume()
        assert process.stdout.readline() == "ok\n"
