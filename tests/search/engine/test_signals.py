"""Signals at any moment of a search: status 130, and a run that is not there yet, can be resumed, or is complete."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from search.config import loading
from search.engine import artifacts, driver, session
from search.engine.finals import final_round
from search.engine.phase import Phase
from search.journal import journal as journals
from search.workers.interrupts import as_ctrl_c
from search.workers.pool import SerialPool
from tests.search.conftest import Notes, resume_toy, run_toy, stable
from uninas.cli import main
from uninas.errors import InputError

SMALL = ("evaluations=12", "window=3", "algorithm_options.population=4", "baseline=true")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def spared() -> Iterator[None]:
    """A signal that nobody takes is a failure of the test and not the end of all tests."""

    def fail(number: int, frame: object) -> None:
        raise AssertionError(f"signal {number} was not taken")

    before = {number: signal.signal(number, fail) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def signalled(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: signal.Signals = signal.SIGTERM) -> None:
    """Let the signal come the first time that a function begins."""
    function, left = getattr(owner, name), [number]

    def begins(*arguments: Any, **named: Any) -> Any:
        if left:
            os.kill(os.getpid(), left.pop())
        return function(*arguments, **named)

    monkeypatch.setattr(owner, name, begins)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_toy(folder, *SMALL)
    return folder


def status(folder: Path) -> str:
    return str(json.loads((folder / "run.json").read_text())["status"])


@pytest.mark.parametrize("number", SIGNALS)
def test_while_the_workers_start_nothing_is_left(number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signalled(monkeypatch, SerialPool, "start", number)
    with pytest.raises(KeyboardInterrupt):
        run_toy(tmp_path / "run", *SMALL)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("owner", "name"), [(Path, "mkdir"), (driver, "write_text"), (journals, "create"), (Phase, "run"), (final_round, "rebuild")]
)
@pytest.mark.parametrize("number", SIGNALS)
def test_from_the_folder_on_it_can_be_resumed(
    owner: Any, name: str, number: signal.Signals, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        signalled(patched, owner, name, number)
        with pytest.raises(KeyboardInterrupt):
            run_toy(folder, *SMALL)
    assert status(folder) == "interrupted"
    resume_toy(folder)
    assert status(folder) == "complete"
    assert stable(folder) == stable(whole)


def test_while_the_last_results_are_written_the_run_is_complete(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    signalled(monkeypatch, artifacts, "write_finalists")
    with pytest.raises(KeyboardInterrupt):
        run_toy(tmp_path / "run", *SMALL, view=notes.view)
    assert status(tmp_path / "run") == "complete"
    assert (tmp_path / "run" / "best.json").read_bytes() == (whole / "best.json").read_bytes()
    assert any("uninas search --resume" in note for note in notes.notes)


@pytest.mark.parametrize(("before", "after"), [("running", "interrupted"), ("complete", "complete"), ("failed", "failed")])
def test_while_a_resume_reads_the_journal_the_run_stays_as_it_was(
    before: str, after: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status that a killed session left behind is put right."""
    folder, notes = tmp_path / "run", Notes()
    run_toy(folder, *SMALL)
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, "status": before}))
    kept = {name: (folder / name).read_bytes() for name in ("journal.jsonl", "config.yaml", "best.json")}
    for owner, name in ((session.Session, "_reopened"), (Phase, "replay")):
        with monkeypatch.context() as patched:
            signalled(patched, owner, name)
            with pytest.raises(KeyboardInterrupt):
                resume_toy(folder, view=notes.view, evaluations=20)
        assert json.loads((folder / "run.json").read_text()) == {**info, "status": after}
        assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert notes.notes.count("stopped while the journal was read: the run is as it was") == 2


def test_a_kill_between_the_files_and_the_journal_leaves_a_run_to_resume(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_bytes((whole / "config.yaml").read_bytes())
    resume_toy(folder)
    assert stable(folder) == stable(whole)
    (folder / "journal.jsonl").unlink()  # of a run that was under way: not a beginning
    with pytest.raises(InputError, match="expected the journal of a run to resume"):
        resume_toy(folder)


def test_a_kill_before_the_configuration_is_written_leaves_a_folder_to_begin_in(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "space.py").write_text("SPACE = 1")
    (folder / ".config.yaml.part").write_text("spa")
    run_toy(folder, *SMALL)
    assert stable(folder) == stable(whole)
    (folder / "config.yaml").unlink()
    with pytest.raises(InputError, match="it exists"):
        run_toy(folder, *SMALL)


# --- the command ------------------------------------------------------------------------------------------------------------


def ended(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as raised:
        main(list(words))
    return raised.value.code


@pytest.mark.parametrize("number", SIGNALS)
def test_while_the_configuration_is_read_it_ends_with_130(
    number: signal.Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as a command finds them
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signalled(monkeypatch, loading, "load", number)
    assert ended("search", "demo", "--out", str(tmp_path / "run")) == 130
    assert capsys.readouterr().err.split("\n") == ["", "uninas: interrupted", ""]
    assert not (tmp_path / "run").exists()


def test_in_the_report_it_says_how_to_make_it(
    whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import search.report

    info = json.loads((whole / "run.json").read_text())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.setattr(driver, "resume", lambda folder, overrides, **more: info)
    signalled(monkeypatch, search.report, "write_report")
    assert ended("search", "--resume", str(whole)) == 130
    said = capsys.readouterr()
    assert f"its report is not made; make it with: uninas report {whole}\n" in said.err
    assert said.err.endswith("\nuninas: interrupted\n")
    assert "best.json" in said.out
    assert status(whole) == "complete"
    signalled(monkeypatch, search.report, "write_report")
    assert ended("report", str(whole)) == 130


def test_what_a_caller_has_arranged_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[int] = []
    ours: Callable[..., None] = lambda number, frame: said.append(number)  # noqa: E731
    signal.signal(signal.SIGTERM, ours)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with as_ctrl_c():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
    assert said == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is ours
    assert sys.exc_info() == (None, None, None)
