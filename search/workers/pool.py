"""Who scores: the contract of a pool, and the pool that is this very process."""

from __future__ import annotations

import importlib
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol, final

from search.workers.job import Cause, Outcome, Work
from search.workers.stopwatch import Stopwatch
from uninas.errors import InputError

EVALUATOR = "search.workers.evaluate"
"""The module that does the work in a worker: prepare(device) -> dict, evaluate(job, device) -> Outcome, and the class `Job`
that reads a job back from what travelled (`Job.from_dict`)."""


DEATHS_ALONE = 3
"""Deaths of a process that scores one job alone after which the job is given up."""

POLL_SECONDS = 0.2  # how long a Ctrl-C may go unnoticed while nothing finishes


@dataclass(frozen=True, slots=True)
class Done:
    """A finished job.

    Attributes:
        ticket: the caller's number of the job.
        outcome: what came out.
        worker: who did it.
        attempts: how many workers it was given to; more than one where workers died.
    """

    ticket: int
    outcome: Outcome
    worker: str
    attempts: int = 1


class Pool(Protocol):
    """Runs jobs, each at least once, and returns each exactly once, in any order.

    A job that fails comes back as a failed outcome. A worker that dies is replaced and its job given to another one.
    """

    def start(self) -> dict[str, str]:
        """Get the workers going; give what they run on (torch build, device, precision).

        Raises:
            InputError: the machine or cluster cannot offer what the configuration asks for.
        """
        ...

    def free(self) -> int:
        """Say how many more jobs can be submitted now."""
        ...

    def workers(self) -> int:
        """Say how many workers there are now, busy or not."""
        ...

    def submit(self, ticket: int, job: Work) -> None:
        """Take a job in. `ticket` is unique among the jobs under way."""
        ...

    def poll(self, timeout_s: float) -> list[Done]:
        """Give what has finished; wait at most `timeout_s` for something to."""
        ...

    def close(self) -> None:
        """Drop all jobs under way and end every worker. May be called at any time, also twice."""
        ...


def scored(
    pool: Pool,
    jobs: Iterable[Work],
    *,
    check: Callable[[], None],
    show: Callable[[int], None],
    in_order: bool = True,
) -> Iterator[Done]:
    """Score jobs, as many at a time as the pool accepts, and give what became of each; a ticket is a job's place among them.

    Args:
        pool: started, with nothing under way.
        jobs: drawn as the pool accepts them.
        check: called before each wait; what it raises, a `KeyboardInterrupt`, ends the scoring.
        show: called with how many jobs are under way, after what finished has been given.
        in_order: whether a job is given only after those before it; else as it finishes.
    """
    following = enumerate(jobs)
    job = next(following, None)
    held: dict[int, Done] = {}
    given = under_way = 0
    while job is not None or under_way:
        while job is not None and pool.free() > 0:
            pool.submit(*job)
            under_way += 1
            job = next(following, None)
        check()
        finished = pool.poll(POLL_SECONDS)
        under_way -= len(finished)
        if not in_order:
            yield from finished
        else:
            held.update((done.ticket, done) for done in finished)
            while given in held:
                yield held.pop(given)
                given += 1
        show(under_way + len(held))


def deadline_outcome(deadline_s: float) -> Outcome:
    """Make the outcome of a candidate that missed its deadline: the one result that depends on the wall clock."""
    reason = f"deadline: took longer than {deadline_s:g} s (wall clock, not reproducible)"
    return Outcome.failed(reason, Cause.DEADLINE, {"score": deadline_s})


@final
class SerialPool:
    """Scores in this process: no start-up time, works under a debugger and a profiler.

    Its deadline is a timer signal, which Python delivers between two of its own steps: it ends anything made of many
    torch calls, but cannot end one single call that hangs, and cannot outlive a crash. The Ray pool kills the worker
    instead; use it where candidates may misbehave.

    Args:
        deadline_s: wall-clock seconds a candidate may take; None for no limit. Needs the main thread.
        evaluator: see `EVALUATOR`.
        interruptible: context in which Ctrl-C may cut the scoring off.
    """

    def __init__(
        self,
        deadline_s: float | None = None,
        *,
        evaluator: str = EVALUATOR,
        interruptible: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._deadline = deadline_s
        self._evaluator = evaluator
        self._interruptible = interruptible
        self._waiting: deque[tuple[int, Work]] = deque()
        self._module: Any = None

    def start(self) -> dict[str, str]:
        """Import the evaluator and set up this process (one torch thread, TF32 off)."""
        self._module = importlib.import_module(self._evaluator)
        environment: dict[str, str] = self._module.prepare("cpu")
        return environment

    def free(self) -> int:
        """One job at a time."""
        return 1 - len(self._waiting)

    def workers(self) -> int:
        """This process."""
        return 1

    def submit(self, ticket: int, job: Work) -> None:
        """Keep the job for the next poll."""
        self._waiting.append((ticket, job))

    def poll(self, timeout_s: float) -> list[Done]:
        """Run one job to its end; a job that runs cannot be waited for less."""
        if not self._waiting:
            return []
        ticket, job = self._waiting.popleft()
        try:
            with self._interruptible(), _alarm(self._deadline):
                outcome: Outcome = self._module.evaluate(job, "cpu")
        except _DeadlineMissedError:
            assert self._deadline is not None
            outcome = deadline_outcome(self._deadline)
        return [Done(ticket, outcome, "serial")]

    def close(self) -> None:
        """Drop what was submitted."""
        self._waiting.clear()


class _DeadlineMissedError(BaseException):
    """Not an Exception: the evaluator turns those into outcomes of its own."""


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Raise when what runs inside has run for so long; while this process is suspended, it does not run."""
    if seconds is None:
        yield
        return
    every = min(1.0, seconds / 20)
    watch = Stopwatch(every)

    def ring(number: int, frame: FrameType | None) -> None:
        if watch.look() >= seconds:
            raise _DeadlineMissedError

    try:
        before = signal.signal(signal.SIGALRM, ring)
    except ValueError:
        raise InputError("pool.deadline_s: expected the main thread for the serial pool's timer; use pool.kind=ray") from None
    signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
