"""A run folder that lives at a URL: s3://bucket/run, gs://bucket/run, or whatever else fsspec and pyarrow know.

    with run_folder("s3://bucket/run", fresh=True, note=print) as folder:      a local Path, mirrored while it is used
        driver.begin(config, folder, ...)
    with snapshot("s3://bucket/run") as folder: ...                            a copy to read from, for a report

A search always works on a local folder. A thread mirrors it: every few seconds the journal's new lines become one more object,
and files that changed are written again, so that losing the machine loses at most those seconds. The store holds

    config.yaml, run.json, best.json, ...        as in a local run folder
    journal/000000000000.jsonl, ...              the journal in pieces, each named by its offset in bytes
    owner.json                                   who writes: a random token and a heartbeat, gone after a clean end

Pieces are whole lines; small ones are joined from time to time under the name of the first, and a reader skips what a joined one
covers: at every moment the store holds the whole journal up to some line. Object stores have no locks. The owner's heartbeat
takes their place: a second search that sees it change is rejected, and an owner that finds another's token stops.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from search.journal.object_store import Store, is_url
from uninas.errors import InputError
from uninas.runtime.files import replacing

__all__ = ["Mirror", "followed", "run_folder", "snapshot"]

HEARTBEAT_SECONDS = 5.0
"""Seconds between two passes of a mirror: what is lost with a machine."""

SILENT_HEARTBEATS = 3
"""An owner whose heartbeat does not change for this many passes is considered dead."""

JOIN = 64
"""This many small pieces of the journal are joined into one."""

_JOURNAL, _STALE = "journal.jsonl", "journal.stale.jsonl"
_OWNER = "owner.json"
_PIECE = re.compile(r"journal/(\d{12})\.jsonl")


@final
class Mirror:
    """Keeps a store equal to a local run folder, as its only writer.

    Args:
        folder: of the run.
        store: to be kept equal.
        note: called with trouble that a person should know of.
        heartbeat_seconds: between two passes.
    """

    def __init__(
        self, folder: Path, store: Store, *, note: Callable[[str], None], heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        self._folder, self._store, self._note, self._every = folder, store, note, heartbeat_seconds
        self._token, self._beat = secrets.token_hex(16), 0
        self._sent = 0  # bytes of the journal that the store has
        self._pieces: list[int] = []  # offsets of the small ones
        self._seen: dict[str, tuple[int, int]] = {}  # name -> (time of change, size) of what the store has
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble = ""
        self.lost_ownership = False

    def claim(self) -> None:
        """Become the run's owner.

        Raises:
            InputError: another process is writing it.
        """
        before = self._store.get(_OWNER)
        if before is not None:
            self._note(f"{self._store.url}: its last search did not end cleanly; checking whether it is still running")
            for _ in range(SILENT_HEARTBEATS):
                self._stop.wait(self._every)
                if self._store.get(_OWNER) not in (before, None):
                    raise InputError(
                        f"{self._store.url}: expected to be the only search on this run; another process is writing it"
                    )
        self._mark()

    def _mark(self) -> None:
        self._beat += 1
        self._store.put(_OWNER, json.dumps({"token": self._token, "beat": self._beat}).encode())

    def pull(self) -> None:
        """Bring the local folder up to what the store has.

        A local journal that is ahead of the store's, as after a kill on this machine, is kept; where the two differ the store's
        counts, and the local one is set aside.

        Raises:
            InputError: nothing is there, or a piece of the journal is missing.
        """
        names = self._store.names()
        if "config.yaml" not in names:
            raise InputError(f"{self._store.url}: expected a run folder with a config.yaml; there is none")
        theirs, small = _journal(self._store, names)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / _JOURNAL
        ours = path.read_bytes() if path.exists() else b""
        if not ours.startswith(theirs):
            if not theirs.startswith(ours):
                path.replace(self._folder / _STALE)
                self._note(f"{path}: differs from the store's journal, which counts; set aside as {_STALE}")
            _write(path, theirs)
        self._sent, self._pieces = len(theirs), small
        for name in names:
            if name != _OWNER and not _PIECE.fullmatch(name):
                data = self._store.get(name)
                if data is not None:
                    _write(self._folder / name, data)
                    self._seen[name] = _state(self._folder / name)

    def start(self) -> None:
        """Mirror once, so that a store that rejects it is known at once, then continue in a thread."""
        self.push()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self.push()
            except InputError as error:
                if self.lost_ownership:
                    os.kill(os.getpid(), signal.SIGTERM)  # the search stops cleanly
                    return
                if not self._trouble:
                    self._note(f"warning: {error}; the search goes on in {self._folder}, and this is tried again")
                self._trouble = str(error)
            else:
                if self._trouble:
                    self._note(f"{self._store.url}: can be written again")
                self._trouble = ""

    def push(self) -> None:
        """Bring the store up to the local folder.

        Raises:
            InputError: the store rejects it, or another process took the run over.
        """
        self._check_owner()
        self._mark()
        # The journal says nothing without them.
        self.push_files(("config.yaml", "start.json", "space.py", "proxies.py", "algorithm.py"))
        self._push_journal()
        self.push_files()

    def _check_owner(self) -> None:
        found = self._store.get(_OWNER)
        try:
            token = None if found is None else json.loads(found)["token"]
        except (ValueError, TypeError, KeyError):
            token = None
        if self._beat and token != self._token:
            self.lost_ownership = True
            raise InputError(f"{self._store.url}: expected to be the only search on this run; another process took it over")

    def _push_journal(self) -> None:
        path = self._folder / _JOURNAL
        if not path.exists():
            return
        new = _read(path, self._sent)
        new = new[: new.rfind(b"\n") + 1]
        if not new:
            return
        self._store.put(_piece(self._sent), new)
        self._pieces.append(self._sent)
        self._sent += len(new)
        if len(self._pieces) >= JOIN:
            first, *others = self._pieces
            self._store.put(_piece(first), _read(path, first)[: self._sent - first])
            for offset in others:
                self._store.delete(_piece(offset))
            self._pieces = []

    def push_files(self, wanted: Collection[str] | None = None) -> None:
        """Bring files other than the journal up to date, all or the wanted ones. Raises InputError: the store rejects it."""
        here = {}
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            hidden = any(part.startswith(".") for part in Path(name).parts)
            if path.is_file() and not hidden and name not in (_JOURNAL, _STALE):
                here[name] = _state(path)
        for name, state in here.items():
            if (wanted is None or name in wanted) and self._seen.get(name) != state:
                self._store.put(name, (self._folder / name).read_bytes())
                self._seen[name] = state
        for name in sorted(self._seen.keys() - here.keys()):
            self._store.delete(name)
            del self._seen[name]

    def release(self) -> None:
        """Release the run, unless it is another's by now. Raises InputError: the store rejects it."""
        if not self.lost_ownership:
            self._store.delete(_OWNER)

    def close(self) -> None:
        """Bring the store up to date and release the run.

        Raises:
            InputError: the store rejects it; the local folder has everything then.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        try:
            self.push()
            self.release()
        except InputError as error:
            if self.lost_ownership:
                raise
            raise InputError(
                f"{error}; all is kept in {self._folder}: make the store writable, then uninas search --resume {self._store.url}"
            ) from None


def _piece(offset: int) -> str:
    return f"journal/{offset:012}.jsonl"


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=False) as part:  # the store has it
        part.write_bytes(data)


def _journal(store: Store, names: list[str]) -> tuple[bytes, list[int]]:
    """Put the journal's pieces together; gives the offsets of those at its end that are still to be joined, too."""
    whole, used = bytearray(), []
    for name in names:
        match = _PIECE.fullmatch(name)
        if match is None:
            continue
        offset, data = int(match[1]), store.get(name)
        if data is None:
            raise InputError(f"{store.url}: expected {name}; it is gone: another process is at this run")
        if offset > len(whole):
            raise InputError(f"{store.url}: expected a piece of the journal from byte {len(whole)} on; the next is {name}")
        if offset + len(data) > len(whole):
            whole += data[len(whole) - offset :]
            used.append(offset)
    return bytes(whole), used[-JOIN + 1 :]


@contextmanager
def run_folder(
    place: str, *, fresh: bool, note: Callable[[str], None], heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> Iterator[Path]:
    """Give the local folder of a run, mirrored until the end where `place` is a URL.

    Args:
        place: path or URL.
        fresh: whether the run is new; else it is continued.
        note: called with what a person should know.
        heartbeat_seconds: see `Mirror`.

    Raises:
        InputError: of the store; a fresh run that exists already, or one to continue that does not.
    """
    if not is_url(place):
        yield Path(place)
        return
    store = Store(place)
    folder = _working_folder(store.url)
    mirror = Mirror(folder, store, note=note, heartbeat_seconds=heartbeat_seconds)
    if fresh and any(name != _OWNER for name in store.names()):
        raise InputError(f"{store.url}: expected a new run folder; it exists: resume it with --resume, or give another --out")
    mirror.claim()
    try:
        if fresh:
            _set_aside(folder)
        else:
            mirror.pull()
        mirror.start()
    except BaseException:
        mirror.release()  # what cannot be resumed stays as it is
        raise
    try:
        yield folder
    finally:
        mirror.close()


@contextmanager
def snapshot(place: str) -> Iterator[Path]:
    """Give a folder to look at a run in: the run's own, or a copy of what a URL holds, gone in the end.

    Files that are made or changed in a copy, a report above all, go back to the URL; a journal never does.

    Raises:
        InputError: of the store, or nothing is there.
    """
    if not is_url(place):
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="uninas-") as folder:
        mirror = Mirror(Path(folder), Store(place), note=lambda text: None)
        mirror.pull()
        yield Path(folder)
        mirror.push_files()


@contextmanager
def followed(place: str) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Give a folder to watch a run in, and what brings it up to date: nothing to do for a path, a fresh look for a URL.

    Raises:
        InputError: of the store, or nothing is there; so does a fresh look.
    """
    if not is_url(place):
        yield Path(place), lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="uninas-") as folder:
        mirror = Mirror(Path(folder), Store(place), note=lambda text: None)
        mirror.pull()
        yield Path(folder), mirror.pull


def _working_folder(url: str) -> Path:
    """Where a run at a URL is worked on: the same for the same URL, so that what a kill left is found again."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uninas" / "runs"
    return cache / f"{url.rpartition('/')[2] or 'run'}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _set_aside(folder: Path) -> None:
    """Make room for a new run where an old one, which the store no longer has, was worked on."""
    if folder.exists():
        number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}.{n}").exists())
        folder.replace(folder.with_name(f"{folder.name}.{number}"))
