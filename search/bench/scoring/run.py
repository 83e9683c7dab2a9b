"""Score a plan's networks on a pool, with a journal: kill it anywhere, and it goes on where it was.

RUN/settings.json    what was asked for
RUN/journal.jsonl    the truth: one record a job, as it finished
    {"kind": "header", "version": 1, "config_digest", "benchmark", "dataset", "seed"}
    {"kind": "score", "index", "network", "scores": {label: number or {"failed": reason}}, "details": {label: {...}},
     "status", "reason", "seconds": {"build", "score", label: CPU-seconds}, "worker", "attempts"}
    {"kind": "revisions", "revisions": {label: number}}    of the scores that follow, see `proxies.REVISIONS`
    {"kind": "again", "labels": [label]}                   what was scored of these before counts no more
RUN/run.json         status, sessions with their environments, counts

A network may have several records, where proxies were added later; each label of a network is scored once (of what was tried
again, the last record counts). What a job asks for
depends on neither the order nor the workers, so a serial run and one on Ray leave the same scores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from search.bench.scoring import own_files
from search.bench.scoring import settings as settings_files
from search.bench.scoring.job import Job
from search.bench.scoring.plan import Network, Plan
from search.bench.scoring.settings import Settings
from search.config.schema import PoolConfig
from search.engine.artifacts import Sessions
from search.engine.phase import POLL_SECONDS
from search.journal import journal as journals
from search.journal.journal import JournalError
from search.monitor.progress import State, View
from search.workers.interrupts import Interrupts
from search.workers.job import Outcome
from search.workers.pool import Done, Pool, SerialPool
from uninas.errors import InputError
from uninas.runtime.files import write_json, write_text

EVALUATOR = "search.bench.scoring.evaluate"
JOURNAL = "journal.jsonl"
STATUS = "run.json"
_FIRST = {"networks.csv", own_files.FILE, settings_files.FILE}  # what is there before a journal; the settings come last

PoolMaker = Callable[[PoolConfig, View, Interrupts], Pool]
Score = float | Mapping[str, str]


def make_pool(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
    """Make the pool that a configuration asks for; it is not started yet."""
    if config.kind == "serial":
        return SerialPool(config.deadline_s, evaluator=EVALUATOR, interruptible=interrupts.interruptible)
    from search.distributed.ray_pool import RayPool

    return RayPool(config, evaluator=EVALUATOR, note=view.note, interruptible=interrupts.interruptible)


@dataclass
class Scores:
    """What the journal holds, by network index.

    Attributes:
        values: label -> number, or {"failed": reason}.
        details: label -> what the proxy found beside its score.
        seconds: label -> CPU-seconds.
        sessions: one row each time a driver scored, with what it ran on.
        revisions: label -> the revision of its proxy that scored it, 0 where the journal says nothing.
    """

    values: dict[int, dict[str, Score]] = field(default_factory=dict)
    details: dict[int, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    seconds: dict[int, dict[str, float]] = field(default_factory=dict)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)

    def read(self, record: Mapping[str, Any]) -> bool:
        """Take in one journal record; gives whether it is of a kind that is known here."""
        if record["kind"] == "score":
            self.add(record)
        elif record["kind"] == "revisions":
            self.revisions.update(record["revisions"])
        elif record["kind"] == "again":
            self.forget(record["labels"])
        else:
            return False
        return True

    def forget(self, labels: Collection[str]) -> None:
        """Drop all that is known of these labels."""
        tables: tuple[dict[int, dict[str, Any]], ...] = (self.values, self.details, self.seconds)
        for known in (known for table in tables for known in table.values()):
            for label in labels:
                known.pop(label, None)
        for label in labels:
            self.revisions.pop(label, None)

    def scored(self) -> set[str]:
        """Give the labels that some network has a score or a failure of."""
        return {label for known in self.values.values() for label in known}

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in one journal record of kind score."""
        index = int(record["index"])
        labels = record["scores"]
        self.values.setdefault(index, {}).update(labels)
        self.details.setdefault(index, {}).update(record["details"])
        spent = {label: seconds for label, seconds in record["seconds"].items() if label in labels}  # not those of stages
        self.seconds.setdefault(index, {}).update(spent)

    def missing(self, network: Network, labels: Sequence[str], *, failed: bool = False) -> list[str]:
        """Give the labels that this network has no record of, and with `failed` those that failed last."""
        known = self.values.get(network.index, {})
        return [label for label in labels if label not in known or (failed and isinstance(known[label], Mapping))]


def begin(
    folder: Path,
    settings: Settings,
    plan: Plan,
    *,
    pool: PoolConfig,
    view: View,
    pool_maker: PoolMaker = make_pool,
    also: Callable[[], None] = lambda: None,
) -> Scores:
    """Score all of a plan in a new run folder; `also` writes what else belongs there from the start.

    Nothing is created before the pool has shown that it can run.

    Raises:
        InputError: the folder exists, the pool cannot be had, the disk is full.
        KeyboardInterrupt: after Ctrl-C or SIGTERM; all workers are gone, and the run can be resumed.
    """
    check_new(folder)
    with Interrupts() as interrupts:
        workers = pool_maker(pool, view, interrupts)
        try:
            environment = workers.start()
            interrupts.install()
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"{folder}: cannot create the run folder: {error.strerror}") from None
            also()
            for file, text in own_files.texts(request.proxy for request in plan.requests.values()).items():
                write_text(folder / file, text)
            settings.write(folder)
            run = _Run(folder, settings, plan, view, interrupts)
            with journals.create(folder / JOURNAL, _header(settings)) as journal:
                return run.finish(journal, lambda: (workers, environment))
        finally:
            workers.close()
            view.close()


def resume(
    folder: Path,
    settings: Settings,
    plan: Plan,
    *,
    pool: PoolConfig,
    view: View,
    pool_maker: PoolMaker = make_pool,
    retry: bool = False,
    again: Collection[str] = (),
) -> Scores:
    """Score what a run has not scored yet; `settings` and `plan` may have grown since, see `Settings.extended`.

    Where nothing is missing, no worker is started. `retry`: what failed is scored again, and the new record counts. `again`: what
    was scored of these labels is dropped, on disk, too: a resume that is stopped goes on with the rest.

    Raises:
        InputError: the journal is another run's or another process is at it, a proxy was redefined since it scored the run and is
            not among `again`, or as `begin`.
        KeyboardInterrupt: as `begin`.
    """
    with Interrupts() as interrupts:
        run = _Run(folder, settings, plan, view, interrupts)
        workers: Pool | None = None

        def start() -> tuple[Pool, dict[str, str]]:
            nonlocal workers
            workers = pool_maker(pool, view, interrupts)
            environment = workers.start()
            interrupts.install()
            return workers, environment

        try:
            with _reopened(folder / JOURNAL, run, settings) as journal:
                settings.write(folder)
                return run.finish(journal, start, retry=retry, again=again)
        finally:
            if workers is not None:
                workers.close()
            view.close()


def _reopened(path: Path, run: _Run, settings: Settings) -> journals.Journal:
    """Open the journal, also where a crash left none, or one without a header."""
    if not path.exists():
        return journals.create(path, _header(settings))
    journal = journals.resume(path, run.read)
    if not run.has_header:
        journal.append({"kind": "header", "version": journals.VERSION, **_header(settings)})
    return journal


def stored(folder: Path, view: View) -> Scores:
    """Read the scores of a run, also while it goes on. Raises JournalError as `search.journal.read`."""
    scores = Scores(sessions=Sessions(folder, view).rows)
    for record in journals.read(folder / JOURNAL):
        scores.read(record)
    return scores


def revisions_of(folder: Path) -> dict[str, int]:
    """Read which revision of its proxy scored each label of a run; none where the run is older than revisions.

    Raises:
        InputError: run.json cannot be read.
    """
    path = folder / STATUS
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")).get("revisions", {}))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: expected the status of a run; {error}") from None


def check_new(folder: Path) -> None:
    """Refuse a folder that exists, unless it holds no more than what a crash at the very start leaves: nothing to resume.

    Raises:
        InputError: it holds more.
    """
    if not folder.exists():
        return
    begun = not folder.is_dir() or (folder / settings_files.FILE).exists()
    if begun or not {path.name.removeprefix(".").removesuffix(".part") for path in folder.iterdir()} <= _FIRST:
        raise InputError(f"{folder}: expected a new run folder; it exists: go on with --resume {folder}, or give another --out")


def _header(settings: Settings) -> dict[str, Any]:
    return {
        "config_digest": settings.digest(),
        "benchmark": settings.benchmark,
        "dataset": settings.dataset,
        "seed": settings.seed,
    }


@final
class _Run:
    """The state of one run in this process."""

    def __init__(self, folder: Path, settings: Settings, plan: Plan, view: View, interrupts: Interrupts) -> None:
        self._folder = folder
        self._settings = settings
        self._plan = plan
        self._view = view
        self._interrupts = interrupts
        self._scores = Scores()
        self._failed = self._left = 0
        self.has_header = False

    def read(self, record: dict[str, Any]) -> None:
        """Take in one journal record of an earlier session."""
        if record["kind"] == "header":
            self.has_header = True
            if record.get("config_digest") != self._settings.digest():
                raise JournalError(
                    f"{self._folder}: expected the settings and the networks that began this run; they were changed since"
                )
        elif not self._scores.read(record):
            raise JournalError(f"{self._folder}: expected journal records that this version knows; got '{record['kind']}'")

    def finish(
        self,
        journal: journals.Journal,
        start: Callable[[], tuple[Pool, dict[str, str]]],
        *,
        retry: bool = False,
        again: Collection[str] = (),
    ) -> Scores:
        """Score what is missing."""
        sessions = Sessions(self._folder, self._view)
        self._redefine(journal, again)
        labels = tuple(self._plan.requests)
        wanted = ((network, self._scores.missing(network, labels, failed=retry)) for network in self._plan.networks)
        work = [(network, missing) for network, missing in wanted if missing]
        self._left = len(work)
        try:
            if work:
                pool, environment = start()
                sessions.begin(environment)
                self._write(sessions, "running", len(work))
                self._score(work, pool, journal)
        except KeyboardInterrupt:
            self._write(sessions, "interrupted", self._left)
            self._view.note(f"stopped: {self._left} networks are left; go on with --resume {self._folder}")
            raise
        self._write(sessions, "complete", 0)
        self._scores.sessions = sessions.rows
        return self._scores

    def _redefine(self, journal: journals.Journal, again: Collection[str]) -> None:
        """Drop what is to be scored anew, and say in the journal which definitions the following scores have."""
        if again:
            journal.append({"kind": "again", "labels": sorted(again)})
            self._scores.forget(again)
        revisions, before = self._plan.revisions(), self._scores.revisions
        stale = sorted(label for label in self._scores.scored() if revisions.get(label, 0) != before.get(label, 0))
        if stale:
            raise InputError(
                f"{self._folder}: expected scores of the proxies as they are defined now; {', '.join(stale)} changed since: "
                f"--again {','.join(stale)} scores them anew"
            )
        changed = {label: revision for label, revision in revisions.items() if revision != before.get(label, 0)}
        if changed:
            journal.append({"kind": "revisions", "revisions": changed})
            before.update(changed)

    def _score(self, work: list[tuple[Network, list[str]]], pool: Pool, journal: journals.Journal) -> None:
        state = State(fixed=True)
        total = len(self._plan.networks)
        state.begin("score", total - len(work), total)
        jobs: Iterator[tuple[int, Job]] = enumerate(self._plan.job(network, labels) for network, labels in work)
        under_way: dict[int, Job] = {}
        while self._left:
            while pool.free() > 0 and (following := next(jobs, None)) is not None:
                ticket, job = following
                under_way[ticket] = job
                pool.submit(ticket, job)
            self._interrupts.check()
            for done in pool.poll(POLL_SECONDS):
                record = score_record(under_way.pop(done.ticket), done)
                journal.append(record)
                self._scores.add(record)
                self._failed += record["status"] != "ok"
                self._left -= 1
            state.done, state.in_flight, state.failed = total - self._left, len(under_way), self._failed
            self._view.update(state)

    def _write(self, sessions: Sessions, status: str, left: int) -> None:
        sessions.note_time()
        data = {
            "format": "uninas-bench-run", "version": 1, "status": status, "benchmark": self._settings.benchmark,
            "dataset": self._settings.dataset, "config_digest": self._settings.digest(),
            "networks": len(self._plan.networks), "left": left, "labels": list(self._plan.requests),
            "revisions": self._plan.revisions(), "sessions": sessions.rows,
        }  # fmt: skip
        write_json(self._folder / STATUS, data)


def score_record(job: Job, done: Done) -> dict[str, Any]:
    """Make the journal's line of a job. A job that failed as a whole has that failure under each label."""
    outcome: Outcome = done.outcome
    scores: dict[str, Score] = dict(outcome.scores)
    if not scores:
        scores = {label: {"failed": outcome.reason or "no score"} for label in job.requests}
    return {
        "kind": "score",
        "index": job.index,
        "network": job.network,
        "scores": scores,
        "details": {label: dict(found) for label, found in outcome.details.items()},
        "status": outcome.status,
        "reason": outcome.reason,
        "seconds": {stage: round(spent, 6) for stage, spent in outcome.seconds.items()},
        "worker": done.worker,
        "attempts": done.attempts,
    }
