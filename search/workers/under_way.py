"""What this process scores just now, kept in a file beside the journal: a process that was killed cannot say it any more.

A candidate that fills the memory takes a process that scores by itself along, and each resume would meet it again. So the next
session finds it here, counts, and gives it up after as many deaths as the Ray pool allows a candidate that runs alone. Who kills
a search by hand (SIGKILL) is not told from the system; Ctrl-C and SIGTERM leave nothing here.

RUN/.under_way.json    {"under_way": name of a job or null, "deaths": {name: count}}; gone after an orderly end
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, final

from search.workers.job import Cause, Outcome, Work
from search.workers.pool import DEATHS_ALONE, Done, SerialPool
from uninas.errors import InputError
from uninas.files.paths import new_file, open_file

__all__ = ["FILE", "Remembered"]

FILE = ".under_way.json"


@final
class Remembered:
    """A serial pool (`search.workers.pool.Pool`) that remembers over the end of this process what it was scoring.

    Args:
        pool: does the work.
        folder: of the run; it need not exist before the first job.
        note: called with what a person should know.
    """

    def __init__(self, pool: SerialPool, folder: Path, note: Callable[[str], None]) -> None:
        self._pool = pool
        self._path = folder / FILE
        self._note = note
        self._file: BinaryIO | None = None
        self._length = 0  # of what is in the file
        self._deaths: dict[str, int] = {}
        self._next: str | None = None
        self._given_up: list[Done] = []

    def start(self) -> dict[str, str]:
        """See `SerialPool.start`."""
        return self._pool.start()

    def free(self) -> int:
        """One job at a time."""
        return self._pool.free() - len(self._given_up)

    def workers(self) -> int:
        """This process."""
        return self._pool.workers()

    def submit(self, ticket: int, job: Work) -> None:
        """Keep the job for the next poll; one that has killed too many processes is not done again."""
        if self._file is None:
            self._open()
        name = _name(job)
        deaths = self._deaths.get(name, 0)
        if deaths >= DEATHS_ALONE:
            reason = f"quarantined: the process was killed {deaths} times while it was scored"
            del self._deaths[name]  # the journal has it from here on
            self._given_up.append(Done(ticket, Outcome.failed(reason, Cause.QUARANTINED), "serial", attempts=deaths))
            self._note(f"candidate {job.label}: {reason}")
            return
        if deaths:
            self._note(
                f"candidate {job.label}: a process was killed while it was scored, {deaths} of {DEATHS_ALONE} times; repeated"
            )
        self._next = name
        self._pool.submit(ticket, job)

    def poll(self, timeout_s: float) -> list[Done]:
        """Run one job to its end."""
        if self._given_up:
            done, self._given_up = self._given_up, []
            self._write(None)
            return done
        if self._next is None:
            return self._pool.poll(timeout_s)
        self._write(self._next)
        try:
            done = self._pool.poll(timeout_s)
            before = self._deaths.pop(self._next, 0)
            return [replace(one, attempts=one.attempts + before) for one in done]
        finally:  # also where Ctrl-C cut it off: that is no death
            self._next = None
            self._write(None)

    def close(self) -> None:
        """Drop what was submitted, and the file, unless it tells of deaths that a later session has to know of."""
        self._pool.close()
        if self._file is not None:
            self._file.close()
            self._file = None
            if not self._deaths:
                self._path.unlink(missing_ok=True)

    def _open(self) -> None:
        """Read what an earlier session left, count a death where it ended in the middle, and keep the file open."""
        try:
            if not self._path.exists():
                new_file(self._path)
            self._file = open_file(self._path)
            text = self._file.read(1 << 20)
        except OSError as error:
            raise InputError(f"{self._path}: cannot write: {error.strerror or error}") from None
        self._length = len(text)
        try:
            left = json.loads(text)
            self._deaths = {str(name): int(count) for name, count in left["deaths"].items()}
            if left["under_way"] is not None:
                name = str(left["under_way"])
                self._deaths[name] = self._deaths.get(name, 0) + 1
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._deaths = {}  # a new file, or one that says nothing
        self._write(None)

    def _write(self, name: str | None) -> None:
        """Say what is under way, in one write: what the system has by then survives this process."""
        assert self._file is not None
        data = json.dumps({"under_way": name, "deaths": self._deaths}).encode().ljust(self._length)
        self._length = len(data)
        try:
            os.pwrite(self._file.fileno(), data, 0)
        except OSError as error:
            raise InputError(f"{self._path}: cannot write: {error.strerror or error}; make room, then resume") from None


def _name(job: Work) -> str:
    """Tell jobs from each other: of one network there are several, on other seeds."""
    data: Any = job.as_dict()
    return f"{job.label} {hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]}"
