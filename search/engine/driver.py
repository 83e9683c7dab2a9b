"""A whole search: a folder, a journal, phases, finalists, results. Start one with `begin`, continue one with `resume`.

RUN/config.yaml     the configuration, defaults included
RUN/journal.jsonl   the truth; everything below follows from it
RUN/run.json        status, versions, device, counts, times, finalists with all their scores
RUN/best.json       the best network, an architecture file
RUN/finalists/      the others, best first: 01.json is best.json
RUN/controls/       what they are compared with: start.json, random.json, resnet.json, ..
RUN/front/          the Pareto front, best score first, where the search has several objectives
RUN/report.html     for people
RUN/start.json      the architecture the run started from, where it was a file
RUN/space.py        the user's own space, where there is one: a resume runs it; likewise proxies.py and algorithm.py
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, final

from search.algorithms.candidate import Space
from search.algorithms.guarded import AlgorithmError
from search.config import loading as configuration
from search.config.plan import SearchPlan
from search.config.schema import SearchConfig, SpaceConfig
from search.engine import latency, own_files, session
from search.engine.finals.final_round import FinalRound, Scoring
from search.engine.gc_freeze import looked_at_once
from search.engine.own_files import START
from search.engine.phase import Entry, Phase, phase_of
from search.engine.run_images import RunImages
from search.engine.scored_by import ScoredBy
from search.engine.session import STATUS, PoolMaker, Session, make_pool
from search.journal.endings import Controls, Exhausted, Finalists
from search.journal.journal import Journal
from search.journal.records import KINDS, Ask, Candidate, Header, Kinds, Rescore
from search.monitor.observer import NOBODY, Observer
from search.monitor.progress import State, View
from search.spaces.from_config import from_config
from search.workers.interrupts import Interrupts
from search.workers.pool import Pool
from search.workers.real_batches import Drawn
from search.workers.scoring_code import ScoringCode
from uninas.errors import InputError
from uninas.files.writing import write_text
from uninas.spaces import SpaceError

CONFIG = "config.yaml"

SearchRecord = Header | Ask | Candidate | Rescore | Controls | Finalists | Exhausted | ScoringCode | Drawn


def begin(
    config: SearchConfig,
    folder: Path,
    *,
    view: View,
    space: Space | None = None,
    pool_maker: PoolMaker | None = None,
    name: str = "search",
    address: str | None = None,
) -> dict[str, Any]:
    """Run a search in a new folder, to its end. Gives what run.json holds.

    Nothing is created before the space and the pool have shown that the configuration can run.

    Args:
        config: checked, as `search.load` gives it.
        folder: to create.
        view: shows the progress.
        space: replaces the configuration's.
        pool_maker: makes the pool; None for one whose workers do what the configuration asks for.
        name: of the run.
        address: what a person calls the folder, where it is the copy of one at a URL.

    Raises:
        InputError: the folder exists, a start breaks the budget, the pool cannot be had, the disk is full, ...
        KeyboardInterrupt: after Ctrl-C or SIGTERM; all workers are gone, and the run can be resumed.
    """
    if folder.exists() and not own_files.left_by_a_kill(folder):
        raise InputError(f"{folder}: expected a new run folder; it exists: resume it with --resume, or give another --out")
    config, own_texts = own_files.load(config)
    plan = SearchPlan.resolve(config)
    space = space or from_config(config)
    files = dict(own_texts)
    if config.space.architecture is not None:
        files[START] = space.text(space.starts()[0])
    files[CONFIG] = plan.text  # the last one: with it a resume has all that it needs
    task = _Search.of(plan, folder, space, files, view, name, address)
    task.images.draw()
    with _collector(plan.pool.kind):
        return session.begin(folder, task, pool=_pool_of(plan, pool_maker, view), view=view)


def resume(
    folder: Path,
    overrides: Mapping[str, int] | None = None,
    *,
    view: View,
    space: Space | None = None,
    pool_maker: PoolMaker | None = None,
    name: str | None = None,
    address: str | None = None,
    accept_changes: bool = False,
) -> dict[str, Any]:
    """Continue a run where its journal ends, and bring it to its end; `overrides` may raise `evaluations`.

    Every ask is repeated and compared with the journal first, so the continuation is the one the run would have had. The code
    that decides scores is compared too; with `accept_changes` another one goes on, and the journal says from where.

    Raises:
        InputError: no run, another process is at it, a changed configuration, fewer evaluations than before, other scoring code,
            or a replay that differs from the journal (the message says where).
        KeyboardInterrupt: as `begin`.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}: expected a run folder with a {CONFIG}; there is none")
    config = own_files.stored(configuration.load(folder / CONFIG, stored=True), folder)
    wanted = (overrides or {}).get("evaluations", config.evaluations)
    if wanted < config.evaluations:
        raise InputError(f"evaluations: expected at least the run's {config.evaluations}; got {wanted}")
    plan = SearchPlan.resolve(dataclasses.replace(config, evaluations=wanted))
    space = space or from_config(config, stored(config.space, folder))
    files = {CONFIG: plan.text} if wanted > config.evaluations else {}
    task = _Search.of(plan, folder, space, files, view, name, address, accept_changes=accept_changes)
    with _collector(plan.pool.kind):
        killed_at_once = not (folder / STATUS).exists()
        pool = _pool_of(plan, pool_maker, view)
        return session.resume(folder, task, pool=pool, view=view, without_journal=killed_at_once)


def _pool_of(plan: SearchPlan, pool_maker: PoolMaker | None, view: View) -> Callable[[Interrupts], Pool]:
    """Say how to make the pool: the given way, or the one whose workers do what the plan asks for."""
    if pool_maker is not None:
        return partial(pool_maker, plan.pool, view)
    return partial(make_pool, plan.pool, view, evaluator=plan.evaluator)


def stored(space: SpaceConfig, folder: Path) -> Path | None:
    """Give a run's own copy of the file that its space came from; None where it came from none."""
    if space.architecture is not None:
        return folder / START
    return None if space.file is None else folder / own_files.SPACE


def _collector(pool: str) -> AbstractContextManager[None]:
    """Spare Python's collector what the search keeps, where no network is scored in this process: those may hold cycles."""
    return nullcontext() if pool == "serial" else looked_at_once()


def _observer(plan: SearchPlan, run: str, view: View) -> Observer:
    """Make the observer of what happens once the pool has started: Ray's metrics where the pool is Ray's."""
    if plan.pool.kind != "ray":
        return NOBODY
    from search.distributed.ray_metrics import observe

    return observe(run, view.note)


@final
class _Search:
    """The task of a session: the state of one search in this process."""

    kinds: Kinds[SearchRecord] = KINDS
    changed = "expected the config.yaml that began this run; it was changed since"

    def __init__(
        self,
        plan: SearchPlan,
        folder: Path,
        space: Space,
        files: Mapping[str, str],
        view: View,
        name: str | None,
        address: str,
        state: State,
        search: Phase,
        random: Phase,
        scored_by: ScoredBy,
        images: RunImages,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._space = space
        self._files = files
        self._view = view
        self._name = name
        self._address = address
        self._state = state
        self._search = search
        self._random = random
        self._scored_by = scored_by
        self.images = images
        self._events: dict[str, list[Ask | Entry]] = {"search": [], "random": []}
        self._final = FinalRound(plan, space, folder, search.estimates)
        self._observer: Observer = NOBODY
        self._results: dict[str, Any] = {}  # of run.json, once the search is complete

    @staticmethod
    def of(
        plan: SearchPlan,
        folder: Path,
        space: Space,
        files: Mapping[str, str],
        view: View,
        name: str | None,
        address: str | None,
        *,
        accept_changes: bool = False,
    ) -> _Search:
        """Make the task with its phases, at their beginning.

        Args:
            plan: what to do.
            folder: of the run.
            space: to search.
            files: what to write into the folder, by name.
            view: shows the progress.
            name: of the run; None for the one it began with.
            address: what a person calls the folder; None for its path.
            accept_changes: whether other code may go on.
        """
        state = State()
        search = phase_of(plan, space, state, "search", plan.algorithm, plan.window, plan.options, plan.objectives)
        random = phase_of(plan, space, state, "random", "random", plan.random_window, {}, ())
        scored_by = ScoredBy(plan.code(), accepted=accept_changes)
        images, shown = RunImages(plan, space, view.note), address or str(folder)
        return _Search(plan, folder, space, files, view, name, shown, state, search, random, scored_by, images)

    @property
    def header(self) -> Header:
        """See `session.Task`."""
        plan = self._plan
        return Header(plan.digest, {"seed": plan.seed, "objective": plan.objective.name, **self._scored_by.about})

    def read(self, record: SearchRecord) -> None:
        """See `session.Task`."""
        if isinstance(record, Candidate | Exhausted):
            phase = self._search if record.phase == "search" else self._random
        if isinstance(record, Exhausted):
            phase.end_at(record)
        elif isinstance(record, Candidate):
            phase.tally.add(record)
            self._events[record.phase].append(Entry.of(record, self._plan.costs, self._plan.ties))
        elif isinstance(record, Ask):
            self._events[record.phase].append(record)
        elif isinstance(record, Rescore | Controls | Finalists):
            self._final.read(record)
        elif isinstance(record, Drawn):
            self.images.read(record)
        else:
            self._scored_by.read(record)

    def catch_up(self, journal: Journal, check: Callable[[], None]) -> None:
        """Repeat every ask of the journal and compare; then see by which code the rest is to be scored."""
        for phase in (self._search, self._random):
            events = self._events.pop(phase.name)
            if events:
                self._view.note(f"replaying {phase.name}: {len(events)} journal records")
            phase.replay(events, check)
        if self._scores_more():
            self._scored_by.settle(journal, where=self._address, scored=bool(self._search.entries), note=self._view.note)
            self.images.settle(journal, where=self._address)

    def _phases(self) -> list[Phase]:
        return [self._search, self._random] if self._plan.baseline else [self._search]

    def _scores_more(self) -> bool:
        """Whether the run lacks a score, of a candidate or of a finalist."""
        return not all(phase.complete for phase in self._phases()) or self._final.lacks(self._search.entries)

    def write_files(self) -> None:
        """See `session.Task`."""
        for name, text in self._files.items():
            write_text(self._folder / name, text)

    def work(self, session: Session[SearchRecord]) -> None:
        """Do what is left, write the results."""
        for warning in self._plan.warnings:
            self._view.note(warning)
        try:
            for phase in self._phases():
                if not phase.complete:
                    pool, known = self._pool(session), {}
                    if phase is self._random:
                        known = latency.reusable(self._search.entries, self._plan.objective.proxies, self._plan.limit_ms)
                    phase.run(pool, session.journal, self._view, session.interrupts, known, self._observer)
            for warning in latency.mixed(self._entries()):
                self._view.note(warning)
            self._finish(session)
        except (SpaceError, AlgorithmError) as error:
            copy = self._folder / (own_files.ALGORITHM if isinstance(error, AlgorithmError) else own_files.SPACE)
            cure = f"fix {copy}, the run's own copy, then: uninas search --resume {self._address}"
            raise type(error)(f"{error}; {cure}") from None

    def _pool(self, session: Session[SearchRecord]) -> Pool:
        """Give the pool, and let the observer see what happens from its start on."""
        pool = session.pool()
        if self._observer is NOBODY:
            self._observer = _observer(self._plan, self._folder.resolve().name, self._view)
        return pool

    def _finish(self, session: Session[SearchRecord]) -> None:
        """Let the finalists be scored on held-out seeds, and all results be written."""

        def scoring() -> Scoring:
            pool = self._pool(session)
            return Scoring(pool, self._observer, session.journal, session.interrupts, self._view, self._state)

        self._results = self._final.play(self._search.entries, self._random.entries, scoring, session.journal)

    def status(self, session: Session[SearchRecord], status: str) -> dict[str, Any]:
        """See `session.Task`."""
        plan = self._plan
        results = {"best": None, "finalists": [], **self._results}
        return {
            "format": "uninas-run",
            "version": 1,
            "status": status,
            "name": session.name(self._name),
            "seed": plan.seed,
            "algorithm": plan.algorithm,
            "objective": plan.objective.name,
            "evaluations": plan.evaluations,
            "config_digest": plan.digest,
            "proxies": list(plan.objective.proxies),
            "counts": {phase.name: phase.tally.as_dict() for phase in (self._search, self._random)},
            "seen_whole": [phase.name for phase in (self._search, self._random) if phase.exhausted],
            "rescored": self._final.scored,
            "sessions": session.rows,
            "best": results.pop("best"),
            "finalists": results.pop("finalists"),
            **latency.described(plan.timing, self._entries()),
            **results,
        }

    def stopped(self) -> str:
        """See `session.Task`."""
        done = len(self._search.entries) + len(self._random.entries)
        return f"stopped: {done} candidates are in the journal; continue with: uninas search --resume {self._address}"

    def _entries(self) -> list[Entry]:
        return [*self._search.entries, *self._random.entries]
