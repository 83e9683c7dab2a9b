"""A phase between its pool and its journal: workers are fed while the lines behind a straggler are written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from search.algorithms import Proposal, make
from search.engine.phase import ASKS_AT_ONCE, LINES_AT_ONCE, Phase
from search.journal.journal import Journal, create, read
from search.journal.records import Header
from search.monitor.progress import State
from search.ranking.objective import Objective
from search.workers.interrupts import Interrupts
from search.workers.job import Job, Outcome
from search.workers.pool import Done
from tests.search.fakes import ToySpace

ONE = Objective("one", (("flops",),))
TOTAL = 1500
SLOW = 1000  # results that come before the first candidate's


class Straggler:
    """A pool whose first job comes back after a thousand others, which come at once; then it can be told to fail.

    Attributes:
        written: lines in the journal at each poll.
    """

    def __init__(self, journal: Path, failure: BaseException | None = None) -> None:
        self.written: list[int] = []
        self._journal = journal
        self._failure = failure
        self._jobs: dict[int, Job] = {}
        self._given = 0

    def start(self) -> dict[str, str]:
        return {}

    def free(self) -> int:
        return 2 - len(self._jobs)

    def workers(self) -> int:
        return 2

    def submit(self, ticket: int, job: Job) -> None:
        self._jobs[ticket] = job

    def poll(self, timeout_s: float) -> list[Done]:
        self.written.append(self._journal.read_bytes().count(b"\n"))
        if self._given > SLOW + 1 and self._failure:
            raise self._failure
        tickets = [ticket for ticket in self._jobs if ticket or self._given >= SLOW]
        self._given += len(tickets)
        return [Done(ticket, self._outcome(self._jobs.pop(ticket)), "one") for ticket in tickets]

    @staticmethod
    def _outcome(job: Job) -> Outcome:
        return Outcome({"flops": float(sum(json.loads(job.architecture)["digits"]))}, None, {"score": 0.0})

    def close(self) -> None:
        pass


class Quiet:
    def update(self, state: State) -> None:
        pass

    def note(self, text: str) -> None:
        raise AssertionError(text)

    def close(self) -> None:
        pass


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with create(tmp_path / "journal.jsonl", Header("")) as made:
        yield made


def run(
    pool: Straggler, journal: Journal, seen: dict[int, list[dict[str, float]]] | None = None, window: int = 2 * SLOW
) -> Phase:
    space = ToySpace()

    def job(proposal: Proposal, results: Iterable[Mapping[str, float]]) -> Job:
        if seen is not None:
            seen[proposal.index] = [dict(scores) for scores in results]
        return Job(proposal.candidate.digest, space.text(proposal.candidate), (8, 8), 10, 2, 1, 0, ("flops",))

    phase = Phase(
        "search",
        make("random", space, ONE, seed=0, window=window),
        total=TOTAL,
        order="ask",
        objective=ONE,
        job=job,
        state=State(),
    )
    phase.run(pool, journal, Quiet(), Interrupts(), {})
    return phase


def test_a_job_is_given_what_its_ask_saw_also_where_no_line_has_it_yet(journal: Journal, tmp_path: Path) -> None:
    seen: dict[int, list[dict[str, float]]] = {}
    window = SLOW + 2
    phase = run(Straggler(tmp_path / "journal.jsonl"), journal, seen, window)
    for index, found in seen.items():
        visible = max(0, index - window + 1)
        assert found == [phase.entries[place].scores for place in reversed(range(visible))], index
    assert len(seen[TOTAL - 1]) == TOTAL - window


def test_workers_do_not_wait_until_all_lines_behind_a_straggler_are_written(journal: Journal, tmp_path: Path) -> None:
    pool = Straggler(tmp_path / "journal.jsonl")
    assert run(pool, journal).complete
    at_once = [after - before for before, after in zip(pool.written, pool.written[1:], strict=False)]
    assert pool.written.count(1) >= SLOW  # nothing but the header until the straggler comes
    assert max(at_once) <= ASKS_AT_ONCE + LINES_AT_ONCE
    written = [record["index"] for record in read(tmp_path / "journal.jsonl") if record["kind"] == "candidate"]
    assert written == list(range(TOTAL))


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), RuntimeError("the cluster is gone")], ids=["interrupt", "failure"])
def test_what_is_known_when_a_phase_ends_early_is_written(failure: BaseException, journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(type(failure)):
        run(Straggler(tmp_path / "journal.jsonl", failure), journal)
    written = [record["index"] for record in read(tmp_path / "journal.jsonl") if record["kind"] == "candidate"]
    assert written == list(range(len(written)))
    assert len(written) > SLOW


def test_nothing_follows_a_line_that_could_not_be_written(tmp_path: Path) -> None:
    """A disk that takes no more after line 500, nor lets the file be cut: what is there stays readable."""

    class Full:
        def __init__(self, file: object) -> None:
            self._file, self.lines = file, 0

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def truncate(self, size: int) -> None:
            raise OSError("read-only")

        def write(self, data: bytes) -> int:
            self.lines += 1
            if self.lines == 500:
                self._file.write(data[: len(data) // 2])  # type: ignore[attr-defined]
                raise OSError(28, "No space left on device")
            return self._file.write(data)  # type: ignore[attr-defined,no-any-return]

    path = tmp_path / "journal.jsonl"
    with create(path, Header("")) as journal:
        journal._file = Full(journal._file)
        with pytest.raises(Exception, match="No space left"):
            run(Straggler(path), journal)
    assert len(list(read(path))) == 500
