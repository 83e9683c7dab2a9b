"""A candidate that kills the process that scores it is given up, over any number of sessions."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search.workers.job import Cause, Job, Outcome
from search.workers.pool import DEATHS_ALONE, SerialPool
from search.workers.under_way import FILE, Remembered
from uninas.errors import InputError


class Killed(BaseException):
    """Stands for the end of the process: nothing behind it runs, see `killed`."""


def job(name: str, seed: int = 0) -> Job:
    return Job(name * 64, "", (8, 8), 10, 2, 1, seed, ("flops",))


def remembered(folder: Path, notes: list[str] | None = None, evaluate: Any = None) -> Remembered:
    pool = SerialPool()
    pool._module = SimpleNamespace(evaluate=evaluate or (lambda job, device: Outcome({"flops": 1.0})))
    return Remembered(pool, folder, (notes if notes is not None else []).append)


def killed(folder: Path, candidate: Job) -> None:
    """A session that is killed while it scores this candidate: its file is as it was then."""
    kept = bytearray()

    def evaluate(job: Job, device: str) -> Outcome:
        kept[:] = (folder / FILE).read_bytes()
        raise Killed

    pool = remembered(folder, evaluate=evaluate)
    pool.submit(0, candidate)
    with pytest.raises(Killed):
        pool.poll(0.0)
    pool.close()
    (folder / FILE).write_bytes(kept)


def test_a_candidate_that_kills_the_process_too_often_is_given_up(tmp_path: Path) -> None:
    for _ in range(DEATHS_ALONE):
        killed(tmp_path, job("a"))
    notes: list[str] = []
    pool = remembered(tmp_path, notes)
    pool.submit(7, job("a"))
    assert pool.free() == 0
    (done,) = pool.poll(0.0)
    assert (done.ticket, done.outcome.status, done.outcome.cause, done.attempts) == (7, "failed", Cause.QUARANTINED, DEATHS_ALONE)
    assert done.outcome.reason == "quarantined: the process was killed 3 times while it was scored"
    assert len(notes) == 1
    pool.submit(8, job("b"))
    assert pool.poll(0.0)[0].outcome.status == "ok"
    pool.close()
    assert not (tmp_path / FILE).exists()


def test_one_that_is_scored_in_the_end_is_scored_as_ever(tmp_path: Path) -> None:
    for _ in range(DEATHS_ALONE - 1):
        killed(tmp_path, job("a"))
    notes: list[str] = []
    pool = remembered(tmp_path, notes)
    pool.submit(0, job("a"))
    (done,) = pool.poll(0.0)
    assert (done.outcome.scores, done.attempts) == ({"flops": 1.0}, DEATHS_ALONE)
    assert notes == ["candidate aaaaaaaaaaaa: a process was killed while it was scored, 2 of 3 times; repeated"]
    pool.close()
    assert not (tmp_path / FILE).exists()


def test_deaths_are_those_of_one_job_and_outlive_others(tmp_path: Path) -> None:
    killed(tmp_path, job("a"))
    killed(tmp_path, job("a", seed=1))  # the same network, rescored
    killed(tmp_path, job("a"))
    pool = remembered(tmp_path)
    for ticket, other in enumerate("bcd"):
        pool.submit(ticket, job(other))
        assert pool.poll(0.0)[0].outcome.status == "ok"
    pool.close()
    assert sorted(json.loads((tmp_path / FILE).read_bytes())["deaths"].values()) == [1, 2]
    killed(tmp_path, job("a"))
    pool = remembered(tmp_path)
    pool.submit(0, job("a"))
    assert pool.poll(0.0)[0].outcome.cause is Cause.QUARANTINED
    pool.submit(1, job("a", seed=1))
    assert pool.poll(0.0)[0].outcome.status == "ok"
    pool.close()


def test_a_stop_in_good_order_is_no_death(tmp_path: Path) -> None:
    def stop(job: Job, device: str) -> Outcome:
        raise KeyboardInterrupt

    pool = remembered(tmp_path, evaluate=stop)
    pool.submit(0, job("a"))
    with pytest.raises(KeyboardInterrupt):
        pool.poll(0.0)
    pool.close()
    assert not (tmp_path / FILE).exists()
    pool.close()  # also twice


@pytest.mark.parametrize("text", ["", "{", "[]", '{"deaths": 3}', '{"under_way": null, "deaths": {"a": "x"}}', "[" * 10_000])
def test_an_odd_file_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    pool = remembered(tmp_path)
    pool.submit(0, job("a"))
    assert pool.poll(0.0)[0].outcome.status == "ok"
    pool.close()
    assert not (tmp_path / FILE).exists()


def test_what_is_written_lands_in_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / FILE).symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match="expected a file of its own"):
        remembered(tmp_path).submit(0, job("a"))
    assert (tmp_path / "other").read_text() == "mine"
    os.unlink(tmp_path / FILE)
