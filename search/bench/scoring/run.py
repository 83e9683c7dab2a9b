"""Score a plan's networks on a pool, with a journal: kill it anywhere, and it continues where it was.

RUN/settings.json    what was asked for
RUN/journal.jsonl    the truth: one record per job, as it finished, see `search.bench.scoring.records`
RUN/run.json         status, sessions with their environments, counts

A network may have several records, where proxies were added later; each label of a network is scored once (of what was tried
again, the last record counts). What a job asks for depends on neither the order nor the workers, so a serial run and one on Ray
leave the same scores.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, final

from search.bench.scoring import own_files
from search.bench.scoring import settings as settings_files
from search.bench.scoring.job import Job
from search.bench.scoring.plan import Network, ScoringPlan
from search.bench.scoring.records import KINDS, Again, NetworkScore, Revisions
from search.bench.scoring.second_seed import first, second
from search.bench.scoring.settings import Settings
from search.config.schema import PoolConfig
from search.config.spectra import ranks
from search.engine import session
from search.engine.scored_by import ScoredBy
from search.engine.session import JOURNAL, STATUS, PoolMaker, Session, previous
from search.engine.session import make_pool as make_any_pool
from search.journal import journal as journals
from search.journal.journal import Journal
from search.journal.records import Header, Kinds, Score, Unknown
from search.monitor.progress import State, View
from search.workers.interrupts import Interrupts
from search.workers.pool import Pool, scored
from search.workers.scoring_code import ScoringCode
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.writing import write_text

EVALUATOR = "search.bench.scoring.evaluate"
_FIRST = {"networks.csv", own_files.FILE, settings_files.FILE}  # what is there before a journal; the settings come last

BenchRecord = Header | NetworkScore | Revisions | Again | ScoringCode


def make_pool(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
    """Make the pool that a configuration asks for; it is not started yet."""
    return make_any_pool(config, view, interrupts, EVALUATOR)


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

    def read(self, record: BenchRecord) -> None:
        """Take in one journal record."""
        if isinstance(record, NetworkScore):
            self.add(record)
        elif isinstance(record, Revisions):
            self.revisions.update(record.revisions)
        elif isinstance(record, Again):
            self.forget(record.labels)

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

    def add(self, record: NetworkScore) -> None:
        """Take in the scores of one network."""
        labels = record.results
        self.values.setdefault(record.index, {}).update(labels)
        self.details.setdefault(record.index, {}).update(record.details)
        spent = {label: seconds for label, seconds in record.seconds.items() if label in labels}  # not those of stages
        self.seconds.setdefault(record.index, {}).update(spent)

    def missing(self, network: Network, labels: Sequence[str], *, failed: bool = False) -> list[str]:
        """Give the labels that this network has no record of, and with `failed` those that failed last."""
        known = self.values.get(network.index, {})
        return [label for label in labels if label not in known or (failed and isinstance(known[label], Mapping))]


def begin(
    folder: Path,
    settings: Settings,
    plan: ScoringPlan,
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
    _check_rank(plan, view)
    task = _Bench(folder, settings, plan, view, also=also)
    session.begin(folder, task, pool=partial(pool_maker, pool, view), view=view)
    return task.scores


def resume(
    folder: Path,
    settings: Settings,
    plan: ScoringPlan,
    *,
    pool: PoolConfig,
    view: View,
    pool_maker: PoolMaker = make_pool,
    retry: bool = False,
    again: Collection[str] = (),
    accept_changes: bool = False,
) -> Scores:
    """Score what a run lacks; `settings` and `plan` may have grown since, see `Settings.extended`.

    Where nothing is missing, no worker is started. `retry`: what failed is scored again, and the new record counts. `again`: what
    was scored of these labels is dropped, also on disk: if this is stopped, a resume continues with the rest. `accept_changes`:
    other code than what scored the run may go on, as long as no proxy has another revision.

    Raises:
        InputError: the journal is another run's or another process is at it, a proxy was redefined since it scored the run and is
            not among `again`, the scoring code has changed, or as `begin`.
        KeyboardInterrupt: as `begin`.
    """
    task = _Bench(folder, settings, plan, view, retry=retry, again=again, accept_changes=accept_changes)
    session.resume(folder, task, pool=partial(pool_maker, pool, view), view=view, without_journal=True)
    return task.scores


def stored(folder: Path) -> Scores:
    """Read the scores of a run, also while it continues. Raises JournalError as `search.journal.journal.records`."""
    scores = Scores(sessions=list(previous(folder).get("sessions", [])))
    for record in journals.records(folder / JOURNAL, KINDS):
        if not isinstance(record, Unknown):
            scores.read(record)
    return scores


def revisions_of(folder: Path) -> dict[str, int]:
    """Read which revision of its proxy scored each label of a run; none where the run is older than revisions.

    Raises:
        InputError: run.json cannot be read.
    """
    path = folder / STATUS
    try:
        return dict(read_json(path).get("revisions", {}))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: expected the status of a run; {error}") from None


def check_new(folder: Path) -> None:
    """Reject a folder that exists, unless it holds no more than what a crash at the very start leaves: nothing to resume.

    Raises:
        InputError: it holds more.
    """
    if not folder.exists():
        return
    begun = not folder.is_dir() or (folder / settings_files.FILE).exists()
    if begun or not {path.name.removeprefix(".").removesuffix(".part") for path in folder.iterdir()} <= _FIRST:
        raise InputError(
            f"{folder}: expected a new run folder; it exists: continue with --resume {folder}, or give another --out"
        )


def _check_rank(plan: ScoringPlan, view: View) -> None:
    """Reject scores that no network can have with this batch and these classes; tell those that large networks cannot have."""
    said = dict[str, None]()
    for label, request in plan.requests.items():
        batch = plan.setups[request.setup].batch if request.samples is None else request.samples
        for rank in ranks([request.proxy], {request.proxy: request.options}, batch=batch, classes=plan.classes):
            if rank.impossible is not None:
                where, expected, got = rank.impossible
                raise InputError(f"{label}: {where}: expected {expected}; got {got}")
            if limit := rank.limit():
                said[limit] = None
    for limit in said:
        view.note(f"warning: {limit}")


@final
class _Bench:
    """The task of a session: the state of one run in this process."""

    kinds: Kinds[BenchRecord] = KINDS
    changed = "expected the settings and the networks that began this run; they were changed since"

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        plan: ScoringPlan,
        view: View,
        *,
        retry: bool = False,
        again: Collection[str] = (),
        accept_changes: bool = False,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._plan = plan
        self._view = view
        self._retry = retry
        self._again = [label for name in again for label in (name, second(name))]
        self._also = also
        self._scored_by = ScoredBy(plan.code(), accepted=accept_changes)
        self.scores = Scores()
        self._left = 0

    @property
    def header(self) -> Header:
        """See `session.Task`."""
        settings = self._settings
        about = {"benchmark": settings.benchmark, "dataset": settings.dataset, "seed": settings.seed, **self._scored_by.about}
        return Header(settings.digest(), about)

    def read(self, record: BenchRecord) -> None:
        """See `session.Task`."""
        if isinstance(record, Header | ScoringCode):
            self._scored_by.read(record)
        self.scores.read(record)

    def catch_up(self, journal: Journal, check: Callable[[], None]) -> None:
        """Drop what is to be scored anew, and say in the journal which definitions the following scores have."""
        self.scores.forget(self._again)
        revisions, before = self._plan.revisions(), self.scores.revisions
        stale = sorted({first(label) for label in self.scores.scored() if revisions.get(label, 0) != before.get(label, 0)})
        if stale:
            raise InputError(
                f"{self._folder}: expected scores of the proxies as they are defined now; {', '.join(stale)} changed since: "
                f"--again {','.join(stale)} scores them anew"
            )
        changed = {label: revision for label, revision in revisions.items() if revision != before.get(label, 0)}
        if self._missing():
            known = sorted({first(label) for label in self.scores.scored()})
            cure = f"--again {','.join(known)} scores them anew"
            self._scored_by.settle(journal, where=self._folder, scored=bool(known), note=self._view.note, cure=cure)
        if self._again:  # by now nothing else is in the way: what is dropped here is scored anew
            journal.append(Again(sorted(self._again)))
        if changed:
            journal.append(Revisions(changed))
            before.update(changed)

    def _missing(self) -> list[tuple[Network, list[str]]]:
        """Give what is to be scored: networks, and the labels of each."""
        plan = self._plan
        wanted = ((network, self.scores.missing(network, plan.labels(network), failed=self._retry)) for network in plan.networks)
        return [(network, missing) for network, missing in wanted if missing]

    def write_files(self) -> None:
        """See `session.Task`."""
        self._also()
        for file, text in own_files.texts(request.proxy for request in self._plan.requests.values()).items():
            write_text(self._folder / file, text)
        self._settings.write(self._folder)

    def work(self, session: Session[BenchRecord]) -> None:
        """Score what is missing."""
        jobs = self._missing()
        self._left = len(jobs)
        if jobs:
            self._score(session, jobs)
        self.scores.sessions = session.rows

    def _score(self, session: Session[BenchRecord], work: Sequence[tuple[Network, Sequence[str]]]) -> None:
        """Score networks and journal each as it finishes, so that a kill loses only what is under way."""
        pool, total = session.pool(), len(self._plan.networks)
        state = State(fixed=True)
        state.begin("score", total - len(work), total)

        def show(under_way: int) -> None:
            state.done, state.in_flight = total - self._left, under_way
            self._view.update(state)

        jobs: Iterator[Job] = (self._plan.job(network, labels) for network, labels in work)
        for done in scored(pool, jobs, check=session.interrupts.check, show=show, in_order=False):
            network, labels = work[done.ticket]
            record = NetworkScore.of(network.index, network.name, labels, done)
            session.journal.append(record)
            self.scores.add(record)
            state.failed += record.status != "ok"
            self._left -= 1

    def status(self, session: Session[BenchRecord], status: str) -> dict[str, Any]:
        """See `session.Task`."""
        return {
            "format": "uninas-bench-run",
            "version": 1,
            "status": status,
            "benchmark": self._settings.benchmark,
            "dataset": self._settings.dataset,
            "config_digest": self._settings.digest(),
            "networks": len(self._plan.networks),
            "left": self._left,
            "labels": list(self._plan.requests),
            "revisions": self._plan.revisions(),
            "sessions": session.rows,
        }

    def stopped(self) -> str:
        """See `session.Task`."""
        return f"stopped: {self._left} networks are left; continue with --resume {self._folder}"
