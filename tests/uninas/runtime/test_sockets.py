"""Sockets find short folders, however long TMPDIR is."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.search.conftest import ROOT
from uninas.errors import InputError
from uninas.runtime import sockets


@pytest.fixture
def long_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / ("a" * 60) / ("b" * 60)
    folder.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.usefixtures("long_tmpdir")
def test_a_folder_takes_the_longest_socket() -> None:
    folder = sockets.folder_for_sockets("uninas-", 70)
    try:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(f"{folder}/{'s' * 69}")
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def test_tmpdir_is_used_where_it_is_short_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    folder = sockets.folder_for_sockets("uninas-", 70)
    assert folder.parent == Path("/tmp")
    folder.rmdir()


@pytest.mark.usefixtures("long_tmpdir")
def test_where_none_is_short_enough_one_line_says_so() -> None:
    with pytest.raises(InputError, match=r"^TMPDIR: expected a folder of at most 2 characters that can be written"):
        sockets.folder_for_sockets("uninas-", 89)


READERS = """
import multiprocessing.util
from uninas.runtime import sockets
sockets.let_readers_start()
sockets.let_readers_start()
print(multiprocessing.util.get_temp_dir())
"""


@pytest.mark.usefixtures("long_tmpdir")
def test_readers_have_a_short_folder() -> None:
    """In a process of its own, since multiprocessing keeps its folder."""
    done = subprocess.run([sys.executable, "-c", READERS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) < 40
    assert not Path(done.stdout.strip()).exists(), "it is removed at the end"
