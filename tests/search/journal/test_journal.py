"""The journal: torn tails at every byte, garbage, locks, full disks."""

import errno
import io
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from search.journal import journal
from search.journal.journal import Journal, JournalError
from search.journal.lines import LineReader, sealed
from search.journal.records import KINDS, Ask, Header, Record

HEADER = Header("d")
RECORDS = [Ask("search", place, "ä" * place, 0) for place in range(4)]


def written(path: Path) -> bytes:
    book = journal.create(path, HEADER)
    for record in RECORDS:
        book.append(record)
    book.close()
    return path.read_bytes()


def visited(path: Path) -> list[Record]:
    found: list[Record] = []
    journal.resume(path, KINDS, found.append).close()
    return found


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path)
    header = {"kind": "header", "version": 1, "config_digest": "d"}
    assert list(journal.read(path)) == [header, *(record.as_dict() for record in RECORDS)]
    assert visited(path) == list(journal.records(path, KINDS)) == [HEADER, *RECORDS]


def test_a_tail_torn_at_any_byte_is_dropped_and_writing_goes_on_behind_the_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole = written(path)
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        assert list(journal.records(path, KINDS))[1:] == RECORDS[:-1]  # reading alone changes nothing
        assert path.read_bytes() == whole[:end]
        book = journal.resume(path, KINDS, lambda record: None)
        book.append(RECORDS[-1])
        book.close()
        assert path.read_bytes() == whole


def test_a_header_torn_at_any_byte_is_an_empty_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole = written(path)
    for end in range(whole.index(b"\n") + 1):
        path.write_bytes(whole[:end])
        assert visited(path) == []
        assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"{not json",
        b"\x00\x00\x00",
        b"[1]",
        b'{"no": "kind"}',
        b"",
        b"\xff\xfe",
        b'"kind"',
        b"[" * 200_000,
        b'{"kind": "ask"} {}',
    ],
)
def test_garbage_within_names_its_line_and_harms_nothing(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    lines = written(path).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], garbage + b"\n", *lines[3:]]))
    before = path.read_bytes()
    with pytest.raises(JournalError, match="line 3: expected a journal record"):
        visited(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_journal_or_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"kind": "candidate"}\n')
    with pytest.raises(JournalError, match="line 1: expected a header; got 'candidate'"):
        visited(path)
    path.write_text('{"kind": "header", "version": 2}\n')
    with pytest.raises(JournalError, match="expected journal version 1; got 2"):
        visited(path)
    with pytest.raises(JournalError, match="expected the journal of a run to resume"):
        visited(tmp_path / "none.jsonl")
    with pytest.raises(JournalError, match="cannot read it"):
        list(journal.read(tmp_path / "none.jsonl"))


def test_nan_is_never_written(tmp_path: Path) -> None:
    book = journal.create(tmp_path / "journal.jsonl", HEADER)
    with pytest.raises(ValueError, match="not JSON compliant"):
        book.append(Header("d", {"score": float("nan")}))
    book.close()
    assert len(visited(tmp_path / "journal.jsonl")) == 1


def test_a_second_writer_is_refused_a_reader_is_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    book = journal.create(path, HEADER)
    book.append(RECORDS[0])
    with pytest.raises(JournalError, match="another process is writing it"):
        visited(path)
    other = "import sys; from search.journal import journal; journal.resume(__import__('pathlib').Path(sys.argv[1]), {}, print)"
    done = subprocess.run([sys.executable, "-c", other, str(path)], capture_output=True, text=True, check=False)
    assert "another process is writing it" in done.stderr
    assert len(list(journal.read(path))) == 2
    book.close()
    assert len(visited(path)) == 2


def test_two_creations_of_one_journal(tmp_path: Path) -> None:
    journal.create(tmp_path / "journal.jsonl", HEADER).close()
    with pytest.raises(JournalError, match="there is one"):
        journal.create(tmp_path / "journal.jsonl", HEADER)


class SmallDisk(io.FileIO):
    """A file on a disk with room for so many bytes: writes what fits, then says that there is no space."""

    room = 0

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = super().write(bytes(data[: self.room]))
        self.room -= taken
        return taken


def test_a_full_disk_leaves_whole_records_only(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    line = len(sealed(RECORDS[0].as_dict()))
    for room in range(line):
        path.unlink(missing_ok=True)
        journal.create(path, HEADER).close()
        size = path.stat().st_size
        disk = SmallDisk(path, "r+b")
        disk.seek(size)
        disk.room = room
        book = Journal(disk, path, size)
        with pytest.raises(JournalError, match=r"journal\.jsonl: cannot write: No space left on device; all before it is kept"):
            book.append(RECORDS[0])
        assert path.stat().st_size == size
        disk.room = line  # room was made
        book.append(RECORDS[0])
        book.close()
        assert visited(path)[1:] == RECORDS[:1]


def test_records_reach_the_disk_at_the_stated_cadence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, synced = [0.0], []
    monkeypatch.setattr(journal.os, "fsync", lambda number: synced.append(now[0]))
    path = tmp_path / "journal.jsonl"
    with open(path, "xb", buffering=0) as file:
        book = Journal(file, path, 0, fsync_seconds=1.0, clock=lambda: now[0])
        for tick in range(25):
            now[0] = tick / 10
            book.append(RECORDS[0])
        assert synced == [1.0, 2.0]
        book.sync()
        assert synced[-1] == 2.4


def test_every_line_carries_a_checksum_of_all_before_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for line in written(path).splitlines():
        plain, _, crc = line.rpartition(b',"crc":"')
        assert crc == b'%08x"}' % zlib.crc32(plain + b"}")
        assert list(json.loads(line))[-1] == "crc"


def test_a_bit_that_flipped_anywhere_is_found(tmp_path: Path) -> None:
    """In its last newline too, which then is none: a line without is no line yet."""
    path = tmp_path / "journal.jsonl"
    whole = written(path)
    records = list(journal.read(path))
    for place in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            if place == len(whole) - 1:
                assert list(journal.read(path)) == records[:-1]
                continue
            with pytest.raises(JournalError, match=r"journal\.jsonl(, line \d)?: expected") as raised:
                list(journal.read(path))
            assert str(raised.value).isprintable()


def test_lines_of_before_are_read_without_and_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    before = b"".join(json.dumps(one.as_dict()).encode() + b"\n" for one in (HEADER, *RECORDS[:2]))
    path.write_bytes(before)
    book = journal.resume(path, KINDS, lambda record: None)
    book.append(RECORDS[2])
    book.close()
    assert path.read_bytes() == before + sealed(RECORDS[2].as_dict())
    assert visited(path) == [HEADER, *RECORDS[:3]]
    path.write_bytes(path.read_bytes() + before.splitlines(keepends=True)[1])
    with pytest.raises(JournalError, match="line 5: expected a line with a checksum, as those before it"):
        visited(path)


def test_a_line_that_was_edited_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(written(path).replace(b'"index":2', b'"index":3'))
    with pytest.raises(
        JournalError, match=r"line 4: expected the line as it was written; its checksum .* cut it before this line"
    ):
        visited(path)


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), ValueError("two\nlines"), AttributeError(), IndexError()])
def test_records_that_do_not_belong_together_are_one_line(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "journal.jsonl"
    written(path)

    def visit(record: Record) -> None:
        if isinstance(record, Ask):
            raise error

    with pytest.raises(JournalError, match=f"line 2: expected records that belong together; {type(error).__name__}") as raised:
        journal.resume(path, KINDS, visit)
    assert str(raised.value).isprintable()
    reader = LineReader(path)
    assert (reader.read(sealed(HEADER.as_dict())), reader.number) == (HEADER.as_dict(), 1)
