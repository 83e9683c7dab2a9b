"""The journal: one JSON object per line, appended, never rewritten. It is the truth; all else in a run folder follows from it.

What the lines say is in `search.journal.records`, how they carry a checksum in `search.journal.lines`. A line counts once its
newline is on disk: what a crash left without one is dropped on opening. Anything else that is not as expected is an error that
names the line; it is never skipped. The process that writes holds an exclusive lock, which the system releases however that
process ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, final

from search.journal.lines import JournalError, LineReader, sealed
from search.journal.records import VERSION, Header, Kinds, Unknown
from uninas.files.locks import try_lock
from uninas.files.paths import open_file
from uninas.files.run_files import odd

__all__ = ["Journal", "JournalError", "Line", "consistent", "create", "parse", "read", "record", "records", "resume"]

R = TypeVar("R")


class Line(Protocol):
    """What can be appended: a record of `search.journal.records`, or of another kind."""

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        ...


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Give the complete lines of a journal as plain data, header first, without locking it: also while a search writes it.

    Raises:
        JournalError: no such file, a line that is no record, no header, or a newer version.
    """
    try:
        with open(path, "rb") as file:
            for record, _, _ in _lines(file, path):
                yield record
    except OSError as error:
        raise JournalError(f"{path}: expected a journal; cannot read it: {error.strerror}") from None


def records(path: Path, kinds: Kinds[R]) -> Iterator[R | Unknown]:
    """Give the complete records of a journal, header first, without locking it: also while a search writes it.

    Args:
        path: of the journal.
        kinds: those of a search, `search.journal.records.KINDS`, or of a bench.

    Raises:
        JournalError: as `read`, or a record that is not one of this version; the message names path and line.
    """
    for number, data in enumerate(read(path), start=1):
        yield record(data, number, path, kinds)


def record(data: Mapping[str, Any], number: int, path: Path, kinds: Kinds[R]) -> R | Unknown:
    """Read the data of the `number`-th line, from 1 on.

    Raises:
        JournalError: it lacks a key, or a value is not of its type; the message names path and line.
    """
    kind = str(data["kind"])
    parse_kind = kinds.get(kind)
    if parse_kind is None:
        return Unknown(kind)
    try:
        return parse_kind(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{kind} {data.get('index', '')}".rstrip()
        raise JournalError(
            f"{path}, line {number}, {what}: expected a record of this version; {type(error).__name__}: {error}"
        ) from None


def consistent(path: Path, where: str = "") -> AbstractContextManager[None]:
    """Say in one line where what a journal's records say does not hold together: for lines without a checksum.

    Raises:
        JournalError: for whatever the records lead to; an `InputError` is left as it is.
    """
    return odd(path, where, expected="records that belong together", raises=JournalError)


def _lines(file: Any, path: Path) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Give each complete line with its number and the offset behind it; an unfinished last line ends the iteration."""
    offset = 0
    reader = LineReader(path)
    for line in file:
        if not line.endswith(b"\n"):
            return
        offset += len(line)
        yield parse(line, reader, path), reader.number, offset


def parse(line: bytes, reader: LineReader, path: Path) -> dict[str, Any]:
    """Read one complete line, the next of the journal.

    Raises:
        JournalError: it is no record, not the header where one must be, or of another version; the message names path and line.
    """
    record = reader.read(line)
    number, kind = reader.number, record["kind"]
    if (number == 1) != (kind == "header"):
        raise JournalError(f"{path}, line {number}: expected {'a header' if number == 1 else 'a record'}; got '{kind}'")
    if number == 1 and record.get("version") != VERSION:
        raise JournalError(f"{path}: expected journal version {VERSION}; got {record.get('version')}, written by another program")
    return record


@final
class Journal:
    """An open journal to which only this process may append. Use `create` or `resume`.

    Args:
        file: unbuffered binary file, locked, positioned after its last complete record.
        path: named in messages.
        offset: where that is, in bytes.
        fsync_seconds: a record is on disk at most so long after it was written; a crash of the machine (not of the
            process) may lose later ones, and `close` and `sync` lose none.
        clock: monotonic seconds.
    """

    def __init__(
        self, file: Any, path: Path, offset: int, *, fsync_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = file
        self._path = path
        self._offset = offset
        self._cadence = fsync_seconds
        self._clock = clock
        self._synced = clock()

    def append(self, line: Line) -> None:
        """Write one record in one piece.

        Raises:
            JournalError: the disk is full or rejects it. The journal is cut back to its last complete record first.
        """
        text = sealed(line.as_dict())
        try:
            written = 0
            while written < len(text):
                written += self._file.write(text[written:])
            self._offset += len(text)
            if self._clock() - self._synced >= self._cadence:
                self.sync()
        except OSError as error:
            self._cut()
            raise JournalError(
                f"{self._path}: cannot write: {error.strerror or error}; all before it is kept: make room, then resume"
            ) from None

    def _cut(self) -> None:
        try:
            self._file.truncate(self._offset)
            self._file.seek(self._offset)
        except OSError:
            pass  # the same torn tail as after a crash: dropped on the next opening

    def sync(self) -> None:
        """Make all written so far survive a crash of the machine."""
        os.fsync(self._file.fileno())
        self._synced = self._clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Sync and release the lock."""
        try:
            self.sync()
        except OSError as error:
            raise JournalError(f"{self._path}: cannot write: {error.strerror or error}") from None
        finally:
            self._file.close()


def create(path: Path, header: Header) -> Journal:
    """Begin a journal where there is none, with `header` as its first line."""
    try:
        file = open(path, "xb", buffering=0)  # noqa: SIM115 the journal closes it
    except FileExistsError:
        raise JournalError(f"{path}: expected no journal yet; there is one") from None
    except OSError as error:
        raise JournalError(f"{path}: cannot create a journal: {error.strerror}") from None
    _lock(file, path)
    journal = Journal(file, path, 0)
    journal.append(header)
    journal.sync()
    return journal


def resume(path: Path, kinds: Kinds[R], visit: Callable[[R | Unknown], None]) -> Journal:
    """Lock a journal, hand each record to `visit`, drop an unfinished last line, and continue appending after it.

    Raises:
        JournalError: another process holds it, or a line is no record of these kinds. The file is then left as it was.
    """
    try:
        file = open_file(path)
    except OSError as error:
        raise JournalError(f"{path}: expected the journal of a run to resume; {error.strerror}") from None
    try:
        _lock(file, path)
        offset = 0
        with open(path, "rb") as reader:
            for data, number, end in _lines(reader, path):
                read_record = record(data, number, path, kinds)
                with consistent(path, f"line {number}: "):
                    visit(read_record)
                offset = end
        file.truncate(offset)
        file.seek(offset)
    except BaseException:
        file.close()
        raise
    return Journal(file, path, offset)


def _lock(file: Any, path: Path) -> None:
    if not try_lock(file):
        file.close()
        raise JournalError(f"{path}: expected to be the only search on this run; another process is writing it") from None
