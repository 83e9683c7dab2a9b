"""The Ray pool, all tests on one Ray: the same journal with any number of actors, and whatever becomes of them."""

import os
import random
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest

from search.config.schema import PoolConfig
from search.distributed.ray_cluster import check_resources
from search.distributed.ray_pool import LARGEST_BATCH, RayPool, _Worker
from search.monitor.progress import State
from search.workers.job import Cause, Job, Outcome
from search.workers.pool import Done
from tests.amounts import slow
from tests.search.conftest import ROOT, Notes, records, resume_toy, run_toy, stable
from tests.search.drive import FAKES
from tests.search.fakes import ToySpace, toy_scores
from uninas.errors import InputError

pytestmark = pytest.mark.usefixtures("ray_address")
RAY = ("pool.kind=ray", "baseline=true")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A serial run of 300 candidates and its baseline: what every other run has to equal."""
    folder = tmp_path_factory.mktemp("serial") / "run"
    run_toy(folder, "baseline=true")
    return folder


def without_pool(folder: Path) -> list[dict[str, Any]]:
    return stable(folder)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_journal_does_not_depend_on_the_workers(tmp_path: Path, undisturbed: Path, workers: int) -> None:
    space = ToySpace(behaviour={"delay": 4})
    run_toy(tmp_path / "run", *RAY, f"pool.workers={workers}", space=space)
    assert without_pool(tmp_path / "run") == without_pool(undisturbed)
    names = {record["worker"] for record in records(tmp_path / "run") if "worker" in record} - {"reused"}
    assert len(names) == workers


class Killer(Notes):
    """A view that kills a random actor process each time so many more candidates are done."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.rng, self.every, self.next, self.killed = random.Random(0), every, every, 0
        self.view = self  # type: ignore[assignment]

    def update(self, state: State) -> None:
        if state.phase == "search" and state.done >= self.next:
            self.next = state.done + self.every
            actors = scorers(os.getpid())
            if actors:
                os.kill(self.rng.choice(actors), signal.SIGKILL)
                self.killed += 1

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        pass


def scorers(root: int) -> list[int]:
    """Process ids of the actors below a process."""
    found = []
    for process in psutil.Process(root).children(recursive=True):
        try:
            if "Scorer" in process.cmdline()[0]:
                found.append(process.pid)
        except (psutil.Error, IndexError):
            continue
    return found


def test_actors_killed_at_random_moments_change_nothing(tmp_path: Path, undisturbed: Path) -> None:
    killer = Killer(every=40)
    run_toy(tmp_path / "run", *RAY, "pool.workers=3", space=ToySpace(behaviour={"delay": 4}), view=killer)
    assert killer.killed >= 4
    assert sum("died over candidate" in note for note in killer.notes) >= 1
    assert without_pool(tmp_path / "run") == without_pool(undisturbed)
    assert any(record.get("attempts", 1) > 1 for record in records(tmp_path / "run"))


def run_pool(pool: RayPool, jobs: list[Job]) -> dict[int, Done]:
    """Start the pool, run the jobs, close it."""
    done: dict[int, Done] = {}
    try:
        pool.start()
        for ticket, job in enumerate(jobs):
            pool.submit(ticket, job)
        while len(done) < len(jobs):
            for item in pool.poll(1.0):
                assert item.ticket not in done
                done[item.ticket] = item
        assert pool.free() == 2 * pool._batch()
        assert pool.poll(0.0) == []
    finally:
        pool.close()
        pool.close()
    return done


def toy_jobs(count: int, behaviour: dict[str, Any]) -> list[Job]:
    space = ToySpace(behaviour=behaviour)
    networks = [space.candidate([place, 1, 2, 3, 4, 5]) for place in range(count)]
    return [Job(item.digest, space.text(item), (32, 32), 10, 1, 1, 0, ("vkdnw",)) for item in networks]


def test_every_vice_at_once(tmp_path: Path) -> None:
    """One hangs, one raises, one kills its worker always, one kills it once; the rest are scored, each once."""
    plain = toy_jobs(10, {})
    hang, bad, deadly, once = (plain[place].digest for place in (1, 3, 5, 7))
    memory = tmp_path / "memory"
    memory.mkdir()
    jobs = toy_jobs(10, {"hang": [hang], "raise": [bad], "die": [deadly], "die_once": [once], "memory": str(memory)})
    notes: list[str] = []
    done = run_pool(RayPool(PoolConfig(workers=2, deadline_s=1.0, batch=1), evaluator=FAKES, note=notes.append), jobs)
    reasons = {ticket: item.outcome.reason for ticket, item in done.items()}
    assert str(reasons[1]).startswith("deadline: took longer than 1 s")
    assert reasons[3] == "ValueError: this network cannot be scored"
    assert reasons[5] == "quarantined: killed 3 fresh workers while running alone"
    causes = {ticket: item.outcome.cause for ticket, item in done.items() if item.outcome.cause is not None}
    assert causes == {1: Cause.DEADLINE, 3: Cause.ERROR, 5: Cause.QUARANTINED}
    assert done[5].attempts == 5  # two beside others, three alone
    assert done[7].attempts == 2
    scored = set(range(10)) - {1, 3, 5}
    assert {ticket for ticket, reason in reasons.items() if reason is None} == scored
    check_scores(done, scored)
    assert all(item.worker.startswith("scorer-") for item in done.values())
    assert any("died over candidate" in note for note in notes)


BATCHES = pytest.mark.parametrize("batch", [slow(None), slow(1), 3, LARGEST_BATCH])


@BATCHES
def test_who_travels_with_one_that_raises_and_one_that_kills_is_scored_all_the_same(batch: int | None) -> None:
    plain = toy_jobs(10, {})
    vices = {"raise": [plain[3].digest], "die": [plain[5].digest]}
    done = run_pool(RayPool(PoolConfig(workers=2, batch=batch), evaluator=FAKES), toy_jobs(10, vices))
    reasons = {ticket: str(item.outcome.reason).split(":")[0] for ticket, item in done.items() if item.outcome.reason}
    assert reasons == {3: "ValueError", 5: "quarantined"}
    assert done[5].attempts == 5  # two beside others, three alone
    check_scores(done, set(range(10)) - {3, 5})


@BATCHES
def test_who_travels_with_one_that_hangs_is_scored_all_the_same(batch: int | None) -> None:
    """The deadline is each one's own: a batch that misses it is repeated one by one."""
    plain = toy_jobs(10, {})
    done = run_pool(
        RayPool(PoolConfig(workers=2, deadline_s=1.0, batch=batch), evaluator=FAKES), toy_jobs(10, {"hang": [plain[1].digest]})
    )
    reasons = {ticket: str(item.outcome.reason).split(":")[0] for ticket, item in done.items() if item.outcome.reason}
    assert reasons == {1: "deadline"}
    check_scores(done, set(range(10)) - {1})


def check_scores(done: dict[int, Done], tickets: set[int]) -> None:
    for ticket in tickets:
        assert done[ticket].outcome.scores == {"vkdnw": toy_scores([ticket, 1, 2, 3, 4, 5], 0)["vkdnw"]}


@pytest.mark.parametrize(("cause", "fatal"), [("its node has died. Node Id: 1", False), ("its worker process has died.", True)])
def test_a_node_lost_under_starting_workers_is_no_fault_of_theirs(
    cause: str, fatal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many it takes along; workers that die by themselves one after the other are."""
    pool, replaced = RayPool(PoolConfig(workers=9, min_workers=0), evaluator=FAKES), []
    monkeypatch.setattr(pool, "_replace", replaced.append)
    starting = [_Worker(f"scorer-{number}", None) for number in range(9)]
    error = RuntimeError(f"The actor died unexpectedly before finishing this task.\nThe actor is dead because {cause}")
    with pytest.raises(InputError, match="5 workers in a row died") if fatal else nullcontext():
        for worker in starting:
            assert pool._died(None, worker, error) == []
    assert replaced == (starting[:4] if fatal else starting)


def test_a_deadline_is_held_by_the_workers_own_clock() -> None:
    """Which goes on while the machine is suspended."""
    pool = RayPool(PoolConfig(workers=2, deadline_s=2.0), evaluator=FAKES)
    late = Outcome({"vkdnw": 1.0}, None, {"build": 1.0, "score": 1.1})
    assert pool._in_time(Outcome({"vkdnw": 1.0}, None, {"build": 1.0, "score": 1.0}), 0.0).reason is None
    assert str(pool._in_time(late, 0.0).reason).startswith("deadline")
    assert pool._in_time(late, 3600.0).reason is None


def test_cheap_jobs_travel_together_and_dear_ones_alone() -> None:
    pool = RayPool(PoolConfig(workers=2), evaluator=FAKES)
    assert pool._batch() == 1  # nothing is known yet
    for seconds, batch in ((0.3, 1), (0.2, 2), (0.1, 5), (0.01, LARGEST_BATCH), (0.0, LARGEST_BATCH), (3.0, 1)):
        pool._mean_seconds = seconds
        assert pool._batch() == batch
    hasty = RayPool(PoolConfig(workers=2, deadline_s=0.4), evaluator=FAKES)
    hasty._mean_seconds = 0.01
    assert hasty._batch() == LARGEST_BATCH
    hasty._mean_seconds = 0.1
    assert hasty._batch() == 2  # a batch is well within one job's deadline
    done = run_pool(RayPool(PoolConfig(workers=2, batch=4), evaluator=FAKES), toy_jobs(40, {}))
    assert len(done) == 40


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PoolConfig(workers=4, gpus_per_worker=1), "expected room for 4 workers with 1 GPU each; Ray has 0 GPUs, room for 0"),
        (PoolConfig(workers=1, gpus_per_worker=0.25), "expected room for 1 workers with 0.25 GPU each; Ray has 0 GPUs"),
        (PoolConfig(workers=11), "expected a CPU slot for each of 11 workers; Ray has 10"),
    ],
)
def test_more_than_ray_has_is_refused_at_once(config: PoolConfig, message: str) -> None:
    pool = RayPool(config, evaluator=FAKES)
    with pytest.raises(InputError, match=message):
        pool.start()
    pool.close()


@pytest.mark.parametrize(
    ("gpus", "have", "workers", "fits"),
    [
        (0.5, 2, 4, True),
        (0.5, 2, 5, False),
        (0.75, 2, 2, True),
        (0.75, 2, 3, False),
        (2, 5, 2, True),
        (2, 5, 3, False),
        (1 / 3, 1, 3, True),
    ],
)
def test_fractions_of_gpus_are_counted_per_gpu(gpus: float, have: int, workers: int, fits: bool) -> None:
    resources = {"GPU": float(have), "CPU": 99.0}
    for config in (
        PoolConfig(workers=workers, gpus_per_worker=gpus),
        PoolConfig(workers=50, min_workers=workers, gpus_per_worker=gpus),
    ):
        if fits:
            check_resources(config, resources)
        else:
            with pytest.raises(InputError, match=f"Ray has {have} GPUs"):
                check_resources(config, resources)


def test_a_worker_that_cannot_start_says_why() -> None:
    pool = RayPool(PoolConfig(workers=1), evaluator="tests.search.no_such_module")
    with pytest.raises(InputError, match="no_such_module"):
        pool.start()
    pool.close()


def test_no_cluster_at_the_address(python: list[str], tmp_path: Path) -> None:
    """In a process of its own: this one is connected already."""
    options = '{"config": ["pool.kind=ray", "pool.address=127.0.0.1:1"]}'
    done = subprocess.run(
        [*python, "begin", str(tmp_path / "run"), options], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert "pool.address: expected a Ray cluster at '127.0.0.1:1'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_completion_order_is_logged_and_replayed_exactly(tmp_path: Path) -> None:
    """Nobody waits for stragglers; the journal then says what was told when, and a resume repeats just that."""
    folder = tmp_path / "run"
    space = ToySpace(behaviour={"delay": 6})
    run_toy(folder, "pool.kind=ray", "pool.workers=4", "order=completion", space=space)
    told = [record["index"] for record in records(folder) if record["kind"] == "candidate"]
    assert sorted(told) == list(range(300))
    assert told != sorted(told)
    whole = (folder / "journal.jsonl").read_bytes()
    resume_toy(folder, space)  # replays all of it, and finds nothing that differs
    assert (folder / "journal.jsonl").read_bytes() == whole
    kept = b"".join(whole.splitlines(keepends=True)[:250])
    (folder / "journal.jsonl").write_bytes(kept)
    resume_toy(folder, space)
    assert (folder / "journal.jsonl").read_bytes().startswith(kept)
    assert sorted(record["index"] for record in records(folder) if record["kind"] == "candidate") == list(range(300))
