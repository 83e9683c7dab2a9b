"""A report where the run folder cannot be written: to another file, or one line before any work."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from search.commands.report import command
from search.report import spectra, write_report
from search.report.data import read_run
from search.report.spectra import Spectra
from tests.search.conftest import ROOT
from tests.search.report.report_runs import copy
from tests.uninas.files.read_only import run_with_read_only
from uninas.errors import InputError
from uninas.files import writing

COMMANDS = """
import sys
from uninas.cli import main

for words in ({commands}):
    try:
        main(words)
    except SystemExit as ended:
        print(ended.code, flush=True)
"""


@pytest.mark.slow
def test_on_a_read_only_file_system(complete: Path, tmp_path: Path) -> None:
    """The real one: a run that is mounted so is reported to another file, and each command that has to write says so."""
    run, out = copy(complete, tmp_path), tmp_path / "page.html"
    (tmp_path / "kept").mkdir()
    commands = [
        ["report", str(run)],
        ["report", str(run), "--no-spectra", "--out", str(out)],
        ["search", "--resume", str(run)],
        ["watch", str(run), "--once"],
    ]
    program = COMMANDS.format(commands=", ".join(map(repr, commands)))
    done = run_with_read_only(run, sys.executable, "-c", program, cwd=ROOT)
    assert "Traceback" not in done.stderr
    assert [line for line in done.stdout.splitlines() if line.isdecimal()] == ["2", "0", "2", "0"]
    mistakes = [line for line in done.stderr.splitlines() if line.startswith("uninas: ")]
    assert mistakes == [
        f"uninas: {run}/report.html: cannot write: Read-only file system: give another file by --out",
        f"uninas: {run}/journal.jsonl: expected the journal of a run to resume; Read-only file system",
    ]
    assert "The network, from overview to block" in out.read_text(encoding="utf-8")
    assert f"wrote {out}" in done.stdout


@pytest.fixture
def closed(complete: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in whose folder no file can be made."""
    run, make = copy(complete, tmp_path), writing.new_file

    def refuse(path: Path) -> None:
        if run in path.parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        make(path)

    monkeypatch.setattr(writing, "new_file", refuse)
    monkeypatch.setattr(spectra, "compute", lambda run: Spectra({}, {"best": "not today"}, 4))
    return run


def test_it_is_said_before_any_work(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(run: object) -> Spectra:
        raise AssertionError("no place for what this makes")

    monkeypatch.setattr(spectra, "compute", work)
    with pytest.raises(InputError, match=r"report\.html: cannot write: Read-only file system: give another file by --out"):
        write_report(closed, spectra=True)


def test_with_another_file_spectra_that_cannot_be_kept_are_said(closed: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    before = sorted(path.name for path in closed.iterdir())
    result = CliRunner().invoke(command, [str(closed), "--spectra", "--out", str(out)], catch_exceptions=False)
    assert "spectra.json: cannot write: Read-only file system: spectra are computed again each time" in result.stderr
    assert result.stdout == f"wrote {out}\n"
    assert "not today" in out.read_text(encoding="utf-8")
    assert sorted(path.name for path in closed.iterdir()) == before


def test_another_file_leaves_the_run_with_its_spectra_alone(complete: Path, tmp_path: Path) -> None:
    run = copy(complete, tmp_path)
    before = sorted(path.name for path in run.iterdir())
    write_report(run, spectra=False, out=tmp_path / "page.html")
    assert sorted(path.name for path in run.iterdir()) == before
    for place, said in ((tmp_path, "it is a folder"), (tmp_path / "none" / "page.html", "No such file or directory")):
        with pytest.raises(InputError, match=said):
            write_report(run, spectra=False, out=place)
    assert read_run(run).chosen
