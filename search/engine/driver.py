"""A whole run: a folder, a journal, phases, finalists, results. Begin one with `begin`, take one up with `resume`.

RUN/config.yaml     the configuration, defaults included
RUN/journal.jsonl   the truth; everything below follows from it
RUN/run.json        status, versions, device, counts, times, finalists with all their scores
RUN/best.json       the best network, an architecture file
RUN/finalists/      the others, best first: 01.json is best.json
RUN/front/          the Pareto front, best score first, where the search has several objectives
RUN/report.html     for people
RUN/start.json      the architecture the run started from, where it was a file
RUN/space.py        the user's own space, where there is one: a resume runs it; likewise proxies.py and algorithm.py
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, final

from search.algorithms import ALGORITHMS, make
from search.algorithms.candidate import Space
from search.config import loading as configuration
from search.config import warnings
from search.config.latency import objectives_of, timing_of
from search.config.schema import SearchConfig
from search.config.score_options import options_of
from search.engine import artifacts, latency, own_files
from search.engine.finalists import Rescore, fresh_seeds, rebuild, settle
from search.engine.gc_freeze import looked_at_once
from search.engine.pareto_front import costs_wanted, front, leaders, spread_over
from search.engine.phase import POLL_SECONDS, Entry, Event, Phase, costs_of, memory
from search.journal import journal as journals
from search.journal.journal import JournalError
from search.monitor.observer import NOBODY, Observer
from search.monitor.progress import State, View
from search.ranking.objective import Objective, find
from search.spaces.from_config import from_config
from search.workers.interrupts import Interrupts
from search.workers.job import Job, Timing, numbers
from search.workers.pool import Pool, SerialPool
from uninas.errors import InputError
from uninas.runtime.files import write_text
from uninas.spaces import SpaceError

FRONT_FILES = 100  # members of the front that get an architecture file, spread over it; run.json lists all of them
START = "start.json"  # the architecture file a run started from, kept with it
SPACE_FILE = own_files.SPACE

PoolMaker = Callable[[SearchConfig, View, Interrupts], Pool]


def make_pool(config: SearchConfig, view: View, interrupts: Interrupts) -> Pool:
    """Make the pool that a configuration asks for; it is not started yet."""
    if config.pool.kind == "serial":
        return SerialPool(config.pool.deadline_s, interruptible=interrupts.interruptible)
    from search.distributed.ray_pool import RayPool

    return RayPool(config.pool, note=view.note, interruptible=interrupts.interruptible)


def _collector(config: SearchConfig) -> AbstractContextManager[None]:
    """Spare Python's collector what the search keeps, where no network is scored in this process: those may hold cycles."""
    return nullcontext() if config.pool.kind == "serial" else looked_at_once()


def make_observer(config: SearchConfig, run: str, view: View) -> Observer:
    """Make who is told of all that happens once the pool has started: Ray's metrics where the pool is Ray's."""
    if config.pool.kind != "ray":
        return NOBODY
    from search.distributed.ray_metrics import observe

    return observe(run, view.note)


def begin(
    config: SearchConfig,
    folder: Path,
    *,
    view: View,
    space: Space | None = None,
    pool_maker: PoolMaker = make_pool,
    name: str = "search",
    address: str | None = None,
) -> dict[str, Any]:
    """Run a search in a new folder, to its end. Gives what run.json holds.

    Nothing is created before the space and the pool have shown that the configuration can run. `address` is what a person calls
    the folder, where it is the copy of one at a URL.

    Raises:
        InputError: the folder exists, a start breaks the budget, the pool cannot be had, the disk is full, ...
        KeyboardInterrupt: after Ctrl-C or SIGTERM; all workers are gone, and the run can be resumed.
    """
    if folder.exists():
        raise InputError(f"{folder}: expected a new run folder; it exists: resume it with --resume, or give another --out")
    config, own_texts = own_files.load(config)
    space = space or from_config(config)
    with _collector(config), Interrupts() as interrupts:
        pool = pool_maker(config, view, interrupts)
        try:
            environment = pool.start()
            interrupts.install()
            try:
                folder.mkdir(parents=True)
            except OSError as error:
                raise InputError(f"{folder}: cannot create the run folder: {error.strerror}") from None
            artifacts.write_config(folder, config)
            if config.space.architecture is not None:
                write_text(folder / START, space.text(space.starts()[0]))
            for file, text in own_texts.items():
                write_text(folder / file, text)
            run = _Run(config, folder, space, view, interrupts, name, address)
            with journals.create(folder / "journal.jsonl", _header(config)) as journal:
                return run.finish(journal, lambda: (pool, environment))
        finally:
            pool.close()
            view.close()


def resume(
    folder: Path,
    overrides: Mapping[str, int] | None = None,
    *,
    view: View,
    space: Space | None = None,
    pool_maker: PoolMaker = make_pool,
    name: str | None = None,
    address: str | None = None,
) -> dict[str, Any]:
    """Take a run up where its journal ends, and bring it to its end; `overrides` may raise `evaluations`.

    Every ask is repeated and compared with the journal first, so the continuation is the one the run would have had.

    Raises:
        InputError: no run, another process is at it, a changed configuration, fewer evaluations than before, or a
            replay that differs from the journal (the message says where).
        KeyboardInterrupt: as `begin`.
    """
    if not (folder / "config.yaml").is_file():
        raise InputError(f"{folder}: expected a run folder with a config.yaml; there is none")
    config = own_files.stored(configuration.load(folder / "config.yaml"), folder)
    wanted = (overrides or {}).get("evaluations", config.evaluations)
    if wanted < config.evaluations:
        raise InputError(f"evaluations: expected at least the run's {config.evaluations}; got {wanted}")
    extended = dataclasses.replace(config, evaluations=wanted)
    space = space or from_config(config, stored(config, folder))
    with _collector(config), Interrupts() as interrupts:
        run = _Run(extended, folder, space, view, interrupts, name, address)
        pool: Pool | None = None

        def start() -> tuple[Pool, dict[str, str]]:
            nonlocal pool
            pool = pool_maker(extended, view, interrupts)
            environment = pool.start()
            interrupts.install()
            return pool, environment

        try:
            with journals.resume(folder / "journal.jsonl", run.read) as journal:
                if not run.has_header:
                    journal.append({"kind": "header", "version": journals.VERSION, **_header(config)})
                run.replay()
                if extended != config:
                    artifacts.write_config(folder, extended)
                return run.finish(journal, start)
        finally:
            if pool is not None:
                pool.close()
            view.close()


def stored(config: SearchConfig, folder: Path) -> Path | None:
    """Give a run's own copy of the file that its space came from; None where it came from none."""
    if config.space.architecture is not None:
        return folder / START
    return None if config.space.file is None else folder / SPACE_FILE


def _header(config: SearchConfig) -> dict[str, Any]:
    return {"config_digest": configuration.digest(config), "seed": config.seed, "objective": config.objective}


@final
class _Run:
    """The state of one run in this process."""

    def __init__(
        self,
        config: SearchConfig,
        folder: Path,
        space: Space,
        view: View,
        interrupts: Interrupts,
        name: str | None,
        address: str | None,
    ) -> None:
        self._config = config
        self._folder = folder
        self._space = space
        self._view = view
        self._interrupts = interrupts
        self._name = name
        self._address = address or str(folder)
        self._objective: Objective = find(config.objective)
        self._objectives = objectives_of(config)
        self._costs = costs_wanted(config)
        self._timing = timing_of(config)
        self._state = State()
        self._search = self._phase("search", config.algorithm)
        self._random = self._phase("random", "random")
        self._events: dict[str, list[Event]] = {"search": [], "random": []}
        self._rescores: dict[tuple[str, int], Rescore] = {}
        self._observer: Observer = NOBODY
        self.has_header = False

    def _phase(self, name: str, algorithm: str) -> Phase:
        config = self._config
        window = config.window
        if window is None:
            window = ALGORITHMS[config.algorithm].window if name == "search" else ALGORITHMS["random"].window
        options = config.algorithm_options if name == "search" else {}
        engine = make(
            algorithm, self._space, self._objective,
            seed=config.seed, phase=name, window=window, order=config.order, options=options,
            objectives=self._objectives if name == "search" else None,
        )  # fmt: skip
        return Phase(
            name, engine,
            total=config.evaluations, order=config.order, objective=self._objective,
            job=lambda proposal: self._job(
                proposal.candidate.digest, self._space.text(proposal.candidate), config.seed, self._timing
            ),
            state=self._state, costs=self._costs,
        )  # fmt: skip

    def _job(self, digest: str, text: str, seed: int, timing: Timing | None = None) -> Job:
        config = self._config
        options = options_of(config, self._objective)
        return Job(
            digest, text, (config.size[0], config.size[1]), config.classes, config.batch, config.repeats, seed,
            self._objective.proxies, options, timing,
        )  # fmt: skip

    def read(self, record: dict[str, Any]) -> None:
        """Take in one journal record of an earlier session."""
        kind = record["kind"]
        if kind == "header":
            self.has_header = True
            if record.get("config_digest") != configuration.digest(self._config):
                raise JournalError(f"{self._folder}: expected the config.yaml that began this run; it was changed since")
        elif kind == "ask":
            self._events[record["phase"]].append(Event(record["index"], record["digest"], None))
        elif kind == "candidate":
            phase = self._search if record["phase"] == "search" else self._random
            phase.tally.add(record)
            scores, costs = numbers(record["scores"]), costs_of(record, self._costs)
            self._events[phase.name].append(Event(record["index"], record["digest"], scores, costs, record.get("device")))
        elif kind == "rescore":
            self._keep(record)
        else:
            raise JournalError(f"{self._folder}: expected journal records that this version knows; got '{kind}'")

    def _keep(self, record: Mapping[str, Any]) -> None:
        rescore = Rescore(record["digest"], record["repeat"], record["seed"], numbers(record["scores"]))
        self._rescores[rescore.digest, rescore.repeat] = rescore

    def replay(self) -> None:
        """Repeat every ask of the journal and compare."""
        for phase in (self._search, self._random):
            events = self._events.pop(phase.name)
            if events:
                self._view.note(f"replaying {phase.name}: {len(events)} journal records")
            phase.replay(events)

    def finish(self, journal: journals.Journal, start: Callable[[], tuple[Pool, dict[str, str]]]) -> dict[str, Any]:
        """Do what is left, write the results."""
        sessions = artifacts.Sessions(self._folder, self._view)
        pool: Pool | None = None

        def workers() -> Pool:
            nonlocal pool
            if pool is None:
                pool, environment = start()
                self._observer = make_observer(self._config, self._folder.resolve().name, self._view)
                sessions.begin(environment)
                self._write(sessions, "running")
            return pool

        try:
            for warning in warnings.warnings(self._config):
                self._view.note(warning)
            phases = [self._search, self._random] if self._config.baseline else [self._search]
            for phase in phases:
                if not phase.complete:
                    known = {}
                    if phase is self._random:
                        scores, limit = len(self._objective.proxies), self._config.budget.latency_ms
                        known = latency.reusable(self._search.entries, scores, limit)
                    pool = workers()
                    phase.run(pool, journal, self._view, self._interrupts, known, self._observer)
            for warning in latency.mixed(self._entries()):
                self._view.note(warning)
            chosen = leaders(self._config, self._search.entries, self._objective)
            members = front(self._search.entries, self._objective, self._objectives) if self._objectives else []
            wanted = [*chosen, *(member.entry for member in spread_over(members, FRONT_FILES))]
            candidates = rebuild(self._folder / "journal.jsonl", self._space, [entry.digest for entry in wanted])
            missing = [
                (entry.digest, repeat, seed)
                for entry in chosen
                for repeat, seed in enumerate(fresh_seeds(self._config.seed, self._config.finalists.seeds))
                if (entry.digest, repeat) not in self._rescores
            ]
            if missing:
                texts = {entry.digest: self._space.text(candidates[entry.digest]) for entry in chosen}
                self._rescore(missing, texts, workers(), journal)
            finalists = settle(self._search.entries, chosen, self._rescores.values(), self._objective)
            artifacts.write_finalists(self._folder, finalists, candidates, self._space, self._objective)
            rows = artifacts.finalist_rows(finalists, candidates)
            if not self._objectives:
                return self._write(sessions, "complete", rows)
            trade_off = artifacts.write_front(self._folder, members, candidates, self._space, self._objectives)
            return self._write(sessions, "complete", rows, trade_off)
        except KeyboardInterrupt:
            self._write(sessions, "interrupted")
            done = len(self._search.entries) + len(self._random.entries)
            self._view.note(f"stopped: {done} candidates are in the journal; go on with: uninas search --resume {self._address}")
            raise
        except Exception as error:
            with suppress(Exception):  # a full disk, say: what went wrong first is what has to be told
                self._write(sessions, "failed")
            if isinstance(error, SpaceError):
                cure = f"mend {self._folder / SPACE_FILE}, the run's own copy, then: uninas search --resume {self._address}"
                raise SpaceError(f"{error}; {cure}") from None
            raise

    def _entries(self) -> list[Entry]:
        return [*self._search.entries, *self._random.entries]

    def _rescore(
        self, missing: list[tuple[str, int, int]], texts: Mapping[str, str], pool: Pool, journal: journals.Journal
    ) -> None:
        """Score finalists on fresh seeds; journal them in the order of the list, whoever finishes first."""
        self._state.begin("finalists", 0, len(missing))
        records: dict[int, dict[str, Any]] = {}
        asked = written = 0
        while written < len(missing):
            while asked < len(missing) and pool.free() > 0:
                digest, _, seed = missing[asked]
                pool.submit(asked, self._job(digest, texts[digest], seed))
                asked += 1
            self._interrupts.check()
            for done in pool.poll(POLL_SECONDS):
                digest, repeat, seed = missing[done.ticket]
                records[done.ticket] = {
                    "kind": "rescore", "digest": digest, "repeat": repeat, "seed": seed, "status": done.outcome.status,
                    "reason": done.outcome.reason, "scores": dict(done.outcome.scores),
                    "seconds": {stage: round(spent, 4) for stage, spent in done.outcome.seconds.items()},
                    "worker": done.worker, "attempts": done.attempts, **memory(done.outcome),
                }  # fmt: skip
            while written in records:
                record = records.pop(written)
                journal.append(record)
                self._keep(record)
                self._observer.recorded(record)
                written += 1
            self._state.done, self._state.in_flight = written, asked - written
            self._view.update(self._state)
            self._observer.updated(self._state)

    def _write(
        self,
        sessions: artifacts.Sessions,
        status: str,
        finalists: list[dict[str, Any]] | None = None,
        trade_off: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        config = self._config
        sessions.note_time()
        data = {
            "format": "uninas-run", "version": 1, "status": status, "name": sessions.name(self._name), "seed": config.seed,
            "algorithm": config.algorithm, "objective": config.objective, "evaluations": config.evaluations,
            "config_digest": configuration.digest(config), "proxies": list(self._objective.proxies),
            "counts": {phase.name: phase.tally.as_dict() for phase in (self._search, self._random)},
            "rescored": len(self._rescores), "sessions": sessions.rows,
            "best": finalists[0] if finalists else None, "finalists": finalists or [],
            **latency.described(config, self._entries()),
            **({} if trade_off is None else {"objectives": list(self._objectives), "front": trade_off}),
        }  # fmt: skip
        artifacts.write_run(self._folder, data)
        return data
