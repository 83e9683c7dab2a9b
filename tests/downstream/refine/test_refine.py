"""Short trainings of finalists: what is rejected, how ASHA's decisions are kept and repeated, what a killed refine resumes to."""

from __future__ import annotations

import csv
import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from downstream.commands.refine import command
from downstream.refine import run_folder
from downstream.refine.run_folder import Decisions, Finalist, RefinePlan
from downstream.refine.tuning import _Asha, _Deaths
from downstream.train.settings import read_settings
from search.ranking import correlation
from tests.downstream import pictures
from tests.search.report.report_runs import make_run
from tests.waiting import wait_until
from uninas import InputError

ROOT = Path(__file__).resolve().parents[3]
TIMES = {"seconds", "pictures_per_second"}
SMALL = (
    "finalists.count=4",
    "classes=3",
    "space.widths=[32,32,32,32]",
    "space.depths=[1,1,1,1]",
    "space.stem=[8,16]",
    "budget.params=400000",
    "budget.macs=20000000",
    "baseline=false",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures.make(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "search", *SMALL)


@pytest.fixture
def run(search: Path, tmp_path: Path) -> Path:
    """A copy of a finished search."""
    return Path(shutil.copytree(search, tmp_path / "run"))


def plan_of(count: int = 6, **changes: Any) -> RefinePlan:
    finalists = tuple(Finalist(f"{number:02}", f"{number:064}", number, number, 1.0) for number in range(1, count + 1))
    made = RefinePlan(
        finalists=finalists,
        data="data",
        epochs=6,
        grace=1,
        reduction=2.0,
        device="cpu",
        cpus=1,
        gpus=0.0,
        workers=0,
        concurrent=2,
    )
    return replace(made, **changes)


def reported(asha: _Asha, name: str, epoch: int, top1: float) -> str:
    """Report an epoch to ASHA as Tune does, by a trial with an unknown id."""
    trial = SimpleNamespace(trial_id=f"{random.random()}", config={"finalist": name})
    result = {"epoch": epoch, "top1": top1, "train_loss": 1.0, "seconds": 1.0, "notes": []}
    return asha.on_trial_result(None, trial, result)


# --- decisions --------------------------------------------------------------------------------------------------------------


def arrivals(plan: RefinePlan, decisions: Decisions, rng: random.Random, limit: int | None = None) -> list[tuple[str, int]]:
    """Let trainings end their epochs in random order until all have ended, or so many times; gives the epochs reported."""
    asha = _Asha(plan, decisions, lambda text: None)
    epochs = {
        finalist.name: sum(1 for record in decisions.records if record["finalist"] == finalist.name)
        for finalist in plan.finalists
    }
    said = []
    while open_ := [name for name in epochs if decisions.end(name) is None]:
        if limit is not None and len(said) == limit:
            break
        name = rng.choice(open_)
        epochs[name] += 1
        reported(asha, name, epochs[name], accuracy(name, epochs[name]))
        said.append((name, epochs[name]))
    return said


def accuracy(name: str, epoch: int) -> float:
    return random.Random(f"{name}{epoch}").uniform(0, 50) + 5 * epoch


@pytest.mark.parametrize("seed", range(20))
def test_a_resume_decides_as_the_whole_would_have(seed: int, tmp_path: Path) -> None:
    """Epochs that end in one order lead to the same decisions, wherever between two of them the process was killed."""
    plan = plan_of()
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = Decisions(tmp_path / "whole")
    order = arrivals(plan, whole, random.Random(seed))
    assert {whole.end(finalist.name) for finalist in plan.finalists} == {"stop", "done"}
    for place, (name, epoch) in enumerate(order):
        if place % 3 == 0 or place == seed:  # killed
            asha = _Asha(plan, Decisions.read(tmp_path / "broken"), lambda text: None)
        reported(asha, name, epoch, accuracy(name, epoch))
    assert (tmp_path / "broken/decisions.json").read_bytes() == (tmp_path / "whole/decisions.json").read_bytes()


def test_epochs_reported_again_change_nothing(tmp_path: Path) -> None:
    """A training that is resumed reports all its epochs again; those that were decided on are not decided on twice."""
    plan = plan_of(3)
    asha = _Asha(plan, Decisions(tmp_path), lambda text: None)
    reported(asha, "01", 1, 50.0)
    reported(asha, "02", 1, 60.0)
    before = (tmp_path / "decisions.json").read_bytes()
    asha = _Asha(plan, Decisions.read(tmp_path), lambda text: None)
    assert reported(asha, "01", 1, 50.0) == asha.CONTINUE
    assert reported(asha, "02", 1, 60.0) == asha.CONTINUE
    assert (tmp_path / "decisions.json").read_bytes() == before
    assert reported(asha, "01", 2, 55.0) == asha.CONTINUE  # the first at its rung
    assert reported(asha, "03", 1, 54.0) == asha.STOP  # below the middle of 50 and 60
    assert [record["decision"] for record in Decisions.read(tmp_path).records] == ["go_on", "go_on", "go_on", "stop"]


def test_decisions_that_were_changed_are_rejected(tmp_path: Path) -> None:
    plan = plan_of(3)
    asha = _Asha(plan, Decisions(tmp_path), lambda text: None)
    reported(asha, "01", 1, 50.0)
    reported(asha, "02", 1, 40.0)
    path = tmp_path / "decisions.json"
    records = json.loads(path.read_text())
    assert records[1]["decision"] == "stop"
    records[1]["decision"] = "go_on"
    path.write_text(json.dumps(records))
    with pytest.raises(InputError, match="finalist 02, epoch 1: expected 'stop', as this program decides; got 'go_on'"):
        _Asha(plan, Decisions.read(tmp_path), lambda text: None)
    for text in ("{", "3", '[{"decision": "stop"}]', '[{"decision": "stop", "finalist": "01", "epoch": 1, "top1": "x"}]'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"decisions\.json: expected"):
            Decisions.read(tmp_path)


def test_a_failure_is_kept_and_tried_again_by_a_resume(tmp_path: Path) -> None:
    plan, said = plan_of(2), list[str]()
    decisions = Decisions(tmp_path)
    asha = _Asha(plan, decisions, said.append)
    reported(asha, "01", 1, 50.0)
    trial: Any = SimpleNamespace(config={"finalist": "01"})
    assert asha.on_trial_result(None, trial, {"failed": "epoch 2: expected a finite loss;\ngot none"}) == asha.STOP
    asha.on_trial_error(None, SimpleNamespace(config={"finalist": "02"}))  # before a repetition, too
    deaths = _Deaths(asha)
    deaths.on_trial_recover(1, [], SimpleNamespace(config={"finalist": "02"}))
    assert decisions.end("02") is None
    assert said[-1] == "02  its process died: repeated from its last epoch"
    deaths.on_trial_error(1, [], SimpleNamespace(config={"finalist": "02"}))
    found = run_folder.results(plan, decisions)["finalists"]
    assert [row["status"] for row in found] == ["failed", "failed"]
    assert [row["reason"] for row in found] == ["epoch 2: expected a finite loss; got none", "its process died 4 times"]
    assert [row["trained_place"] for row in found] == [None, None]
    assert found[0]["curve"] == [50.0]
    assert said[-1] == "02  failed: its process died 4 times"
    again = Decisions.read(tmp_path)
    assert (again.end("01"), again.end("02")) == (None, None)
    assert again.has("01", 1)


# --- results ----------------------------------------------------------------------------------------------------------------


def rows(decisions: Sequence[tuple[str, int, float, str]]) -> list[dict[str, Any]]:
    return [{"finalist": name, "epoch": epoch, "top1": top1, "decision": end} for name, epoch, top1, end in decisions]


def test_who_got_further_is_better_then_who_is_better_there(tmp_path: Path) -> None:
    plan = plan_of(4, epochs=3)
    reported_in_order = [
        ("01", 1, 30.0, "go_on"),
        ("02", 1, 20.0, "stop"),
        ("03", 1, 40.0, "go_on"),
        ("04", 1, 20.0, "stop"),
        ("01", 2, 35.0, "go_on"),
        ("03", 2, 34.0, "go_on"),
        ("01", 3, 36.0, "done"),
        ("03", 3, 60.0, "done"),
    ]
    found = run_folder.results(plan, Decisions(tmp_path, rows(reported_in_order)))
    assert found["complete"]
    assert [row["trained_place"] for row in found["finalists"]] == [2, 3, 1, 3]
    assert [row["epochs"] for row in found["finalists"]] == [3, 1, 3, 1]
    assert [row["top1_at_grace"] for row in found["finalists"]] == [30.0, 20.0, 40.0, 20.0]
    (tmp_path / "refine").mkdir()
    run_folder.write_results(tmp_path, found)
    with (tmp_path / "refine/results.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["finalist"], row["top1"], row["trained_place"]) for row in table] == [
        ("01", "36.0", "2"),
        ("02", "20.0", "3"),
        ("03", "60.0", "1"),
        ("04", "20.0", "3"),
    ]
    places = [-row["trained_place"] for row in found["finalists"]]
    assert correlation.kendall([-1, -2, -3, -4], places) == pytest.approx(correlation.kendall([4, 3, 2, 1], [3, 1, 4, 1]))


def test_an_unfinished_refine_says_so(tmp_path: Path) -> None:
    found = run_folder.results(plan_of(2), Decisions(tmp_path, rows([("01", 1, 30.0, "go_on")])))
    assert not found["complete"]
    assert [row["status"] for row in found["finalists"]] == ["open", "open"]
    assert found["finalists"][1]["top1"] is None


# --- the folder -------------------------------------------------------------------------------------------------------------


def asked(*arguments: Any) -> str:
    """What the command says of a mistake."""
    result = CliRunner().invoke(command, [str(one) for one in arguments])
    assert isinstance(result.exception, InputError), (result.output, result.exception)
    return str(result.exception)


def test_mistakes(run: Path, data: Path, tmp_path: Path) -> None:
    """Each is rejected before Ray starts, and leaves nothing behind."""
    assert "expected the folder of a search and --data FOLDER" in asked(run)
    assert "expected the run folder of a search, with a run.json" in asked(tmp_path, "--data", data)
    assert "expected at most the 4 finalists of the run; got 5" in asked(run, "--data", data, "--top", 5)
    assert "--grace: expected at most the 2 epochs" in asked(run, "--data", data, "--epochs", 2, "--grace", 3)
    assert "expected a folder train or training" in asked(run, "--data", tmp_path)
    assert "at least one batch of 128" in asked(run, "--data", data)
    assert "--augment: expected a policy of timm" in asked(run, "--data", data, "--batch", 8, "--augment", "nonsense")
    assert "expected 0 with --device cpu" in asked(run, "--data", data, "--batch", 8, "--device", "cpu", "--gpus-per-trial", 1)
    assert "with a settings.json; there is none" in asked("--resume", run)
    assert "--epochs: expected none with --resume" in asked("--resume", run, "--epochs", 3)
    assert "expected once, after --resume" in asked(run, "--resume", run)
    assert not (run / "refine").exists()
    best = run / "finalists/01.json"
    shutil.copy(run / "finalists/02.json", best)
    assert "01.json: expected the network" in asked(run, "--data", data, "--batch", 8)
    document = json.loads((run / "run.json").read_text())
    document["finalists"][0]["file"] = "finalists/.."
    (run / "run.json").write_text(json.dumps(document))
    assert "expected files named by numbers" in asked(run, "--data", data, "--batch", 8)
    document["finalists"] = []
    (run / "run.json").write_text(json.dumps(document))
    assert "expected a finished search with finalists" in asked(run, "--data", data, "--batch", 8)


def test_the_folder_is_there_as_a_whole_or_not_at_all(run: Path, data: Path) -> None:
    from downstream.commands.refine import _plan

    options = dict.fromkeys(("top", "beside", "grace", "size", "lr", "device", "gpus_per_trial", "workers", "concurrent"))
    options |= {"epochs": 10, "batch": 8, "reduction": 3.0, "augment": "", "precision": "auto", "seed": 3, "cpus_per_trial": 1}
    options["device"] = "cpu"
    plan, trainings = _plan(run, data, options)
    (run / ".refine.part/01").mkdir(parents=True)  # of a kill
    (run / ".refine.part/01/settings.json").write_text("{")
    elsewhere = run.parent / "elsewhere"
    elsewhere.mkdir()
    shutil.move(run / ".refine.part", run / "put-away")
    (run / ".refine.part").symlink_to(elsewhere)  # of no kill
    run_folder.begin(run, plan, trainings)
    assert list(elsewhere.iterdir()) == []
    shutil.rmtree(run / "refine")
    shutil.move(run / "put-away", run / ".refine.part")
    run_folder.begin(run, plan, trainings)
    assert run_folder.read_plan(run) == plan
    assert (plan.grace, plan.workers) == (2, 0)
    assert not (run / ".refine.part").exists()
    for finalist in plan.finalists:
        settings = read_settings(run / "refine" / finalist.name)
        assert settings == trainings[finalist.name]
        assert (settings.size, settings.seed, settings.epochs, settings.warmup_epochs) == ((32, 32), 3, 10, 1)
        assert settings.lr == pytest.approx(1.25e-4)
    with pytest.raises(InputError, match=r"expected no refine yet: resume it with uninas refine --resume"):
        run_folder.begin(run, plan, trainings)
    (run / "refine/settings.json").write_text("{}")
    with pytest.raises(InputError, match="expected the settings of a refine"):
        run_folder.read_plan(run)


# --- under Tune -------------------------------------------------------------------------------------------------------------


def refine(*arguments: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "uninas.cli", "refine", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=550)
    assert process.returncode == 0, err
    return out


def decided(run: Path) -> list[dict[str, Any]]:
    path = run / "refine/decisions.json"
    return json.loads(path.read_text()) if path.exists() else []


def kill_everything(process: subprocess.Popen[str]) -> None:
    """SIGKILL the driver and all of Ray: its head, its raylet, the trials; only the guardian stays, to clean up."""
    family = psutil.Process(process.pid).children(recursive=True)
    assert any("raylet" in one.name() for one in family)
    guardian = [one for one in family if any("guardian.py" in word for word in one.cmdline())]
    assert len(guardian) == 1
    for victim in [psutil.Process(process.pid), *(one for one in family if one not in guardian)]:
        victim.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert psutil.wait_procs(family, timeout=60)[1] == []


def curves(run: Path) -> dict[str, list[dict[str, str]]]:
    """Every epoch of every training, without what a clock says."""
    found = {}
    for path in sorted((run / "refine").glob("*/log.csv")):
        with path.open() as file:
            found[path.parent.name] = [
                {key: text for key, text in row.items() if key not in TIMES} for row in csv.DictReader(file)
            ]
    return found


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("slots", [1, 2])
def test_a_killed_refine_resumes(slots: int, search: Path, data: Path, tmp_path: Path) -> None:
    """With one slot the epochs end in one order, and everything is equal. With two the order is the clock's, and ASHA decides by
    it: then each training's curve is equal as far as both got, and what was decided before the kill stays.
    """
    whole, broken = (Path(shutil.copytree(search, tmp_path / name)) for name in ("whole", "broken"))
    options = (
        "--data",
        data,
        "--epochs",
        4,
        "--grace",
        1,
        "--reduction",
        2,
        "--batch",
        8,
        "--device",
        "cpu",
        "--concurrent",
        slots,
    )
    undisturbed = finish(refine(whole, *options))
    process = refine(broken, *options)
    # Until one training has ended and another is under way.
    wait_until(lambda: any(record["decision"] in ("done", "stop") for record in decided(broken)[:-1]), process)
    assert process.poll() is None, process.communicate()
    kill_everything(process)
    kept = decided(broken)
    ended = {record["finalist"] for record in kept if record["decision"] in ("done", "stop")}
    before = {name: (broken / "refine" / name / "checkpoint.pth").stat().st_mtime_ns for name in ended}
    assert 0 < len(ended) < 4
    again = finish(refine("--resume", broken))
    assert decided(broken)[: len(kept)] == kept
    assert {name: (broken / "refine" / name / "checkpoint.pth").stat().st_mtime_ns for name in ended} == before
    one, other = curves(whole), curves(broken)
    assert list(one) == list(other) == ["01", "02", "03", "04"]
    for name, curve in one.items():
        common = min(len(curve), len(other[name]))
        assert common >= 1
        assert curve[:common] == other[name][:common]
    found = json.loads((broken / "refine/results.json").read_text())
    assert found["complete"]
    assert "Proxy rank against trained rank" in (broken / "report.html").read_text()
    if slots == 1:
        for name in ("decisions.json", "results.json", "results.csv"):
            assert (broken / "refine" / name).read_bytes() == (whole / "refine" / name).read_bytes()
        assert again.splitlines()[:5] == undisturbed.splitlines()[:5]
