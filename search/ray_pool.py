"""The Ray pool: long-lived actors that score. The only file of `search` that knows Ray.

Ray restarts and retries nothing here (with its own retries, a killed task was seen to run twice without notice): this
pool replaces dead actors and repeats their jobs, and knows how often. One job at a time is with an actor, so a death
has one suspect. A job whose workers died twice runs alone from then on, on a fresh worker with nothing else under way,
so that a neighbour's memory cannot be to blame; after three deaths alone it comes back as failed ("quarantined").
"""

from __future__ import annotations

import importlib
import itertools
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, final

from search import guardian, interrupts
from search.job import Outcome, Work
from search.pool import EVALUATOR, Done, deadline_outcome
from search.schema import PoolConfig
from uninas.errors import InputError

DEATHS_TOGETHER = 2  # deaths after which a job is run alone
DEATHS_ALONE = 3  # deaths of fresh workers running it alone after which a job is given up
_FAILED_STARTS = 5  # workers in a row that die before they are ready: something is wrong with all of them
_CONNECT_SECONDS = 5.0  # patience with the address of a cluster
_OBJECT_STORE_BYTES = 100 << 20  # jobs and outcomes are a few kilobytes; Ray's default takes 30% of the memory


class _Scorer:
    """The actor. Holds the evaluator's module and the device; one job at a time."""

    def __init__(self, name: str, evaluator: str) -> None:
        self._name = name
        self._evaluator = evaluator
        self._module: Any = None
        self._device = "cpu"

    def __repr__(self) -> str:
        return self._name

    def prepare(self) -> dict[str, str]:
        # imported here: what fails here comes back as it is, from the constructor it would be the actor's death
        self._module = importlib.import_module(self._evaluator)
        self._device = _device()
        environment: dict[str, str] = self._module.prepare(self._device)
        return environment

    def evaluate(self, job: dict[str, Any]) -> dict[str, Any]:
        outcome: Outcome = self._module.evaluate(self._module.Job.from_dict(job), self._device)
        return outcome.as_dict()


def _device() -> str:
    """Name the torch device of this actor: Ray's assignment, never what merely happens to be visible."""
    import ray

    assigned = [str(number) for number in ray.get_gpu_ids()]
    if not assigned:
        return "cpu"
    visible = [item.strip() for item in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if item.strip()]
    return f"cuda:{visible.index(assigned[0]) if assigned[0] in visible else 0}"


@dataclass
class _Worker:
    name: str
    handle: Any
    reference: Any  # of prepare() while it starts, of evaluate() while it works
    ready: bool = False
    fresh: bool = True  # no job yet
    ticket: int | None = None
    since: float = 0.0


@dataclass
class _Work:
    job: Work
    attempts: int = 0
    deaths: int = 0
    deaths_alone: int = 0


@final
class RayPool:
    """Actors `scorer-<n>`, one per slot.

    Args:
        config: workers, GPUs of each, deadline, address.
        evaluator: see `search.pool.EVALUATOR`; importable on every node.
        note: told what a person may want to know (Ray is starting, a worker died).
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
        self._numbers = itertools.count()
        self._workers: list[_Worker] = []
        self._work: dict[int, _Work] = {}
        self._waiting: deque[int] = deque()
        self._suspects: deque[int] = deque()
        self._environment: dict[str, str] = {}
        self._failed_starts = 0
        self._guardian: subprocess.Popen[bytes] | None = None
        self._connected_here = False

    def start(self) -> dict[str, str]:
        """Start or join Ray, check that it has what is asked for, and wait for the first worker.

        Where this process is connected to Ray already, that connection is used and left open by `close`.

        Raises:
            InputError: too few CPUs or GPUs, no cluster at the address, or workers that cannot start.
        """
        ray: Any = importlib.import_module("ray")  # untyped in part
        with self._interruptible():
            if not ray.is_initialized():
                self._connect(ray)
            self._check_resources(ray.cluster_resources())
            self._workers = [self._spawn() for _ in range(self._config.workers)]
            while not self._environment:
                self._collect(1.0)
        return {**self._environment, "ray": ray.__version__}

    def _connect(self, ray: Any) -> None:
        # every variable is a default: what the user has set stays
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's next default; silences its warning
        address = self._config.address or _submitted_address()
        self._connected_here = True
        if address is not None:
            self._note(f"joining Ray at {address}")
            _refuse_silence(address)
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise InputError(f"pool.address: expected a Ray cluster at '{address}'; {_first_line(error)}") from None
            return
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else Ray may write a token into the user's home
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if self._config.workers > cores and not self._config.gpus_per_worker:
            self._note(f"{self._config.workers} workers share {cores} processor cores: more workers than cores gain nothing")
        os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default: starved by anything else on the machine
        self._note("starting Ray on this machine (about ten seconds)")
        folder = tempfile.mkdtemp(prefix="uninas-")  # short: Ray puts sockets into it, whose paths have a limit
        self._guardian = subprocess.Popen(
            [sys.executable, guardian.__file__, folder, str(os.getpid())], stdin=subprocess.PIPE, start_new_session=True
        )
        interrupts.SPARED.add(self._guardian.pid)
        ray.init(
            address="local",
            num_cpus=max(cores, self._config.workers),
            include_dashboard=self._config.dashboard,
            dashboard_host="127.0.0.1",
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",  # Ray then listens on loopback only
        )

    def _check_resources(self, resources: dict[str, float]) -> None:
        """Refuse what Ray would wait for in silence for ever."""
        workers, gpus = self._config.workers, self._config.gpus_per_worker
        if gpus > 0:
            have = int(resources.get("GPU", 0))
            slots = have * math.floor(1 / gpus + 1e-9) if gpus <= 1 else have // int(gpus)
            if slots < workers:
                raise InputError(
                    f"pool: expected room for {workers} workers with {gpus:g} GPU each; Ray has {have} GPUs, room for {slots}"
                )
        if (cpus := int(resources.get("CPU", 0))) < workers:
            raise InputError(f"pool: expected a CPU slot for each of {workers} workers; Ray has {cpus}")

    def _spawn(self) -> _Worker:
        import ray

        name = f"scorer-{next(self._numbers)}"
        options = {"num_cpus": 1, "num_gpus": self._config.gpus_per_worker, "max_restarts": 0, "max_task_retries": 0}
        actor: Any = ray.remote(_Scorer)
        handle = actor.options(name=name, **options).remote(name, self._evaluator)
        return _Worker(name, handle, handle.prepare.remote())

    def free(self) -> int:
        """One job a worker."""
        return len(self._workers) - len(self._work)

    def submit(self, ticket: int, job: Work) -> None:
        """Queue a job; it starts at the next poll, as soon as a worker is idle."""
        self._work[ticket] = _Work(job)
        self._waiting.append(ticket)
        self._dispatch()

    def poll(self, timeout_s: float) -> list[Done]:
        """Give what has finished, failed, missed its deadline or been given up."""
        self._dispatch()
        done = self._collect(timeout_s)
        self._dispatch()
        return done

    def _dispatch(self) -> None:
        """Give waiting jobs to idle workers; a suspect only when nothing else is under way, and then it alone."""
        busy = [worker for worker in self._workers if worker.ticket is not None]
        if self._suspects:
            if busy:
                return
            worker = next((worker for worker in self._workers if worker.ready and worker.fresh), None)
            if worker is not None:
                self._give(worker, self._suspects[0])
            elif all(worker.ready for worker in self._workers):
                self._replace(self._workers[0])
            return
        for worker in self._workers:
            if self._waiting and worker.ready and worker.ticket is None:
                self._give(worker, self._waiting.popleft())

    def _give(self, worker: _Worker, ticket: int) -> None:
        work = self._work[ticket]
        work.attempts += 1
        worker.ticket, worker.fresh, worker.since = ticket, False, time.monotonic()
        worker.reference = worker.handle.evaluate.remote(work.job.as_dict())

    def _replace(self, worker: _Worker) -> None:
        import ray

        ray.kill(worker.handle, no_restart=True)
        self._workers[self._workers.index(worker)] = self._spawn()

    def _collect(self, timeout_s: float) -> list[Done]:
        import ray

        under_way = {worker.reference: worker for worker in self._workers if worker.ticket is not None or not worker.ready}
        if not under_way:
            return []
        ray.wait(list(under_way), num_returns=1, timeout=self._patience(timeout_s))
        finished, _ = ray.wait(list(under_way), num_returns=len(under_way), timeout=0)
        done = [self._settle(ray, under_way[reference]) for reference in finished]
        done += [self._missed(worker) for worker in self._workers if self._overdue(worker)]
        return [item for item in done if item is not None]

    def _patience(self, timeout_s: float) -> float:
        """Wait no longer than until the next deadline."""
        if self._config.deadline_s is None:
            return timeout_s
        ends = [worker.since + self._config.deadline_s for worker in self._workers if worker.ticket is not None]
        return max(0.0, min([timeout_s, *(end - time.monotonic() for end in ends)]))

    def _settle(self, ray: Any, worker: _Worker) -> Done | None:
        """Read a finished reference: the outcome, the readiness of a worker, or its death."""
        try:
            result = ray.get(worker.reference)
        except ray.exceptions.RayTaskError as error:
            if worker.ticket is None:
                raise InputError(f"worker {worker.name}: cannot start: {_first_line(error.cause or error)}") from None
            result = Outcome({}, f"{type(error.cause).__name__}: {_first_line(error.cause or error)}").as_dict()
        except ray.exceptions.RayError as error:
            return self._died(worker, error)
        if worker.ticket is None:
            worker.ready, self._environment, self._failed_starts = True, result, 0
            return None
        ticket, worker.ticket = worker.ticket, None
        return self._done(ticket, Outcome(**result), worker.name)

    def _done(self, ticket: int, outcome: Outcome, worker: str) -> Done:
        if ticket in self._suspects:
            self._suspects.remove(ticket)
        return Done(ticket, outcome, worker, self._work.pop(ticket).attempts)

    def _died(self, worker: _Worker, error: Exception) -> Done | None:
        ticket = worker.ticket
        if ticket is None:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise InputError(f"pool: {_FAILED_STARTS} workers in a row died before they were ready: {_first_line(error)}")
            self._note(f"{worker.name} died while starting; replaced")
            self._replace(worker)
            return None
        self._replace(worker)
        work = self._work[ticket]
        self._note(f"{worker.name} died over candidate {work.job.label}; replaced, the candidate is repeated")
        if ticket in self._suspects:
            work.deaths_alone += 1
            if work.deaths_alone == DEATHS_ALONE:
                reason = f"quarantined: killed {DEATHS_ALONE} fresh workers while running alone"
                return self._done(ticket, Outcome({}, reason), worker.name)
        elif (deaths := work.deaths + 1) < DEATHS_TOGETHER:
            work.deaths = deaths
            self._waiting.appendleft(ticket)
        else:
            self._suspects.append(ticket)
        return None

    def _overdue(self, worker: _Worker) -> bool:
        limit = self._config.deadline_s
        return limit is not None and worker.ticket is not None and time.monotonic() - worker.since > limit

    def _missed(self, worker: _Worker) -> Done:
        assert worker.ticket is not None
        assert self._config.deadline_s is not None
        self._replace(worker)  # a synchronous method cannot be cancelled, only its process can be ended
        return self._done(worker.ticket, deadline_outcome(self._config.deadline_s), worker.name)

    def close(self) -> None:
        """Kill the actors; end Ray, with every process of it, where `start` began it, or leave the joined cluster."""
        import ray

        if ray.is_initialized():
            for worker in self._workers:
                ray.kill(worker.handle, no_restart=True)
            if self._connected_here:
                ray.shutdown()
        self._workers, self._work, self._connected_here = [], {}, False
        self._waiting.clear()
        self._suspects.clear()
        if self._guardian is not None:
            assert self._guardian.stdin is not None
            self._guardian.stdin.close()
            self._guardian.wait()
            self._guardian = None


def _submitted_address() -> str | None:
    """Give the cluster a submitted Ray job belongs to; a stray RAY_ADDRESS in a shell is no wish to join it."""
    return os.environ.get("RAY_ADDRESS") if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else None


def _refuse_silence(address: str) -> None:
    """Try to reach HOST:PORT for a few seconds; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return  # "auto" and the like, which Ray finds or misses at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"pool.address: expected a Ray cluster at '{address}'; {error}") from None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
