"""`uninas watch`: records to a picture, a journal that grows, the command itself on runs of the serial pool."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from search.config import loading
from search.engine import driver
from search.journal import journal
from search.journal.journal import JournalError
from search.journal.records import Ask, Candidate, Header, Record, Rescore, Unknown
from search.monitor.follow import Follower, RunFollower
from search.monitor.screen import screen
from search.monitor.snapshot import RECENT, Figures, duration, session_rate
from search.workers.job import Cause
from tests.search.commands.test_commands import TINY, refused, uninas_command
from tests.search.conftest import ROOT, Notes, records, resume_toy, run_toy
from tests.search.drive import TOY
from tests.search.fakes import ToySpace
from tests.search.report.report_runs import make_run
from uninas.errors import InputError

HEADER = Header("", {"seed": 0, "objective": "vkdnw_agg"})
PROXIES = ("aleph", "vkdnw", "jacov", "expressivity", "trainability", "flops")


def candidate(index: int, **changes: Any) -> Candidate:
    """A journal record whose scores grow with its index; `changes` by the journal's keys."""
    plain = {
        "kind": "candidate", "phase": "search", "index": index, "digest": f"{index:012x}" + "0" * 9, "parent": None, "edit": None,
        "cost": {"params": 1000 + index, "macs": 2_000_000, "layers": 9, "attention_tokens": 16}, "status": "ok", "reason": None,
        "scores": dict.fromkeys(PROXIES, float(index)), "rejected": {"no_site": 1, "over budget: macs": 2}, "duplicates": 1,
        "seconds": {"build": 0.01, "score": 0.5}, "worker": f"scorer-{index % 2}", "attempts": 1,
    }  # fmt: skip
    return Candidate.parse({**plain, **changes})


def failed(index: int, reason: str, **changes: Any) -> Candidate:
    return candidate(index, status="failed", reason=reason, scores={}, seconds={"build": 0.01}, **changes)


def rescore() -> Rescore:
    return Rescore("0", 0, 5, "ok", None, {}, {"build": 0.1}, "scorer-7", 1)


def figures(*overrides: str, of: Sequence[Record]) -> Figures:
    made = Figures(loading.parse(TOY, overrides))
    for record in of:
        made.add(record)
    return made


SEEN = [
    HEADER,
    candidate(0),
    candidate(1),
    failed(2, "out of memory", attempts=3),
    failed(3, "deadline: took longer than 60 s (wall clock, not reproducible)"),
    candidate(4, worker="scorer-2", peak_bytes=3 << 29),
    candidate(5, worker="scorer-2", peak_bytes=1 << 20),
]


def test_the_picture_as_text() -> None:
    """Golden: every line that a person reads."""
    picture = figures("evaluations=10", of=SEEN).picture("demo-0", {"status": "running"}, 2.0, 75.0)
    scores = ", ".join(f"{name} 5" for name in PROXIES)
    assert picture.lines()[:6] == [
        "demo-0: running, evolution by vkdnw_agg, seed 0, nothing new for 1 min",
        f"search 6/10  2.00/s  0:00:02 left  rejected 18   duplicates 6   failed 2  best vkdnw_agg: {scores}",
        "search, rejected: over budget: macs 12, no_site 6",
        "search, failed: out of memory 1, deadline 1",
        "search, repeated after a worker's death: 2",
        "workers: scorer-0 1 (1 failed), scorer-1 1 (1 failed), scorer-2 2",
    ]
    assert picture.lines()[6:] == [
        "GPU memory: 1.50 GiB at most",
        *(f"search {place} {place:012x}  params {1000 + place:,}, macs 2,000,000, layers 9  build 0.01 s, score 0.50 s  "
          + ", ".join(f"{name} {place}" for name in PROXIES) for place in (0, 1)),
        "search 2 000000000002  params 1,002, macs 2,000,000, layers 9  build 0.01 s  failed: out of memory",
        "search 3 000000000003  params 1,003, macs 2,000,000, layers 9  build 0.01 s  "
        "failed: deadline: took longer than 60 s (wall clock, not reproducible)",
        *(f"search {place} {place:012x}  params {1000 + place:,}, macs 2,000,000, layers 9  build 0.01 s, score 0.50 s  "
          + ", ".join(f"{name} {place}" for name in PROXIES) for place in (4, 5)),
    ]  # fmt: skip


def test_the_picture_on_a_terminal() -> None:
    picture = figures("evaluations=10", of=SEEN).picture("demo-0", {"status": "running"}, 2.0, 0.0)
    for width, shown in ((70, 1), (100, 2), (200, 6)):
        console = Console(file=StringIO(), width=width)
        console.print(screen(picture, width))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        lines = text.splitlines()
        assert max(len(line) for line in lines) <= width
        (head,) = [line for line in lines if line.lstrip().startswith("candidate")]
        assert [name for name in PROXIES if name in head] == list(PROXIES[:shown])
        newest = lines[lines.index(head) + 1]
        assert newest.split()[:2] == ["search", "5"]
        assert newest.split()[-1] == "scorer-2"
        assert "failed: out of memory 1, deadline 1" in text


def test_the_picture_as_data() -> None:
    data = figures("evaluations=10", of=SEEN).picture("demo-0", {"status": "running"}, 2.0, 0.04).as_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    chosen = ("run", "status", "phase", "done", "total", "rate", "left_seconds", "silent_seconds", "in_flight", "peak_bytes")
    assert [data[name] for name in chosen] == ["demo-0", "running", "search", 6, 10, 2.0, 2.0, 0.0, None, 3 << 29]
    assert data["best"] == dict.fromkeys(PROXIES, 5.0)
    assert data["phases"] == {
        "search": {
            "total": 10, "done": 6, "ok": 4, "failed": 2, "over_budget": 0, "duplicates": 6,
            "rejected": {"no_site": 6, "over budget: macs": 12},
            "seconds": {"build": 0.06, "score": 2.0}, "failures": {"out of memory": 1, "deadline": 1}, "repeats": 2,
        }
    }  # fmt: skip
    assert data["workers"]["scorer-0"] == {"ok": 1, "failed": 1}
    assert [row["index"] for row in data["recent"]] == [0, 1, 2, 3, 4, 5]


def test_a_network_over_the_latency_budget_is_no_failure() -> None:
    slow = candidate(0, status="over_budget", reason="latency 12.3 ms > 10 ms on a toy", scores={})
    picture = figures(of=[HEADER, slow, candidate(1)]).picture("x", {}, None, 0.0)
    assert (picture.state.done, picture.state.failed, picture.state.over_budget) == (2, 0, 1)
    assert picture.as_dict()["phases"]["search"]["failures"] == {}
    assert "over budget: latency 12.3 ms > 10 ms on a toy" in "\n".join(picture.lines())
    assert "failed:" not in "\n".join(picture.lines())


def test_only_the_last_candidates_and_workers_are_shown() -> None:
    many = [HEADER, *(candidate(index, worker=f"scorer-{index}") for index in range(50))]
    picture = figures(of=many).picture("x", {}, None, 0.0)
    assert [row.index for row in picture.recent] == list(range(50 - RECENT, 50))
    (workers,) = [text for kind, text in picture.details() if kind == "workers"]
    assert workers.endswith("scorer-48 1, scorer-49 1, and 38 earlier ones")
    assert (picture.status, picture.as_dict()["rate"], picture.state.left()) == ("starting", None, "-:--:--")


def test_the_phases_follow_each_other() -> None:
    seen = figures("evaluations=2", "finalists.count=2", "baseline=true", of=[HEADER, candidate(0)])

    def now() -> tuple[str, int, int]:
        state = seen.picture("x", {}, 1.0, 0.0).state
        return state.phase, state.done, state.total

    assert now() == ("search", 1, 2)
    seen.add(candidate(1))
    assert now() == ("random", 0, 2)
    seen.add(candidate(0, phase="random", worker="reused", attempts=0))
    seen.add(candidate(1, phase="random"))
    assert now() == ("finalists", 0, 4)
    for _ in range(4):
        seen.add(rescore())
    seen.add(Unknown("something of a later version"))
    assert now() == ("finalists", 4, 4)
    picture = seen.picture("x", {"status": "complete"}, 1.0, 1e6)
    assert picture.heading == "x: complete, evolution by vkdnw_agg, seed 0"
    assert picture.as_dict()["left_seconds"] == 0.0
    assert set(picture.workers) == {"scorer-0", "scorer-1", "scorer-7"}  # a score that was reused has no worker


def test_in_flight_is_known_in_completion_order_alone() -> None:
    asks = [Ask("search", index, "", 0) for index in range(4)]
    picture = figures("order=completion", of=[HEADER, *asks, candidate(1)]).picture("x", {}, None, 0.0)
    assert picture.as_dict()["in_flight"] == 3
    assert "in flight 3" in picture.lines()[1]
    assert "in flight" not in figures(of=[HEADER, candidate(0)]).picture("x", {}, None, 0.0).lines()[1]


def test_the_rate_that_files_alone_tell() -> None:
    session = {"started": "2026-01-01T00:00:00+00:00", "wall_seconds": 0.0}
    info = {"status": "running", "sessions": [session], "counts": {"search": {"done": 40}, "random": {"done": 3}}, "rescored": 2}
    began = 1767225600.0
    assert session_rate(info, 65, began + 10.0) == pytest.approx(2.0)
    assert session_rate(info, 45, began + 10.0) is None
    assert session_rate({}, 45, began) is None
    ended = {"status": "complete", "sessions": [{"wall_seconds": 10.0}, {"wall_seconds": 15.0}]}
    assert session_rate(ended, 100, began) == pytest.approx(4.0)


def test_durations_in_words() -> None:
    assert [duration(seconds) for seconds in (45.2, 60, 3599, 12_000)] == ["45 s", "1 min", "59 min", "3 h 20 min"]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("out of memory", Cause.OUT_OF_MEMORY),
        ("deadline: took longer than 60 s (wall clock, not reproducible)", Cause.DEADLINE),
        ("quarantined: killed 3 fresh workers while running alone", Cause.QUARANTINED),
        ("vkdnw: non-finite value nan; jacov: non-finite value inf", Cause.NOT_FINITE),
        ("ZeroDivisionError: by nothing", Cause.ERROR),
        ("IllTyped: expected (8, 8); got (4, 4)", Cause.ERROR),
        ("TooSymmetric: 5,000 leaves", Cause.ERROR),
        ("AssertionError:", Cause.ERROR),
        ("vkdnw: no layer has a weight", Cause.NO_SCORE),
    ],
)
def test_a_failure_of_a_journal_without_causes_is_sorted_by_its_words(reason: str, expected: Cause) -> None:
    assert failed(0, reason).cause is expected
    assert failed(0, reason, cause="quarantined").cause is Cause.QUARANTINED  # what is written counts


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
    """The followed picture, the one read at once and run.json agree; with `cut`, lines are taken away on the way."""
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
        picture = follower.look()
        assert sum(phase.done for phase in picture.phases.values()) == count - 1
    for phase in ("search", "random"):
        counts = {key: picture.as_dict()["phases"][phase][key] for key in info["counts"][phase]}
        assert counts == info["counts"][phase]
        assert sum(picture.phases[phase].failures.values()) == info["counts"][phase]["failed"] > 0
    assert picture.phases["finalists"].done == info["rescored"]
    assert picture.as_dict() == {**RunFollower(folder, now=lambda: 0.0).look().as_dict()}


def test_a_run_that_is_extended_gets_its_new_total(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_toy(folder, "evaluations=20")
    follower = RunFollower(folder)
    assert (follower.look().status, follower.look().totals["search"]) == ("complete", 20)
    resume_toy(folder, evaluations=25)
    picture = follower.look()
    assert (picture.phases["search"].done, picture.totals["search"]) == (25, 25)


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
    driver.begin(loading.parse(TINY, ["baseline=false", "finalists.seeds=1"]), tmp_path / "run", view=Notes().view)
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
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
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
    journal_file.write_bytes(journal_file.read_bytes().replace(b'"cost"', b'"price"'))
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
    with (folder / "journal.jsonl").open("a") as file:
        file.write(json.dumps({**candidate(3).as_dict(), "phase": "another"}) + "\n")
    with pytest.raises(InputError, match=r"line 11, candidate 3: expected a record .*: expected search or random; got 'another'"):
        RunFollower(folder).look()
