"""`uninas runs`: what a folder of runs holds, read from their files."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from search.commands.runs import command
from search.monitor import runs
from search.monitor.runs import Row, below
from tests.search.conftest import records, run_toy
from uninas.errors import InputError
from uninas.files.writing import write_json

OVERRIDES = ("evaluations=12", "baseline=true", "algorithm_options={population: 4}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "demo-0"
    run_toy(folder, *OVERRIDES)
    return folder


def changed(folder: Path, seconds: float) -> None:
    """Let everything of a run have changed then."""
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (seconds, seconds))


def test_a_search_is_told_with_its_best_and_its_age(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "demo-0")
    changed(tmp_path / "demo-0", 1000.0)
    (row,) = below(tmp_path, now=lambda: 1090.0)
    assert (row.path, row.kind, row.state, row.done, row.total, row.unit) == (
        str(tmp_path / "demo-0"),
        "search",
        "complete",
        24,
        24,
        "candidates",
    )
    assert row.age_seconds == 90.0
    population = [line["scores"] for line in records(whole) if line["kind"] == "candidate"]
    assert dict(row.best) in population
    assert below(tmp_path / "demo-0") != []  # the folder itself may be a run


def test_one_that_was_killed_says_how_far_it_came(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "demo-0")
    journal = tmp_path / "demo-0/journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    candidates = [place for place, line in enumerate(lines) if b'"kind":"candidate"' in line]
    journal.write_bytes(b"".join(lines[: candidates[5]]))
    write_json(tmp_path / "demo-0/run.json", {**json.loads((whole / "run.json").read_text()), "status": "running"})
    (row,) = below(tmp_path)
    assert (row.state, row.done, row.total) == ("running", 5, 24)


def test_one_that_has_just_begun_has_nothing_yet(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "demo-0").mkdir()
    shutil.copy(whole / "config.yaml", tmp_path / "demo-0")
    assert below(tmp_path) == []  # a folder with a configuration alone may be anything
    write_json(tmp_path / "demo-0/run.json", {})
    (row,) = below(tmp_path)
    assert (row.kind, row.state, row.done, row.total) == ("search", "starting", 0, None)


def test_a_sweep_and_its_searches_the_last_changed_first(whole: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "runs/sweep-demo"
    for number, name in enumerate(("000-0", "001-1")):
        shutil.copytree(whole, sweep / name)
        changed(sweep / name, 1000.0 + number)
    write_json(
        sweep / "sweep.json", {"format": "uninas-sweep", "version": 1, "searches": {"000-0": [], "001-1": [], "002-2": []}}
    )
    (tmp_path / "runs/notes").mkdir()
    (tmp_path / "runs/linked").symlink_to(sweep)
    found = below(tmp_path / "runs")
    assert [(Path(row.path).name, row.kind, row.state, row.done, row.total) for row in found] == [
        ("sweep-demo", "sweep", "incomplete", 2, 3),
        ("001-1", "search", "complete", 24, 24),
        ("000-0", "search", "complete", 24, 24),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("journal.jsonl", '{"kind":"header","version":1,"config_digest":""}\nno line of ours\n'),
        ("config.yaml", "seed: x\n"),
        ("run.json", "[]"),
    ],
)
def test_a_damaged_run_is_a_row_and_hides_no_other(name: str, text: str, whole: Path, tmp_path: Path) -> None:
    for run in ("good", "bad"):
        shutil.copytree(whole, tmp_path / run)
    (tmp_path / "bad" / name).write_text(text)
    states = {Path(row.path).name: row for row in below(tmp_path)}
    assert states["good"].state == "complete"
    assert states["bad"].state == "unreadable"
    assert name in (states["bad"].reason or "")


def test_the_command_prints_lines_and_one_json_object(whole: Path) -> None:
    root = whole.parent
    (line,) = CliRunner().invoke(command, [str(root)], catch_exceptions=False).stdout.splitlines()
    words = line.split()
    assert words[:5] == [str(whole), "search", "complete", "24/24", "candidates"]
    made = CliRunner().invoke(command, [str(root), "--json"], catch_exceptions=False)
    (row,) = json.loads(made.stdout)["runs"]
    assert row.keys() == Row.__dataclass_fields__.keys()
    assert (row["kind"], row["done"]) == ("search", 24)


def test_no_runs_is_no_failure_and_no_such_folder_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(command, [], catch_exceptions=False)
    assert (made.exit_code, made.stdout) == (0, "")
    assert made.stderr == "no run folders below runs/; uninas search demo makes the first\n"
    assert json.loads(CliRunner().invoke(command, ["--json"]).stdout) == {"runs": []}
    with pytest.raises(InputError, match="expected a folder with runs; got 'nothing'"):
        CliRunner().invoke(command, ["nothing"], catch_exceptions=False)


def test_folders_of_another_user_hide_no_runs(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole, tmp_path / "mine")
    (tmp_path / "theirs").mkdir()
    looked = Path.is_file

    def is_file(path: Path) -> bool:  # as for who may not look into it; root may
        if "theirs" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return looked(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    assert [row.path for row in below(tmp_path)] == [str(tmp_path / "mine")]


def test_a_run_that_is_gone_by_now_is_a_row_that_says_so(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole, tmp_path / "mine")

    def gone(folder: Path) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(folder))

    monkeypatch.setitem(runs._READERS, "search", gone)
    (row,) = below(tmp_path)
    assert (row.state, row.best) == ("unreadable", {})
    assert "No such file" in row.reason


def test_what_is_no_number_is_left_out(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole, tmp_path / "mine")
    monkeypatch.setitem(runs._READERS, "search", lambda folder: ("complete", 1, 1, "epochs", {"top1": 3.0, "AP": float("nan")}))
    (row,) = below(tmp_path)
    assert dict(row.best) == {"top1": 3.0}
