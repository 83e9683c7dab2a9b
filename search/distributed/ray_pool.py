"""The Ray pool: long-lived actors that score, on however many nodes there are.

Ray restarts and retries nothing here (with its own retries, a killed task was seen to run twice without notice): this
pool replaces dead actors and repeats their jobs, and knows how often. A job whose workers died twice runs alone from
then on, on a fresh worker with nothing else under way, so that a neighbour's memory cannot be to blame; after three
deaths alone it comes back as failed ("quarantined"). A worker that was lost with its node is no sign against its job.

Actors for which the cluster has no room wait in Ray's queue: they are the demand that makes a cluster grow, and the
place of a lost node is taken by the next one. Cheap jobs travel several at a time; where such a batch ends badly, its
jobs are repeated one by one.

Ray's own processes can be killed, too, as by the system when the memory is full. A Ray that this pool started is then started
again, and what was under way is repeated.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, final

from search.config.schema import PoolConfig
from search.distributed.ray_cluster import RayCluster, first_line
from search.distributed.scorer import Scorer
from search.workers import own_proxies, real_batches
from search.workers.job import Cause, Outcome, Work
from search.workers.pool import DEATHS_ALONE, EVALUATOR, Done, deadline_outcome
from search.workers.stopwatch import Stopwatch
from uninas.errors import InputError

DEATHS_TOGETHER = 2  # deaths after which a job is run alone
BATCH_SECONDS = 0.5  # jobs that take less than half of it travel together, as many as make about so much work
LARGEST_BATCH = 16
DEATH_SECONDS = 5.0  # until a dead worker or a killed node is noticed: so long a deadline's verdict waits, lest it blame the job
_NODE_DIED = "its node has died"  # Ray's words for it; it has no other sign for an actor that was still starting
_SILENT_SECONDS = 60.0  # of waiting for the first worker, between two words about it
_RESTARTS = 3  # of an own Ray in a row, with nothing scored between
_FAILED_STARTS = 5  # workers in a row that die before they are ready: something is wrong with all of them


@dataclass(eq=False)
class _Worker:
    name: str
    handle: Any
    node: str | None = None  # Ray's id of it; None until the worker is ready
    fresh: bool = True  # no job yet
    tickets: list[int] = field(default_factory=list)
    since: float = 0.0  # of the stopwatch
    suspended: float = 0.0  # seconds until then


@dataclass
class _Work:
    job: Work
    attempts: int = 0
    deaths: int = 0
    deaths_alone: int = 0
    single: bool = False  # it was in a batch that ended badly


@final
class RayPool:
    """Actors `scorer-<n>`, one per slot.

    Args:
        config: workers, GPUs of each, deadline, batch, address.
        evaluator: see `search.workers.pool.EVALUATOR`; importable on every node.
        note: called with what a person may want to know (Ray is starting, a worker died).
        interruptible: context in which Ctrl-C may cut Ray's slow start off.
    """

    def __init__(
        self,
        config: PoolConfig,
        *,
        evaluator: str = EVALUATOR,
        note: Callable[[str], None] = lambda text: None,
        interruptible: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._config = config
        self._evaluator = evaluator
        self._note = note
        self._interruptible = interruptible
        self._cluster = RayCluster(config, note=note)
        self._numbers = itertools.count()
        self._workers: set[_Worker] = set()
        self._under_way: dict[Any, _Worker] = {}  # Ray's reference of what a worker does -> the worker
        self._idle: deque[_Worker] = deque()
        self._batches: Any = None  # Ray's reference of the real batches that workers hold; an empty tuple for none
        self._ready = 0
        self._refreshing = False  # a worker was replaced so that a suspect finds a fresh one
        self._work: dict[int, _Work] = {}
        self._waiting: deque[int] = deque()
        self._suspects: deque[int] = deque()
        self._environment: dict[str, str] = {}  # of the first worker
        self._told: set[str] = set()  # values of others that differ
        self._failed_starts = 0
        self._restarts = 0
        self._mean_seconds: float | None = None  # of a job, recent ones weighing more
        self._watch = Stopwatch()  # of the time that counts for deadlines: the machine may be suspended

    def start(self) -> dict[str, str]:
        """Start or join Ray, check that it has what is asked for, and wait for the first worker.

        Raises:
            InputError: too few CPUs or GPUs, no cluster at the address, or workers that cannot start.
        """
        with self._interruptible():
            version = self._connect()
            begun = time.monotonic()
            while not self._environment:
                self._collect(1.0)
                if time.monotonic() - begun > _SILENT_SECONDS:
                    self._note("waiting for the first worker: the cluster has no room yet, or is starting")
                    begun = time.monotonic()
        return {**self._environment, "ray": version}

    def _connect(self) -> str:
        version = self._cluster.connect()  # before Ray is imported: it reads then where it may listen
        self._batches = self._shipped()
        for _ in range(self._config.workers):
            self._spawn()
        return version

    def _restart(self, part: str) -> None:
        """Start an own Ray again, of which a part has ended, and repeat what was under way; nobody is to blame for it."""
        self._restarts += 1
        if self._restarts > _RESTARTS:
            raise InputError(
                f"pool: expected Ray to live; its {part} ended, after {_RESTARTS} new starts with nothing scored between: "
                "is the memory full?"
            )
        self._note(f"Ray's {part} has ended; starting Ray again, and what was under way is repeated")
        tickets = [ticket for worker in self._workers for ticket in worker.tickets]
        for kept in (self._workers, self._under_way, self._idle):
            kept.clear()
        self._ready, self._refreshing = 0, False
        self._repeat(tickets)
        with self._interruptible():
            self._cluster.close()
            self._connect()

    def _shipped(self) -> Any:
        """Give what a worker is sent of the real batches: a reference, which each node fetches once, or that there are none."""
        import ray

        held = real_batches.held()
        return ray.put(held) if held else held

    def _spawn(self) -> None:
        import ray

        name = f"scorer-{next(self._numbers)}"
        options = {"num_cpus": 1, "num_gpus": self._config.gpus_per_worker, "max_restarts": 0, "max_task_retries": 0}
        actor: Any = ray.remote(Scorer)
        given = (name, self._evaluator, own_proxies.loaded(), self._batches)
        worker = _Worker(name, actor.options(name=name, **options).remote(*given))
        self._workers.add(worker)
        self._under_way[worker.handle.prepare.remote()] = worker

    def free(self) -> int:
        """Say for how many more jobs there is work: a batch a worker, of those that are ready or surely will be."""
        sure = self._config.workers if self._config.min_workers is None else self._config.min_workers
        workers = max(self._ready, sure)
        return workers * self._batch() - len(self._work)

    def workers(self) -> int:
        """Those that are ready: fewer than asked for where the cluster has no room, or lost a node."""
        return self._ready

    def _batch(self) -> int:
        """So many jobs go to a worker at a time."""
        if self._config.batch is not None:
            return self._config.batch
        if self._mean_seconds is None:
            return 1
        patience = BATCH_SECONDS if self._config.deadline_s is None else min(BATCH_SECONDS, self._config.deadline_s / 2)
        return max(1, min(LARGEST_BATCH, int(patience / max(self._mean_seconds, 1e-3))))

    def submit(self, ticket: int, job: Work) -> None:
        """Queue a job; it starts at once where a worker is idle."""
        self._work[ticket] = _Work(job)
        self._waiting.append(ticket)
        self._dispatch()

    def poll(self, timeout_s: float) -> list[Done]:
        """Give what has finished, failed, missed its deadline or been given up."""
        if (part := self._cluster.ended()) is not None:
            self._restart(part)
        self._dispatch()
        done = self._collect(timeout_s)
        self._dispatch()
        return done

    def _dispatch(self) -> None:
        """Give waiting jobs to idle workers; a suspect only when nothing else is under way, and then it alone."""
        if self._suspects:
            if len(self._idle) == self._ready:
                self._dispatch_suspect()
            return
        while self._waiting and self._idle:
            self._give(self._idle.popleft(), self._next_batch())

    def _dispatch_suspect(self) -> None:
        worker = next((worker for worker in self._idle if worker.fresh), None)
        if worker is not None:
            self._idle.remove(worker)
            self._give(worker, [self._suspects[0]])
        elif self._idle and not self._refreshing:
            self._refreshing = True  # once: who is ready next is fresh, be it that one or one that had no room before
            self._replace(self._idle[0])

    def _next_batch(self) -> list[int]:
        """Take the next jobs, an even share for each worker at the most."""
        share = -(-len(self._waiting) // max(1, self._ready))
        tickets = [self._waiting.popleft()]
        while len(tickets) < min(self._batch(), share) and not any(
            self._work[ticket].single for ticket in (tickets[0], self._waiting[0])
        ):
            tickets.append(self._waiting.popleft())
        return tickets

    def _give(self, worker: _Worker, tickets: list[int]) -> None:
        for ticket in tickets:
            self._work[ticket].attempts += 1
        worker.tickets, worker.fresh = tickets, False
        worker.since, worker.suspended = self._watch.look(), self._watch.suspended
        reference = worker.handle.evaluate.remote([self._work[ticket].job.as_dict() for ticket in tickets])
        self._under_way[reference] = worker

    def _replace(self, worker: _Worker) -> None:
        import ray

        ray.kill(worker.handle, no_restart=True)
        self._drop(worker)
        self._spawn()

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._under_way = {reference: other for reference, other in self._under_way.items() if other is not worker}
        if worker.node is not None:
            self._ready -= 1
        if worker in self._idle:
            self._idle.remove(worker)

    def _collect(self, timeout_s: float) -> list[Done]:
        import ray

        if not self._under_way:
            return []
        references = list(self._under_way)
        patience = self._patience(timeout_s)
        ray.wait(references, num_returns=1, timeout=patience)
        self._watch.look(patience)
        if (part := self._cluster.ended()) is not None:
            self._restart(part)
            return []
        finished, _ = ray.wait(references, num_returns=len(references), timeout=0)
        done = [item for reference in finished for item in self._settle(ray, reference)]
        for worker in [worker for worker in self._workers if self._overdue(worker)]:
            done += self._missed(worker)
        return done

    def _patience(self, timeout_s: float) -> float:
        """Wait no longer than until the next deadline."""
        if self._config.deadline_s is None:
            return timeout_s
        now = self._watch.look()
        begun = min((worker.since for worker in self._workers if worker.tickets), default=now)
        return max(0.0, min(timeout_s, begun + self._config.deadline_s + DEATH_SECONDS - now))

    def _settle(self, ray: Any, reference: Any) -> list[Done]:
        """Read a finished reference: outcomes, the readiness of a worker, or its death."""
        worker = self._under_way.pop(reference)
        try:
            result = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if not worker.tickets:
                raise InputError(f"worker {worker.name}: cannot start: {first_line(error.cause or error)}") from None
            return self._died(ray, worker, error)  # evaluate catches what a job raises: this ended the worker's own work
        except ray.exceptions.RayError as error:
            return self._died(ray, worker, error)
        tickets, worker.tickets = worker.tickets, []
        self._idle.append(worker)
        if not tickets:
            worker.node, environment = result
            self._ready, self._failed_starts, self._refreshing = self._ready + 1, 0, False
            self._compare(worker, environment)
            return []
        self._restarts = 0
        self._note_seconds((self._watch.look() - worker.since) / len(tickets))
        outcomes = [self._in_time(Outcome.from_dict(data), self._watch.suspended - worker.suspended) for data in result]
        return [self._done(ticket, outcome, worker.name) for ticket, outcome in zip(tickets, outcomes, strict=True)]

    def _in_time(self, outcome: Outcome, suspended: float) -> Outcome:
        """Hold an outcome against the deadline by the worker's own clock, which goes on while the machine is suspended."""
        limit = self._config.deadline_s
        spent = sum(outcome.seconds.get(stage, 0.0) for stage in ("build", "latency", "score"))
        return outcome if limit is None or spent - suspended <= limit else deadline_outcome(limit)

    def _compare(self, worker: _Worker, environment: dict[str, str]) -> None:
        """Warn where workers run on what makes their scores differ."""
        self._environment = self._environment or environment
        for name, value in environment.items():
            if value != self._environment.get(name) and value not in self._told:
                self._told.add(value)
                self._note(
                    f"warning: {name} of {worker.name} is '{value}', of others '{self._environment.get(name)}': scores may differ"
                )

    def _note_seconds(self, spent: float) -> None:
        self._mean_seconds = spent if self._mean_seconds is None else 0.9 * self._mean_seconds + 0.1 * spent

    def _done(self, ticket: int, outcome: Outcome, worker: str) -> Done:
        if ticket in self._suspects:
            self._suspects.remove(ticket)
        return Done(ticket, outcome, worker, self._work.pop(ticket).attempts)

    def _died(self, ray: Any, worker: _Worker, error: Exception) -> list[Done]:
        lost = _NODE_DIED in str(error)
        if worker.node is None:
            self._failed_starts += not lost
            if self._failed_starts >= _FAILED_STARTS:
                raise InputError(f"pool: {_FAILED_STARTS} workers in a row died before they were ready: {first_line(error)}")
            self._note(f"{worker.name} {'was lost with its node' if lost else 'died'} while starting; replaced")
            self._replace(worker)
            return []
        lost = lost or worker.node not in {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        tickets = worker.tickets
        self._replace(worker)
        cause = "was lost with its node" if lost else "died"
        over = "" if not tickets else f" over candidate {', '.join(self._work[ticket].job.label for ticket in tickets)}"
        self._note(f"{worker.name} {cause}{over}; replaced{', repeated' if tickets else ''}")
        if lost:
            self._repeat(tickets)
            return []
        return [done for ticket in tickets if (done := self._blame(ticket, worker, len(tickets) > 1)) is not None]

    def _repeat(self, tickets: list[int], *, single: bool = False) -> None:
        """Put jobs to the front again; a suspect stands in its own line still."""
        for ticket in reversed(tickets):
            self._work[ticket].single |= single
            if ticket not in self._suspects:
                self._waiting.appendleft(ticket)

    def _blame(self, ticket: int, worker: _Worker, shared: bool) -> Done | None:
        """Count a death against a job, and repeat it: first as usual, then alone, and in the end not at all."""
        work = self._work[ticket]
        if ticket in self._suspects:
            work.deaths_alone += 1
            if work.deaths_alone == DEATHS_ALONE:
                reason = f"quarantined: killed {DEATHS_ALONE} fresh workers while running alone"
                return self._done(ticket, Outcome.failed(reason, Cause.QUARANTINED), worker.name)
            return None
        work.deaths += 1
        if work.deaths < DEATHS_TOGETHER:
            self._repeat([ticket], single=shared)
        else:
            self._suspects.append(ticket)
        return None

    def _overdue(self, worker: _Worker) -> bool:
        limit = self._config.deadline_s
        return limit is not None and bool(worker.tickets) and self._watch.look() - worker.since > limit + DEATH_SECONDS

    def _missed(self, worker: _Worker) -> list[Done]:
        assert self._config.deadline_s is not None
        tickets = worker.tickets
        self._replace(worker)  # a synchronous method cannot be cancelled, only its process can be ended
        if len(tickets) > 1:
            self._repeat(tickets, single=True)  # the deadline is each one's own
            return []
        return [self._done(tickets[0], deadline_outcome(self._config.deadline_s), worker.name)]

    def close(self) -> None:
        """Kill the actors; end Ray, with every process of it, where `start` began it, or leave the joined cluster."""
        import ray

        if ray.is_initialized() and self._cluster.ended() is None:
            for worker in self._workers:
                ray.kill(worker.handle, no_restart=True)
        self._cluster.close()
        for kept in (self._workers, self._work, self._under_way, self._waiting, self._suspects, self._idle):
            kept.clear()
        self._ready = 0
