"""A search on virtual time: the real ask, tell, ranks and journal, and scorers that only pretend to work.

The driver's own work takes the processor time that it really takes, which moves the virtual clock on; what a scorer and a call
to it take is drawn or given. So a thousand scorers are simulated on one core, as fast as the driver can serve them.
"""

from __future__ import annotations

import heapq
import math
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.algorithms import AskTell, make
from search.algorithms.candidate import Candidate
from search.engine.gc_freeze import looked_at_once
from search.engine.phase import Phase
from search.journal.journal import create
from search.journal.records import Header
from search.monitor.progress import State
from search.ranking.objective import Objective
from search.workers.interrupts import Interrupts
from search.workers.job import Job, Outcome
from search.workers.pool import Done

PARTS = ("ask", "text", "tell", "journal", "calls", "rest")
"""Where the driver's time goes: proposing; writing the architecture for the worker; telling and learning; appending; handing jobs
to scorers and taking results back; the loop's own bookkeeping and the best so far."""


@dataclass(frozen=True)
class Times:
    """How long scorers take.

    Attributes:
        mean_s: mean of the lognormal of an ordinary candidate, in seconds.
        sigma: standard deviation of its logarithm.
        stragglers, slowdown: share of candidates that take so many times longer than drawn.
        failures: share of candidates that come back as failed, after the same time.
        seed: from which, with the digest, time and scores are drawn.
    """

    mean_s: float = 3.0
    sigma: float = 0.3
    stragglers: float = 0.01
    slowdown: float = 10.0
    failures: float = 0.005
    seed: int = 0

    @property
    def overall_s(self) -> float:
        """The mean over all candidates, stragglers included."""
        return self.mean_s * (1 + self.stragglers * (self.slowdown - 1))

    def draw(self, digest: str, proxies: tuple[str, ...]) -> tuple[float, Outcome]:
        """Give a candidate's time and outcome: a function of the seed and the digest, whoever asks when."""
        rng = random.Random(f"{self.seed}/{digest}")
        seconds = self.mean_s * math.exp(self.sigma * rng.gauss(0.0, 1.0) - self.sigma**2 / 2) if self.sigma else self.mean_s
        if rng.random() < self.stragglers:
            seconds *= self.slowdown
        failed = rng.random() < self.failures
        scores = {} if failed else {name: rng.gauss(0.0, 1.0) for name in proxies}
        return seconds, Outcome(scores, "simulated failure" if failed else None, {"build": 0.0, "score": seconds})

    def longest(self, count: int) -> float:
        """Give the seconds that one in `count` candidates takes at least: what the longest of so many is like."""
        low, high = 0.0, self.mean_s * self.slowdown * math.exp(10 * self.sigma)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if count * self._longer(middle) > 1 else (low, middle)
        return high

    def _longer(self, seconds: float) -> float:
        """Give the share of candidates that take longer than that."""

        def tail(mean: float) -> float:
            if not self.sigma:
                return float(mean > seconds)
            return 0.5 * math.erfc((math.log(seconds / mean) / self.sigma + self.sigma / 2) / math.sqrt(2))

        return (1 - self.stragglers) * tail(self.mean_s) + self.stragglers * tail(self.mean_s * self.slowdown)

    def busy(self, window: int, scorers: int) -> float:
        """Estimate the share of their time that a window keeps scorers busy in ask order, where the driver costs nothing.

        W asks cannot pass in less time than the longest of W candidates takes: an ask behind them waits for it. In that time
        n scorers could have worked n * longest / overall_s candidates off.
        """
        return min(1.0, window * self.overall_s / (scorers * self.longest(window)))

    def window(self, scorers: int) -> int:
        """Give the least window that by that estimate keeps so many scorers busy in ask order."""
        low, high = scorers - 1, scorers  # fewer cannot all be busy
        while self.busy(high, scorers) < 1:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.busy(middle, scorers) < 1 else (low, middle)
        return high


@dataclass(frozen=True)
class Calls:
    """What handing jobs to scorers costs the driver: seconds a call and seconds a job in it; jobs a call carries."""

    call_s: float = 0.00076  # measured with one small job a call (shared by both directions)
    job_s: float = 0.0
    batch: int = 1


class Clock:
    """Virtual seconds, moved on by the driver's work and by waiting.

    Args:
        processor: seconds of processor time so far; `lambda: 0.0` where the driver's work is to cost `constants` alone.
        constants: seconds added each time a part of the driver's work is begun.
    """

    def __init__(self, processor: Callable[[], float] = time.thread_time, constants: Mapping[str, float] | None = None) -> None:
        self.now = 0.0
        self.spent = dict.fromkeys(PARTS, 0.0)
        self._processor = processor
        self._constants = constants or {}
        self._part: str | None = None  # the simulator itself: free
        self._since = processor()

    def within(self, part: str | None, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call something whose time is a part of the driver's work, or the simulator's own (None)."""
        before = self._switch(part)
        if part in self._constants:
            self.charge(part, self._constants[part])
        try:
            return call(*arguments, **named)
        finally:
            self._switch(before)

    def charge(self, part: str, seconds: float) -> None:
        """Move on by work of the driver."""
        self.now += seconds
        self.spent[part] += seconds

    def _switch(self, part: str | None) -> str | None:
        now = self._processor()
        if self._part is not None:
            self.charge(self._part, now - self._since)
        self._since, before, self._part = now, self._part, part
        return before


class VirtualPool:
    """The contract of `search.workers.pool.Pool` on a virtual clock.

    A scorer works on one call at a time; a call carries up to `batch` jobs, and its results come back together. A call is made as
    soon as there are enough jobs for a full one and a scorer without any, else at the next poll with what there is.
    """

    def __init__(self, scorers: int, times: Times, calls: Calls, clock: Clock) -> None:
        self._scorers = scorers
        self._times = times
        self._calls = calls
        self._clock = clock
        self._idle = scorers
        self._queue: deque[tuple[int, Job]] = deque()
        self._under_way: list[tuple[float, int, list[tuple[int, float, Outcome]]]] = []  # by the time of their end
        self._made = 0
        self.jobs = 0
        self.spans: list[tuple[float, float]] = []  # begin and end of each call's work
        self.held: list[tuple[float, float, int]] = []  # begin and end of each wait with so many idle scorers
        self.asks: list[float] = []  # when each job was submitted

    def start(self) -> dict[str, str]:
        return {"device": "virtual"}

    def free(self) -> int:
        return self._scorers * self._calls.batch - self.jobs

    def workers(self) -> int:
        return self._scorers

    def submit(self, ticket: int, job: Job) -> None:
        self._clock.within("calls", job.as_dict)  # as a pool does
        self._clock.within(None, self._take_in, ticket, job)

    def _take_in(self, ticket: int, job: Job) -> None:
        self.asks.append(self._clock.now)
        self.jobs += 1
        self._queue.append((ticket, job))
        if len(self._queue) >= self._calls.batch:
            self._call()

    def _call(self) -> None:
        """Give up to a batch of jobs to an idle scorer, if there are both."""
        if not self._idle or not self._queue:
            return
        batch = [self._queue.popleft() for _ in range(min(self._calls.batch, len(self._queue)))]
        self._clock.charge("calls", self._calls.call_s + self._calls.job_s * len(batch))
        drawn = [(ticket, *self._times.draw(job.digest, job.proxies)) for ticket, job in batch]
        begin = self._clock.now
        end = begin + sum(seconds for _, seconds, _ in drawn)
        self._idle -= 1
        self._made += 1
        self.spans.append((begin, end))
        heapq.heappush(self._under_way, (end, self._made, drawn))

    def poll(self, timeout_s: float) -> list[Done]:
        return self._clock.within(None, self._poll, timeout_s)

    def _poll(self, timeout_s: float) -> list[Done]:
        while self._queue and self._idle:
            self._call()
        if not self._under_way:
            return []
        first = self._under_way[0][0]
        if first > self._clock.now:
            until = min(first, self._clock.now + timeout_s)
            self.held.append((self._clock.now, until, self._idle))
            self._clock.now = until
        done = []
        while self._under_way and self._under_way[0][0] <= self._clock.now:
            _, number, results = heapq.heappop(self._under_way)
            self._idle += 1
            self.jobs -= len(results)
            done += [Done(ticket, outcome, f"scorer-{number % self._scorers}") for ticket, _, outcome in results]
        return done

    def close(self) -> None:
        self._queue.clear()
        self._under_way.clear()


class _Watched:
    """Anything whose calls of some names are parts of the driver's work."""

    def __init__(self, inner: Any, clock: Clock, parts: Mapping[str, str]) -> None:
        self._inner = inner
        for name, part in parts.items():
            setattr(self, name, self._timed(getattr(inner, name), clock, part))

    @staticmethod
    def _timed(call: Callable[..., Any], clock: Clock, part: str) -> Callable[..., Any]:
        return lambda *arguments, **named: clock.within(part, call, *arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Quiet:
    """A view that counts for a progress display."""

    def __init__(self, clock: Clock, progress: Callable[[int], None]) -> None:
        self._clock, self._progress, self._shown = clock, progress, 0

    def update(self, state: State) -> None:
        if state.done - self._shown >= 200:
            self._shown = state.done
            self._clock.within(None, self._progress, state.done)

    def note(self, text: str) -> None:
        raise AssertionError("a phase says nothing by itself")

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Result:
    """What was seen between the end of the warm-up and the last ask.

    Attributes:
        busy: share of the scorers' time in which they worked.
        held: share of their time lost while the driver had nothing to do: it waited for results that the window needs.
        late: the rest of it: the driver was busy with others.
        asks_per_s: asks a virtual second.
        seconds: virtual seconds of the measurement.
        driver: share of the driver's time by part; what is missing from 1 is waiting.
        each_ms: milliseconds of the driver for a candidate, by part.
        tickets: the tickets of all candidates, in the order of the journal.
    """

    busy: float
    held: float
    late: float
    asks_per_s: float
    seconds: float
    driver: Mapping[str, float]
    each_ms: Mapping[str, float]
    tickets: list[int] = field(repr=False)


def simulate(
    space: Any,
    objective: Objective,
    *,
    algorithm: str,
    options: Mapping[str, int] | None = None,
    scorers: int,
    window: int,
    order: str,
    times: Times,
    calls: Calls,
    evaluations: int,
    warm: int,
    clock: Clock | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Result:
    """Run a whole phase of `evaluations` candidates and measure from ask `warm` to the last ask."""
    clock = clock or Clock()
    pool = VirtualPool(scorers, times, calls, clock)
    engine: AskTell = make(algorithm, space, objective, seed=times.seed, window=window, order=order, options=options or {})
    marks: list[tuple[float, dict[str, float]]] = []

    def job(proposal: Any, _: Any) -> Job:
        if proposal.index in (warm, evaluations - 1):
            marks.append((clock.now, dict(clock.spent)))
        candidate: Candidate = proposal.candidate
        text = clock.within("text", space.text, candidate)
        return Job(candidate.digest, text, (224, 224), 1000, 32, 1, times.seed, objective.proxies)

    phase = Phase(
        "search",
        _Watched(engine, clock, {"ask": "ask", "tell": "tell"}),
        total=evaluations,
        order=order,
        objective=objective,
        job=job,
        state=State(),
    )
    with (
        looked_at_once(),
        tempfile.TemporaryDirectory() as folder,
        create(Path(folder) / "journal.jsonl", Header("", {"seed": times.seed})) as journal,
    ):
        written = _Watched(journal, clock, {"append": "journal"})
        clock.within("rest", phase.run, pool, written, _Quiet(clock, progress), Interrupts(), {})
    return _measured(pool, marks, scorers, evaluations - 1 - warm, [entry.index for entry in phase.entries])


def _measured(
    pool: VirtualPool, marks: list[tuple[float, dict[str, float]]], scorers: int, asks: int, tickets: list[int]
) -> Result:
    (begin, before), (end, after) = marks
    whole = scorers * (end - begin)
    busy = sum(max(0.0, min(end, b) - max(begin, a)) for a, b in pool.spans) / whole
    held = sum(max(0.0, min(end, b) - max(begin, a)) * idle for a, b, idle in pool.held) / whole
    spent = {part: after[part] - before[part] for part in PARTS}
    return Result(
        busy=busy,
        held=held,
        late=1 - busy - held,
        asks_per_s=asks / (end - begin),
        seconds=end - begin,
        driver={part: seconds / (end - begin) for part, seconds in spent.items()},
        each_ms={part: 1000 * seconds / asks for part, seconds in spent.items()},
        tickets=tickets,
    )


class Numbers:
    """A space that costs nothing: its candidates are numbers."""

    def starts(self) -> list[Candidate]:
        return [self._at(0)]

    def _at(self, number: int) -> Candidate:
        return Candidate(f"{number:064x}", number)

    def mutate(self, parent: Candidate, rng: random.Random) -> Candidate:
        return self._at(rng.getrandbits(62))

    def sample(self, rng: random.Random) -> Candidate:
        return self._at(rng.getrandbits(62))

    def text(self, candidate: Candidate) -> str:
        return ""
