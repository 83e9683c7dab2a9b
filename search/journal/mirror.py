"""A run folder that lives at a URL: s3://bucket/run, gs://bucket/run, or whatever else fsspec and pyarrow know.

    with run_folder("s3://bucket/run", fresh=True, note=print) as folder:      a local Path, mirrored while it is used
        driver.begin(config, folder, ...)
    with snapshot("s3://bucket/run") as folder: ...                            a copy to read from, for a report

A search always works on a local folder. A thread mirrors it: every few seconds the journal's new lines become one more object,
and files that changed are written again, so that losing the machine loses at most those seconds. The store holds

    config.yaml, run.json, best.json, ...        as in a local run folder
    journal/000000000000.jsonl, ...              the journal in pieces, each named by its offset in bytes
    owner.json                                   who writes: a random token and a heartbeat, gone after a clean end

Of the pieces see `search.journal.pieces`. Object stores have no locks. The owner's heartbeat takes their place: a second search
that sees it change is rejected, and an owner that finds another's token stops. A store that is away, or has no token at all for a
while, is tried again.

What a store holds is somebody else's data: a name that leads out of the folder is an error before anything is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from search.journal import pieces
from search.journal.object_store import Listed, Store, is_url
from search.journal.pieces import PIECE, piece
from uninas.errors import InputError
from uninas.files.paths import below, is_name, own_folder, plain
from uninas.files.writing import replacing

__all__ = ["BEGUN", "Mirror", "followed", "run_folder", "snapshot"]

HEARTBEAT_SECONDS = 5.0
"""Seconds between two passes of a mirror: what is lost with a machine."""

SILENT_HEARTBEATS = 3
"""An owner whose heartbeat does not change for this many passes is considered dead."""

PATIENCE = 12
"""So many looks in a row may find the store away before a watch ends."""

BEGUN = ("config.yaml", "start.json", "space.py", "proxies.py", "algorithm.py")
"""What a run folder holds before its journal."""

_JOURNAL, _STALE = "journal.jsonl", "journal.stale.jsonl"
_OWNER = "owner.json"


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
        self._loaded: dict[str, Listed] = {}  # what the store said of each object when it was last loaded
        self._journal = b""  # as it was last assembled
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
        objects = self._store.objects()
        if "config.yaml" not in objects:
            raise InputError(f"{self._store.url}: expected a run folder with a config.yaml; there is none")
        theirs, small = pieces.assemble(self._store, objects, self._journal, self._loaded)
        names = [name for name in objects if not (name == _OWNER or PIECE.fullmatch(name) or _hidden(name))]
        for name in names:
            below(self._folder, name)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._pull_journal(theirs)
            for name in names:
                if objects[name].version is None or self._loaded.get(name) != objects[name] or name not in self._seen:
                    self._pull_file(name)
        except OSError as error:
            raise InputError(f"{self._folder}: cannot hold a copy of {self._store.url}: {error.strerror or error}") from None
        self._sent, self._pieces = len(theirs), small
        self._loaded, self._journal = objects, theirs

    def _pull_journal(self, theirs: bytes) -> None:
        path = below(self._folder, _JOURNAL)
        ours = path.read_bytes() if path.exists() else b""
        if not ours.startswith(theirs):
            if not theirs.startswith(ours):
                path.replace(self._folder / _STALE)
                self._note(f"{path}: differs from the store's journal, which counts; set aside as {_STALE}")
            _write(self._folder, _JOURNAL, theirs)

    def _pull_file(self, name: str) -> None:
        data = self._store.get(name)
        if data is not None:
            self._seen[name] = _state(_write(self._folder, name, data))

    def start(self) -> None:
        """Mirror once, so that a store that rejects it is known at once, then continue in a thread."""
        self.push()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self.push()
            except (InputError, OSError) as error:  # OSError: a file that is gone by now, say
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
        self.push_files(BEGUN)
        self._push_journal()
        self.push_files()

    def _check_owner(self) -> None:
        """See that no other process has the run: by its token, or, where there is none, by what it wrote."""
        found = self._store.get(_OWNER)
        try:
            token = None if found is None else json.loads(found)["token"]
        except (ValueError, TypeError, KeyError, RecursionError):
            token = None
        if not self._beat or token == self._token:
            return
        if token is None:  # a store that is away for a moment may say that nothing is there
            end = pieces.end(self._store.objects())
            if end < self._sent:
                raise InputError(f"{self._store.url}: expected the journal up to byte {self._sent:,}; it ends at {end:,}")
        if token is not None or end > self._sent:
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
        self._store.put(piece(self._sent), new)
        self._pieces.append(self._sent)
        self._sent += len(new)
        if len(self._pieces) >= pieces.JOIN:
            first, *others = self._pieces
            self._store.put(piece(first), _read(path, first)[: self._sent - first])
            for offset in others:
                self._store.delete(piece(offset))
            self._pieces = []

    def push_files(self, wanted: Collection[str] | None = None) -> None:
        """Bring files other than the journal up to date, all or the wanted ones. Raises InputError: the store rejects it."""
        here = {}
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            # Links stay at home: what they lead to is no part of the run, and no other machine has it.
            mirrored = plain(name) and not _hidden(name) and name not in (_JOURNAL, _STALE)
            if mirrored and not path.is_symlink() and path.is_file():
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
        for tries_left in reversed(range(SILENT_HEARTBEATS)):
            try:
                self.push()
                self.release()
            except InputError as error:
                if self.lost_ownership:
                    raise
                if tries_left:
                    threading.Event().wait(self._every)  # it may be away for seconds only
                    continue
                raise InputError(
                    f"{error}; all is kept in {self._folder}: "
                    f"make the store writable, then uninas search --resume {self._store.url}"
                ) from None
            return


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read()


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = below(folder, name)
    if "/" in name:
        own_folder(folder, name.rpartition("/")[0])
    with replacing(path, durable=False) as part:  # the store has it
        part.write_bytes(data)
    return path


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
    folder = _working_folder(store.place)
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
        InputError: of the store, or nothing is there; so does a fresh look, once `PATIENCE` of them in a row failed.
    """
    if not is_url(place):
        yield Path(place), lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="uninas-") as folder:
        mirror = Mirror(Path(folder), Store(place), note=lambda text: None)
        mirror.pull()
        away = 0

        def refresh() -> None:
            nonlocal away
            try:
                mirror.pull()
            except InputError:
                away += 1
                if away == PATIENCE:
                    raise
            else:
                away = 0

        yield Path(folder), refresh


def _working_folder(url: str) -> Path:
    """Where a run at a URL is worked on: the same for the same URL, so that what a kill left is found again."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uninas" / "runs"
    name = url.partition("?")[0].rpartition("/")[2]  # what follows may be a secret
    return cache / f"{name if is_name(name) else 'run'}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _set_aside(folder: Path) -> None:
    """Make room for a new run where an old one, which the store no longer has, was worked on."""
    if folder.exists():
        number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}.{n}").exists())
        folder.replace(folder.with_name(f"{folder.name}.{number}"))
