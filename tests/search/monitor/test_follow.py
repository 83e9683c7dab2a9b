"""`uninas watch` on journals that grow: what is read, how fast it goes, how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.config import loading
from search.engine import driver
from search.journal import journal
from search.journal.journal import JournalError
from search.journal.lines import sealed
from search.journal.records import Record
from search.monitor.follow import Follower, RunFollower
from tests.search.commands.test_commands import TINY, refused, uninas_command
from tests.search.conftest import ROOT, Notes, records, resume_toy, run_toy
from tests.search.fakes import ToySpace
from tests.search.monitor.test_watch import HEADER, PROXIES, SEEN, candidate
from tests.search.report.report_runs import make_run
from uninas.errors import InputError


def test_a_journal_that_grows_with_a_torn_tail(tmp_path: Path) -> None:
    """Byte by byte: a record appears with its newline, never before, and never twice."""
    path = tmp_path / "journal.jsonl"
    whole = b"".join(json.dumps(record.as_dict()).encode() + b"\n" for record in SEEN[:3])
    follower, seen = Follower(path), list[Record]()
    with pytest.raises(JournalError, match="expected the journal of a run"):
        list(follower.gained())
    path.touch()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        assert not follower.shrunk()
        seen += list(follower.gained())
        assert len(seen) == whole[:end].count(b"\n")
    assert seen == SEEN[:3]
    path.write_bytes(whole + b'{"torn')
    assert list(follower.gained()) == []
    path.write_bytes(whole)  # as a resume cuts it
    assert not follower.shrunk()
    path.write_bytes(whole[:-10])
    assert follower.shrunk()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"nonsense\n", "line 1: expected a journal record"),
        (b'{"kind": "candidate"}\n', "line 1: expected a header; got 'candidate'"),
        (b'{"kind": "header", "version": 99}\n', "expected journal version 1; got 99"),
        (json.dumps(HEADER.as_dict()).encode() + b"\n[]\n", "line 2: expected a journal record"),
    ],
)
def test_what_is_no_journal_is_said_with_its_line(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "journal.jsonl").write_bytes(text)
    with pytest.raises(JournalError, match=message):
        list(Follower(tmp_path / "journal.jsonl").gained())
    with pytest.raises(JournalError, match=message):
        list(journal.read(tmp_path / "journal.jsonl"))


@pytest.mark.parametrize("cut", [False, True])
def test_a_run_followed_line_by_line_ends_as_its_own_counts_say(tmp_path: Path, cut: bool) -> None:
    """The followed snapshot, the one read at once and run.json agree; with `cut`, lines are taken away on the way."""
    folder = tmp_path / "run"
    behaviour = {"nan": ["0", "1"]}
    info = run_toy(folder, "evaluations=30", "baseline=true", space=ToySpace(behaviour=behaviour))
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    follower = RunFollower(folder, now=lambda: 0.0)
    for count in range(1, len(lines) + 1):
        if cut and count == 20:
            path.write_bytes(b"".join(lines[:5]))
            assert follower.look().state.done == 4
        path.write_bytes(b"".join(lines[:count]) + (lines[count][:7] if count < len(lines) else b""))
        snapshot = follower.look()
        assert sum(phase.done for phase in snapshot.phases.values()) == count - 1
    for phase in ("search", "random"):
        counts = {key: snapshot.as_dict()["phases"][phase][key] for key in info["counts"][phase]}
        assert counts == info["counts"][phase]
        assert sum(snapshot.phases[phase].failures.values()) == info["counts"][phase]["failed"] > 0
    assert snapshot.phases["finalists"].done == info["rescored"]
    assert snapshot.as_dict() == {**RunFollower(folder, now=lambda: 0.0).look().as_dict()}


def test_a_run_that_is_extended_gets_its_new_total(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_toy(folder, "evaluations=20")
    follower = RunFollower(folder)
    assert (follower.look().status, follower.look().totals["search"]) == ("complete", 20)
    resume_toy(folder, evaluations=25)
    snapshot = follower.look()
    assert (snapshot.phases["search"].done, snapshot.totals["search"]) == (25, 25)


def test_the_rate_while_watching(tmp_path: Path) -> None:
    """The last two minutes and what of a look before them belongs to it, once there are twenty seconds."""
    folder = tmp_path / "run"
    info = run_toy(folder, "evaluations=60")
    started = info["sessions"][-1]["started"]
    counts = {"search": {"done": 0}, "random": {"done": 0}}
    (folder / "run.json").write_text(
        json.dumps({"status": "running", "sessions": [{"started": started}], "counts": counts, "rescored": 0})
    )
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    clock = iter([1000.0, 1010.0, 1020.0, 1140.0, 1141.0])
    moment = [0.0]
    follower = RunFollower(folder, now=lambda: moment[0])
    rates = []
    for count in (1, 11, 21, 45, 45):
        moment[0] = next(clock)
        path.write_bytes(b"".join(lines[:count]))
        os.utime(path, (moment[0], moment[0]))  # long before the session: the files alone say nothing
        rates.append(follower.look().as_dict()["rate"])
    assert rates == [None, None, pytest.approx(20 / 20), pytest.approx(34 / 130), pytest.approx(24 / 121)]


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}


def test_the_command_once_as_text_and_as_json(tmp_path: Path) -> None:
    """On a run of the real space, which it leaves as it was."""
    folder = make_run(tmp_path / "run", fail_every=7)
    before = listing(folder)
    done = uninas_command("watch", str(folder), "--once", "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    info = json.loads((folder / "run.json").read_text())
    assert (data["run"], data["status"], data["phase"]) == ("run", "complete", "finalists")
    assert data["done"] == data["total"] == info["rescored"]
    assert {name: data["phases"]["search"][name] for name in info["counts"]["search"]} == info["counts"]["search"]
    assert data["phases"]["search"]["failures"] == {"out of memory": info["counts"]["search"]["failed"]}
    scored = sum(counts["ok"] + counts["failed"] for counts in data["workers"].values())
    assert scored == sum(1 for record in records(folder) if record.get("attempts"))
    text = uninas_command("watch", str(folder), "--once")
    assert text.returncode == 0, text.stderr
    assert text.stdout.startswith("run: complete, evolution by vkdnw_agg, seed 0\nfinalists ")
    assert not [letter for letter in text.stdout if letter < " " and letter != "\n"]
    assert listing(folder) == before


def test_the_command_on_a_real_search_of_the_serial_pool(tmp_path: Path) -> None:
    driver.begin(
        loading.parse(TINY, ["baseline=false", "finalists.seeds=1", "finalists.controls=[]"]), tmp_path / "run", view=Notes().view
    )
    done = uninas_command("watch", str(tmp_path / "run"), "--once", "--json")
    data = json.loads(done.stdout)
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (data["status"], data["phases"]["search"]["ok"], data["workers"]) == (
        "complete",
        3,
        {"serial": {"ok": 4, "failed": 0}},
    )
    assert data["rate"] == pytest.approx(4 / info["sessions"][0]["wall_seconds"])
    assert data["recent"][-1]["seconds"].keys() == {"build", "score"}
    assert set(data["best"]) == set(PROXIES)


@pytest.fixture
def searching(tmp_path: Path, python: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A toy search in tmp_path / "run" in another process, held still after its first line; it ends well when let go."""
    options = json.dumps({"config": ["evaluations=40", "baseline=true"], "behaviour": {"delay": 5}})
    process = subprocess.Popen([*python, "begin", str(tmp_path / "run"), options], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("search ")
    process.send_signal(signal.SIGSTOP)
    yield process
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=120)
    assert process.returncode == 0


@pytest.fixture
def watching(tmp_path: Path, searching: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """`uninas watch` on it, that has said how it stands."""
    with subprocess.Popen(
        [sys.executable, "-m", "uninas.cli", "watch", str(tmp_path / "run"), "--every", "0.1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "run: running, evolution by vkdnw_agg, seed 0\n"
        assert process.stdout.readline().startswith("search ")
        yield process


def test_a_run_of_another_process_is_followed_to_its_end(
    searching: subprocess.Popen[str], watching: subprocess.Popen[str]
) -> None:
    searching.send_signal(signal.SIGCONT)
    out, errors = watching.communicate(timeout=120)
    assert (watching.returncode, errors) == (0, "")
    lines = out.splitlines()
    assert "run: complete, evolution by vkdnw_agg, seed 0" in lines
    assert any(line.startswith("finalists 6/6") for line in lines)


def test_ctrl_c_ends_the_watching_and_not_the_search(watching: subprocess.Popen[str]) -> None:
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=60)
    assert (watching.returncode, errors.strip()) == (130, "uninas: interrupted")


def test_what_is_no_run_is_one_line(tmp_path: Path) -> None:
    assert "expected a run folder (made by uninas search)" in refused("watch", str(tmp_path / "none"), "--once")
    make_run(tmp_path / "run", "evaluations=3", "baseline=false")
    journal_file = tmp_path / "run" / "journal.jsonl"
    plain = [json.dumps(line) + "\n" for line in records(tmp_path / "run")]  # as before there were checksums
    journal_file.write_text("".join(plain).replace('"cost"', '"price"'))
    assert "candidate 0: expected a record of this version; KeyError: 'cost'" in refused("watch", str(tmp_path / "run"))
    journal_file.unlink()
    assert "expected the journal of a run" in refused("watch", str(tmp_path / "run"), "--json")


def test_help_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from search.commands import watch;"
        "print(CliRunner().invoke(watch.command, ['--help']).exit_code, {'torch', 'ray', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0 set()"


def test_an_unknown_phase_is_an_error_of_the_journal(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_toy(folder, "evaluations=3")
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(sealed({**candidate(3).as_dict(), "phase": "another"}))
    with pytest.raises(InputError, match=r"line 11, candidate 3: expected a record .*: expected search or random; got 'another'"):
        RunFollower(folder).look()
