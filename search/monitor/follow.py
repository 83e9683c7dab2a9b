"""A run's files as they grow under another process, also one on another machine: read only, no lock is taken.

    run = RunFollower(folder)
    snapshot = run.look()                      repeatedly: reads only what was appended since

A line counts once its newline is there, so an unfinished last line waits for the next look.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, final

from search.config import loading as configuration
from search.journal.journal import JournalError, consistent, parse, record
from search.journal.lines import LineReader
from search.journal.records import KINDS, Record
from search.monitor.snapshot import Figures, Snapshot, session_rate
from uninas.errors import InputError
from uninas.files.run_files import odd, read_run_json

_WINDOW_SECONDS = 120.0  # over which a rate is measured
_LEAST_SECONDS = 20.0  # of watching, before a rate measured here is better than the session's


@final
class Follower:
    """Reads a journal piece by piece.

    Each look opens the file anew: on a shared folder that is what brings in what another machine has written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._reader = LineReader(path)

    def shrunk(self) -> bool:
        """Say whether lines that were read are gone: a machine's crash took them along, or the run was begun anew.

        Raises:
            JournalError: there is no such file any more.
        """
        return self._stat().st_size < self._offset

    def changed(self) -> float:
        """Give the time of the last change, in seconds since the epoch, by the clock of the machine that keeps the file.

        Raises:
            JournalError: there is no such file any more.
        """
        return self._stat().st_mtime

    def _stat(self) -> os.stat_result:
        try:
            return self._path.stat()
        except OSError as error:
            raise JournalError(f"{self._path}: expected the journal of a run; {error.strerror}") from None

    def gained(self) -> Iterator[Record]:
        """Give the records that are new since the last look, header first.

        Raises:
            JournalError: the file cannot be read, a line is no record, no header, or a newer version.
        """
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    data = parse(line, self._reader, self._path)
                    found = record(data, self._reader.number, self._path, KINDS)
                    self._offset += len(line)
                    yield found
        except OSError as error:
            raise JournalError(f"{self._path}: expected the journal of a run; {error.strerror}") from None


@final
class RunFollower:
    """A run folder, looked at repeatedly.

    Args:
        folder: of the run.
        now: seconds since the epoch.
        refresh: brings the folder up to date, where it is the copy of one elsewhere.
        name: of the run; None for the folder's.
    """

    def __init__(
        self,
        folder: Path,
        now: Callable[[], float] = time.time,
        *,
        refresh: Callable[[], None] = lambda: None,
        name: str | None = None,
    ) -> None:
        self._folder = folder
        self._now = now
        self._refresh = refresh
        self._name = name or folder.resolve().name
        self._config_file = folder / "config.yaml"
        if not self._config_file.is_file():
            raise InputError(f"{folder}: expected a run folder (made by uninas search), with a config.yaml; there is none")
        self._config_seen = self._config_file.stat().st_mtime_ns
        self._figures = Figures(configuration.load(self._config_file, stored=True))
        self._follower = Follower(folder / "journal.jsonl")
        self._seen: deque[tuple[float, int]] = deque()  # when there were how many scorings

    def look(self) -> Snapshot:
        """Read what is new, and give the run as it stands.

        Raises:
            InputError: a file of the run is gone, or not what a search writes; the message says which and where.
        """
        self._refresh()
        info = self._info()  # before the journal: of a run that is complete here, all records are there
        self._follow_config()
        if self._follower.shrunk():
            self._figures = Figures(self._figures.config)
            self._follower = Follower(self._folder / "journal.jsonl")
            self._seen.clear()
        with consistent(self._folder / "journal.jsonl"):
            for gained in self._follower.gained():
                self._figures.add(gained)
        changed = self._follower.changed()
        rate = self._rate() if info.get("status") == "running" else None
        if rate is None:
            with odd(self._folder / "run.json"):
                rate = session_rate(info, self._figures.done, changed)
        return self._figures.snapshot(self._name, info, rate, max(self._now() - changed, 0.0))

    def _info(self) -> Mapping[str, Any]:
        if not (self._folder / "run.json").is_file():
            return {}
        info = read_run_json(self._folder, "run.json", place="a run folder", content="what a search writes")
        if not isinstance(info, dict):
            raise InputError(f"{self._folder / 'run.json'}: expected the JSON object that a search writes; got another value")
        return info

    def _follow_config(self) -> None:
        """Read the configuration anew where a resumed run was given more evaluations."""
        seen = self._config_file.stat().st_mtime_ns
        if seen != self._config_seen:
            self._config_seen, self._figures.config = seen, configuration.load(self._config_file, stored=True)

    def _rate(self) -> float | None:
        """Give scorings per second over the last minutes of watching; None before there were enough."""
        now, done = self._now(), self._figures.done
        self._seen.append((now, done))
        while len(self._seen) > 1 and now - self._seen[1][0] > _WINDOW_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        return (done - before) / (now - since) if now - since >= _LEAST_SECONDS and done > before else None
