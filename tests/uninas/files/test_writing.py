"""Files are written whole or not at all; tables of rows that differ keep every column."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from uninas.errors import InputError
from uninas.files.locks import try_lock
from uninas.files.tables import csv_text, read_numbers, write_csv
from uninas.files.writing import replacing, write_json, write_text


def test_what_was_there_stays_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with replacing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_beside_it(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as beside:
            beside.write_text("ne")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_a_durable_file_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = list[int]()
    monkeypatch.setattr(os, "fsync", synced.append)
    for durable in (True, False):
        with replacing(tmp_path / "file", durable=durable) as beside:
            beside.write_text("text")
    assert len(synced) == 1


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none/file: cannot write: No such file or directory"):
        write_text(tmp_path / "none" / "file", "")
    write_text(tmp_path / "file", "")
    with pytest.raises(InputError, match="file/file: cannot write: Not a directory"):
        write_text(tmp_path / "file" / "file", "")


def test_a_name_in_no_encoding_is_spelled_out(tmp_path: Path) -> None:
    """Of a run folder, say, in the title of its report."""
    write_text(tmp_path / "page", f"ä {os.fsdecode(bytes([0xFF]))}")
    assert (tmp_path / "page").read_text(encoding="utf-8") == r"ä \udcff"


def test_json_has_no_infinity(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "file", [float("inf")])
    assert list(tmp_path.iterdir()) == []


def test_rows_that_differ_share_a_table(tmp_path: Path) -> None:
    rows = [{"a": 1, "b": "x, y"}, {"a": 2, "c": 3.5}]
    assert csv_text(rows) == 'a,b,c\n1,"x, y",\n2,,3.5\n'
    assert csv_text(rows, ["c", "a"]) == "c,a\n,1\n3.5,2\n"
    write_csv(tmp_path / "table.csv", rows, ["a", "c"])
    assert read_numbers(tmp_path / "table.csv") == [{"a": 1.0}, {"a": 2.0, "c": 3.5}]


def test_a_lock_is_had_once_until_its_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with path.open("r+b") as one, path.open("r+b") as other:
        assert try_lock(one)
        assert not try_lock(other)
        one.close()
        assert try_lock(other)


def test_a_link_that_a_file_is_written_beside_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for target in (victim, tmp_path / "nothing"):
        for write in (lambda path: write_text(path, "text"), lambda path: write_json(path, 1), lambda path: write_csv(path, [])):
            (tmp_path / ".file.part").symlink_to(target)
            write(tmp_path / "file")
            assert not (tmp_path / "file").is_symlink()
            assert (tmp_path / "file").is_file()
    assert victim.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "victim"]


def test_a_link_put_there_meanwhile_does_not_take_the_files_name(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")

    def swap() -> None:
        with replacing(tmp_path / "file") as beside:
            beside.unlink()
            beside.symlink_to(tmp_path / "victim")

    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        swap()
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


def test_a_link_that_has_the_files_own_name_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "file").symlink_to(tmp_path / "victim")
    write_text(tmp_path / "file", "text")
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "file").is_symlink()
