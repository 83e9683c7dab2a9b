"""One session of a run: a pool, a journal, run.json and Ctrl-C, around whatever is to be done. A search and a bench are both one.

    begin(folder, task, pool=..., view=...)       a new folder: the pool first, so that nothing is made where nothing can run
    resume(folder, task, pool=..., view=...)      an existing one: its journal first; workers only where something is left

RUN/journal.jsonl    the truth: what the task appends to it
RUN/.under_way.json  where this process scores by itself: what it scores just now, see `search.workers.under_way`
RUN/run.json         what the task says of itself, beside its status (running, interrupted, failed, complete) and its sessions:
                     when each began, how long it took, and what it ran on
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar, final

from search.config.schema import PoolConfig
from search.journal import journal as journals
from search.journal.journal import Journal, JournalError
from search.journal.records import Header, Kinds, Unknown
from search.monitor.progress import View
from search.workers.interrupts import Interrupts
from search.workers.pool import EVALUATOR, Pool, SerialPool
from search.workers.scoring_code import digest
from search.workers.under_way import Remembered
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.writing import write_json

JOURNAL, STATUS = "journal.jsonl", "run.json"
_DECISIVE = ("torch", "device", "precision")  # two scores are comparable only where these are equal

PoolMaker = Callable[[PoolConfig, View, Interrupts], Pool]
R = TypeVar("R")


def make_pool(config: PoolConfig, view: View, interrupts: Interrupts, evaluator: str = EVALUATOR) -> Pool:
    """Make the pool that a configuration asks for; it is not started yet."""
    if config.kind == "serial":
        return SerialPool(config.deadline_s, evaluator=evaluator, interruptible=interrupts.interruptible)
    from search.distributed.ray_pool import RayPool

    return RayPool(config, evaluator=evaluator, note=view.note, interruptible=interrupts.interruptible)


class Task(Protocol[R]):
    """What a session does. It holds the state that follows from the journal's records, of type R."""

    @property
    def kinds(self) -> Kinds[R]:
        """The records of its journal."""
        ...

    @property
    def header(self) -> Header:
        """The journal's first line."""
        ...

    @property
    def changed(self) -> str:
        """What to say where the journal's header has another digest: what was expected, and that it was changed."""
        ...

    def read(self, record: R) -> None:
        """Take in one record of an earlier session, in the journal's order, a header that is not another run's among them."""
        ...

    def catch_up(self, journal: Journal, check: Callable[[], None]) -> None:
        """Reach the state that the records describe; `check` is called now and then, and raises `KeyboardInterrupt`.

        Raises:
            InputError: this program cannot continue that run.
        """
        ...

    def write_files(self) -> None:
        """Write what belongs in the folder from the start, or has changed since."""
        ...

    def work(self, session: Session[R]) -> None:
        """Do what is left and write the results. `session.pool()` starts the workers."""
        ...

    def status(self, session: Session[R], status: str) -> dict[str, Any]:
        """Give all that run.json is to hold, the sessions of `session` among it."""
        ...

    def stopped(self) -> str:
        """Say how far it got before Ctrl-C, and how to continue."""
        ...


def begin(folder: Path, task: Task[R], *, pool: Callable[[Interrupts], Pool], view: View) -> dict[str, Any]:
    """Do a task in a new folder, to its end. Gives what run.json holds.

    Raises:
        InputError: the pool cannot be had, the disk is full, or what the task raises.
        KeyboardInterrupt: after Ctrl-C or SIGTERM; all workers are gone, and the run can be resumed.
    """
    existed, before = folder.exists(), previous(folder)
    with Interrupts() as interrupts, Session(folder, task, pool, view, interrupts, before) as session:
        session.start()
        interrupts.check()  # so far there is nothing to resume
        try:
            folder.mkdir(parents=True, exist_ok=existed)
        except OSError as error:
            raise InputError(f"{folder}: cannot create the run folder: {error.strerror}") from None
        task.write_files()
        with journals.create(folder / JOURNAL, task.header) as journal:
            task.catch_up(journal, lambda: None)
            return session.run(journal)


def resume(
    folder: Path, task: Task[R], *, pool: Callable[[Interrupts], Pool], view: View, without_journal: bool = False
) -> dict[str, Any]:
    """Continue a task where its journal ends, and bring it to its end. Gives what run.json holds.

    Args:
        folder: of the run.
        task: fresh; it reads the journal.
        pool: makes the pool, which is not started where nothing is left to score.
        view: shows the progress.
        without_journal: whether a folder that has none yet begins one.

    Raises:
        InputError: no run, another process is at it, or as `begin`.
        KeyboardInterrupt: as `begin`.
    """
    with (
        Interrupts() as interrupts,
        Session(folder, task, pool, view, interrupts, previous(folder)) as session,
        session.caught_up(without_journal) as journal,
    ):
        task.write_files()
        return session.run(journal)


@final
class Session(Generic[R]):
    """The state of one session, for the task to work with. Made by `begin` and `resume`.

    Attributes:
        folder: of the run.
        view: shows the progress.
        interrupts: whether Ctrl-C was pressed.
        journal: of the run, open.
        rows: one per session, this one last once workers were started: begin, wall seconds, environment.
    """

    journal: Journal

    def __init__(
        self,
        folder: Path,
        task: Task[R],
        pool: Callable[[Interrupts], Pool],
        view: View,
        interrupts: Interrupts,
        before: Mapping[str, Any],
    ) -> None:
        self.folder = folder
        self.view = view
        self.interrupts = interrupts
        self._task = task
        self._make_pool = pool
        self._pool: Pool | None = None
        self._environment: Mapping[str, str] | None = None  # of the pool, once it is started
        self._began: float | None = None
        self._before = before
        self.rows: list[dict[str, Any]] = list(before.get("sessions", []))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._pool is not None:
                self._pool.close()
        finally:
            self.view.close()

    def name(self, given: str | None) -> str:
        """Give the run's name: the one given now, or the one it began with."""
        return given or str(self._before.get("name", "search"))

    def start(self) -> Pool:
        """Start the workers."""
        made = self._make_pool(self.interrupts)
        self._pool = Remembered(made, self.folder, self.view.note) if isinstance(made, SerialPool) else made
        self._environment = self._pool.start()
        self.interrupts.install()
        return self._pool

    def pool(self) -> Pool:
        """Give the pool, started by now; run.json says from here on that the run is running."""
        pool = self.start() if self._pool is None else self._pool
        if self._began is None:
            self._begin_row(self._environment or {})
            self.write("running")
        return pool

    def caught_up(self, without_journal: bool) -> Journal:
        """Open the journal and let the task catch up with it. Ctrl-C meanwhile leaves the run as it was."""
        try:
            journal = self._reopened(without_journal)
            try:
                self._task.catch_up(journal, self.interrupts.check)
            except BaseException:
                journal.close()
                raise
            return journal
        except KeyboardInterrupt:
            if self._before.get("status") == "running":  # said by a session that was killed
                write_json(self.folder / STATUS, {**self._before, "status": "interrupted"})
            self.view.note("stopped while the journal was read: the run is as it was")
            raise

    def _reopened(self, without_journal: bool) -> Journal:
        """Open the journal and let the task read it; begin it where a crash left none, or none with a header."""
        path, task = self.folder / JOURNAL, self._task
        if without_journal and not path.exists():
            return journals.create(path, task.header)
        found: list[Header] = []

        def visit(record: R | Unknown) -> None:
            self.interrupts.check()
            if isinstance(record, Header):
                found.append(record)
                if record.config_digest != task.header.config_digest:
                    raise JournalError(f"{self.folder}: {task.changed}")
                task.read(record)
            elif isinstance(record, Unknown):
                raise JournalError(f"{self.folder}: expected journal records that this version knows; got '{record.kind}'")
            else:
                task.read(record)

        journal = journals.resume(path, task.kinds, visit)
        if not found:
            journal.append(task.header)
        return journal

    def run(self, journal: Journal) -> dict[str, Any]:
        """Let the task do its work; run.json says how it ended."""
        self.journal = journal
        try:
            self._task.work(self)
        except KeyboardInterrupt:
            self.write("interrupted")
            self.view.note(self._task.stopped())
            raise
        except Exception:
            with suppress(Exception):  # on a full disk, say: the first error is the one to report
                self.write("failed")
            raise
        data = self.write("complete")
        try:
            self.interrupts.check()
        except KeyboardInterrupt:  # it came when nothing was left but to write the results
            self.view.note(self._task.stopped())
            raise
        return data

    def write(self, status: str) -> dict[str, Any]:
        """Write run.json; gives what it holds."""
        if self._began is not None:
            self.rows[-1]["wall_seconds"] = round(time.monotonic() - self._began, 3)
        data = self._task.status(self, status)
        write_json(self.folder / STATUS, data)
        return data

    def _begin_row(self, environment: Mapping[str, str]) -> None:
        """Note what this session runs on; warn where its scores are not comparable with those before."""
        before = self.rows[-1]["environment"] if self.rows else environment
        for name in _DECISIVE:
            if before.get(name) != environment.get(name):
                self.view.note(
                    f"warning: {name} is '{environment.get(name)}' now and was '{before.get(name)}': scores may differ"
                )
        theirs, ours = environment.get("code"), digest()[:12]
        if theirs not in (None, ours):  # on a machine with another version; the journal names that of this process
            self.view.note(
                f"warning: the workers' scoring code is {theirs}, and {ours} here: the journal says that {ours} scored"
            )
        self._began = time.monotonic()
        self.rows.append(
            {
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "wall_seconds": 0.0,
                "environment": {**environment, "platform": platform.machine(), "uninas": _version()},
            }
        )


def previous(folder: Path) -> dict[str, Any]:
    """Read the run.json of earlier sessions; it only describes, so a missing or damaged one means: nothing known."""
    try:
        data = read_json(folder / STATUS)
    except (OSError, ValueError):
        return {}
    rows = data.get("sessions", []) if isinstance(data, dict) else None
    known = isinstance(rows, list) and all(isinstance(row, dict) and isinstance(row.get("environment"), dict) for row in rows)
    return data if known else {}


def _version() -> str:
    try:
        return importlib.metadata.version("uninas-ray")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
