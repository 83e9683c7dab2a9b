"""Drivers in processes of their own, killed in every way, then resumed: nothing lost, nothing twice, nobody left behind."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from search.journal import journal
from tests.search.conftest import ROOT, records, run_toy, stable
from tests.search.fakes import ToySpace
from tests.waiting import wait_for_lines

SLOW = {"delay": 3}


def start(python: list[str], action: str, folder: Path, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*python, action, str(folder), json.dumps(options)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serial") / "run"
    run_toy(folder, "baseline=true")
    return folder


def test_a_driver_killed_again_and_again(tmp_path: Path, python: list[str], undisturbed: Path) -> None:
    """SIGKILL at five moments, and five times in the middle of writing a record."""
    folder = tmp_path / "run"
    options: dict[str, Any] = {"config": ["baseline=true"], "behaviour": SLOW}
    action = "begin"
    for lines in (1, 60, 61, 200, 400):
        process = start(python, action, folder, **options)
        wait_for_lines(process, folder / "journal.jsonl", lines)
        process.kill()
        finish(process)
        action = "resume"
        options = {"behaviour": SLOW}
        torn = start(python, "resume", folder, die_writing=3, **options)
        assert finish(torn)[0] == -signal.SIGKILL
        assert not (folder / "journal.jsonl").read_bytes().endswith(b"\n")
    code, _, err = finish(start(python, "resume", folder))
    assert code == 0, err
    assert stable(folder) == stable(undisturbed)


@pytest.mark.slow
def test_a_driver_on_ray_killed_and_resumed(tmp_path: Path, python: list[str], undisturbed: Path, ray_address: str) -> None:
    """On the shared cluster, with a cluster that outlives its driver, whose actors do not."""
    folder = tmp_path / "run"
    pool = ["pool.kind=ray", "pool.workers=2", f"pool.address={ray_address}"]
    options: dict[str, Any] = {"config": ["baseline=true", *pool], "behaviour": SLOW}
    for action, lines in (("begin", 50), ("resume", 150)):
        process = start(python, action, folder, **options)
        wait_for_lines(process, folder / "journal.jsonl", lines)
        process.kill()
        finish(process)
    code, _, err = finish(start(python, "resume", folder, **options))
    assert code == 0, err
    assert stable(folder) == stable(undisturbed)


@pytest.mark.slow
def test_a_serial_candidate_that_kills_the_driver_is_given_up(tmp_path: Path, python: list[str]) -> None:
    """As the system does when the memory is full; all else is what a run is where that candidate failed from the start."""
    config = ["evaluations=12", "window=3", "algorithm_options.population=4"]
    run_toy(tmp_path / "calm", *config)
    victim = records(tmp_path / "calm")[6]["digest"]
    run_toy(tmp_path / "failed", *config, space=ToySpace(behaviour={"nan": [victim]}))
    folder, behaviour = tmp_path / "run", {"die": [victim]}
    for action in ("begin", "resume", "resume"):
        assert finish(start(python, action, folder, config=config, behaviour=behaviour))[0] == -signal.SIGKILL
    code, out, err = finish(start(python, "resume", folder, behaviour=behaviour))
    assert code == 0, err
    assert f"candidate {victim[:12]}: quarantined: the process was killed 3 times while it was scored" in out
    assert not (folder / ".under_way.json").exists()
    found = {record["index"]: record for record in records(folder) if record["kind"] == "candidate"}
    (given_up,) = [record for record in found.values() if record["status"] == "failed"]
    assert (given_up["digest"], given_up["cause"], given_up["attempts"]) == (victim, "quarantined", 3)
    theirs = {record["index"]: record for record in records(tmp_path / "failed") if record["kind"] == "candidate"}
    others = [index for index in theirs if theirs[index]["digest"] != victim]
    assert [found[index]["scores"] for index in others] == [theirs[index]["scores"] for index in others]


def test_a_second_driver_is_refused_while_the_first_one_runs(tmp_path: Path, python: list[str]) -> None:
    folder = tmp_path / "run"
    first = start(python, "begin", folder, behaviour={"delay": 50})
    wait_for_lines(first, folder / "journal.jsonl", 3)
    code, _, err = finish(start(python, "resume", folder))
    assert code == 2
    assert err.strip().count("\n") == 0
    assert "another process is writing it" in err
    first.kill()
    finish(first)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_in_good_order(tmp_path: Path, python: list[str], undisturbed: Path, number: signal.Signals) -> None:
    folder = tmp_path / "run"
    process = start(python, "begin", folder, config=["baseline=true"], behaviour={"delay": 20})
    wait_for_lines(process, folder / "journal.jsonl", 20)
    process.send_signal(number)
    code, out, err = finish(process)
    assert code == 130, err
    assert f"continue with: uninas search --resume {folder}" in out
    assert "Traceback" not in err
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    assert (folder / "journal.jsonl").read_bytes().endswith(b"\n")
    assert finish(start(python, "resume", folder))[0] == 0
    assert stable(folder) == stable(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_leaves_no_process_of_ray_behind(tmp_path: Path, python: list[str], signals: int) -> None:
    """A Ray of its own: head, raylet, agents and actors all end with the driver, at the first and at the second signal."""
    folder = tmp_path / "run"
    process = start(python, "begin", folder, config=["pool.kind=ray", "pool.workers=2"], behaviour={"delay": 50})
    wait_for_lines(process, folder / "journal.jsonl", 10)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 4
    process.send_signal(signal.SIGINT)
    if signals == 2:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("stopped"):
                break
        process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130, err
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert len(list(journal.read(folder / "journal.jsonl"))) >= 10


@pytest.mark.slow
def test_a_killed_driver_takes_its_ray_along(tmp_path: Path, python: list[str]) -> None:
    folder = tmp_path / "run"
    process = start(python, "begin", folder, config=["pool.kind=ray", "pool.workers=2"], behaviour={"delay": 50})
    wait_for_lines(process, folder / "journal.jsonl", 5)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    finish(process)
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    tmp_path: Path, python: list[str], undisturbed: Path
) -> None:
    """A limit on file size stands in for the disk: the journal may grow to 40 kB."""
    folder = tmp_path / "run"
    code, _, err = finish(start(python, "begin", folder, config=["baseline=true"], file_limit=40_000))
    assert code == 2
    assert err.strip().count("\n") == 0
    assert "journal.jsonl: cannot write" in err
    assert len(list(journal.read(folder / "journal.jsonl"))) > 20
    assert (folder / "journal.jsonl").read_bytes().endswith(b"\n")
    assert finish(start(python, "resume", folder))[0] == 0
    assert stable(folder) == stable(undisturbed)
