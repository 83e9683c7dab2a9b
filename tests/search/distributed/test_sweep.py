"""Several searches at a time: which, and that a killed sweep ends with the journals of searches run one by one."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from search.commands.sweep import _seeds, command
from search.config import loading as configuration
from search.distributed import sweep
from search.engine import driver
from search.monitor.progress import PlainView
from tests.search.conftest import ROOT, stable
from tests.waiting import lines, wait_until
from uninas import InputError

CONFIG = """
space: {preset: resnet, widths: [16, 16, 16, 16], depths: [1, 1, 1, 1], stem: [8, 8]}
algorithm: evolution
algorithm_options: {population: 4}
objective: jacov
evaluations: 12
window: 2
size: 32
classes: 10
batch: 4
pool: {kind: ray, workers: 2, deadline_s: 600}
finalists: {count: 2, seeds: 1, controls: []}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(CONFIG)
    return tmp_path / "small.yaml"


def test_every_combination(config: Path) -> None:
    words = ["evaluations=5,6", "classes=7", "algorithm_options={population: 3}"]
    plan = sweep.expand(str(config), words, [4, 9])
    assert list(plan.searches) == [
        "000-seed4-evaluations5",
        "001-seed4-evaluations6",
        "002-seed9-evaluations5",
        "003-seed9-evaluations6",
    ]
    settled = [configuration.load(config, overrides) for overrides in plan.searches.values()]
    assert [(one.seed, one.evaluations) for one in settled] == [(4, 5), (4, 6), (9, 5), (9, 6)]
    assert {one.classes for one in settled} == {7}
    assert {one.algorithm_options["population"] for one in settled} == {3}
    assert {(one.pool.kind, one.pool.deadline_s) for one in settled} == {("serial", 600.0)}


def test_seeds() -> None:
    assert _seeds("0..3") == [0, 1, 2, 3]
    assert _seeds("5") == [5]
    assert _seeds("7,3") == [7, 3]
    for text in ("", "a", "3..1", "1,1", "1-3", "-1"):
        with pytest.raises(InputError, match="--seeds: expected different whole numbers"):
            _seeds(text)


def test_mistakes_come_before_anything_is_made(config: Path, tmp_path: Path) -> None:
    def asked(*arguments: Any) -> str:
        result = CliRunner().invoke(command, [str(one) for one in arguments])
        assert isinstance(result.exception, InputError), result.output
        return str(result.exception)

    out = tmp_path / "out"
    assert "expected a configuration file" in asked("--out", out)
    assert "unknown key 'evaluation'" in asked(config, "evaluation=3", "--out", out)
    assert "expected at least 1; got 0" in asked(config, "evaluations=3,0", "--out", out)
    assert "expected only the folder of a sweep" in asked(config, "--resume", out)
    assert "expected the folder of a sweep, with a sweep.json" in asked("--resume", tmp_path)
    assert not out.exists()
    out.mkdir()
    assert "expected a new folder" in asked(config, "--out", out)
    (out / "sweep.json").write_text('{"format": "uninas-sweep", "version": 1, "config": "x", "searches": {"../x": []}}')
    assert "expected the searches of a sweep" in asked("--resume", out)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_killed_sweep_resumes(config: Path, tmp_path: Path) -> None:
    """The driver alone is killed: Ray and the searches under it end with it, and each goes on from its journal."""
    folder = tmp_path / "sweep"
    uninas = [sys.executable, "-m", "uninas.cli", "sweep"]
    process = subprocess.Popen([*uninas, str(config), "--seeds", "1,2", "--out", str(folder), "--concurrent", "2"], cwd=ROOT)
    journals = [folder / "000-seed1/journal.jsonl", folder / "001-seed2/journal.jsonl"]
    wait_until(lambda: any(lines(path) > 3 for path in journals), process)
    assert process.poll() is None
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert psutil.wait_procs(family, timeout=60)[1] == []
    before = {path: path.read_bytes() for path in journals if path.exists()}  # one search may not have begun yet
    done = subprocess.run([*uninas, "--resume", str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "000-seed1" in done.stdout
    for path, kept in before.items():
        assert path.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    for seed, path in zip((1, 2), journals, strict=True):
        alone = tmp_path / f"alone{seed}"
        overrides = [f"seed={seed}", "pool={kind: serial, deadline_s: 600}"]
        driver.begin(configuration.load(config, overrides), alone, view=PlainView(lambda text: None, clock=lambda: 0.0))
        assert stable(path.parent) == stable(alone)
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["search"], row["status"], row["candidates"]) for row in rows] == [
        ("000-seed1", "complete", "12"),
        ("001-seed2", "complete", "12"),
    ]
    again = subprocess.run([*uninas, "--resume", str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert again.returncode == 0
    assert "starting Ray" not in again.stderr


GOOD = "000-seed0"


@pytest.mark.parametrize(
    ("searches", "config", "said"),
    [
        ({"..": ["seed=0"]}, "c.yaml", "'..' is no name of a search"),
        ({".": ["seed=0"]}, "c.yaml", "'.' is no name of a search"),
        ({"...": ["seed=0"]}, "c.yaml", "is no name of a search"),
        ({"": ["seed=0"]}, "c.yaml", "is no name of a search"),
        ({"results": ["seed=0"]}, "c.yaml", "is no name of a search"),
        ({"000-a/../..": ["seed=0"]}, "c.yaml", "is no name of a search"),
        ({GOOD + "\n": ["seed=0"]}, "c.yaml", "is no name of a search"),
        ({GOOD + "x" * 250: ["seed=0"]}, "c.yaml", "is no name of a search"),
        ({GOOD: ["--out=elsewhere"]}, "c.yaml", "'--out=elsewhere' is no configuration and no KEY=VALUE"),
        ({GOOD: ["--resume", "elsewhere"]}, "c.yaml", "is no configuration"),
        ({GOOD: [1]}, "c.yaml", "is no configuration"),
        ({GOOD: "seed=0"}, "c.yaml", "without their overrides"),
        ({GOOD: ["seed"]}, "c.yaml", "without their overrides"),
        ({GOOD: ["seed=0"]}, "--resume", "'--resume' is no configuration"),
        ({GOOD: ["seed=0"]}, 7, "'7' is no configuration"),
        ([GOOD], "c.yaml", "expected the searches of a sweep"),
        ({GOOD: 1}, "c.yaml", "expected the searches of a sweep"),
        (None, "c.yaml", "expected the searches of a sweep"),
    ],
)
def test_a_plan_that_names_what_no_sweep_names_removes_nothing(searches: Any, config: Any, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "parent" / "sweep"
    folder.mkdir(parents=True)
    (folder.parent / "mine").write_text("mine")
    data = {"format": sweep.FORMAT, "version": sweep.VERSION, "config": config, "searches": searches}
    (folder / sweep.FILE).write_text(json.dumps(data))
    done = CliRunner().invoke(command, ["--resume", str(folder)])
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)
    assert (folder.parent / "mine").read_text() == "mine"


@pytest.mark.parametrize("harm", ["file", "folder", "link", "dangling", "is a file"])
def test_what_no_search_left_is_not_removed(harm: str, tmp_path: Path, config: Path) -> None:
    folder, victim = tmp_path / "sweep", tmp_path / "victim"
    victim.mkdir()
    (victim / "config.yaml").write_text("mine")
    sweep.begin(folder, sweep.SweepPlan(str(config), {GOOD: ["seed=0"]}))
    run = folder / GOOD
    if harm in ("file", "folder"):
        run.mkdir()
        (run / "config.yaml").write_text("half")
        (run / "thesis").write_text("mine") if harm == "file" else (run / "thesis").mkdir()
    elif harm == "is a file":
        run.write_text("mine")
    else:
        run.symlink_to(victim if harm == "link" else tmp_path / "none")
    before = sorted(map(str, tmp_path.rglob("*")))
    with pytest.raises(InputError, match=r"expected the folder of a search; it holds|it is a link"):
        sweep.run_searches(folder)
    assert sorted(map(str, tmp_path.rglob("*"))) == before


def test_what_a_kill_left_is(tmp_path: Path) -> None:
    (tmp_path / GOOD).mkdir()
    for name in ("config.yaml", ".journal.jsonl.part", "space.py"):
        (tmp_path / GOOD / name).write_text("half")
    assert not sweep._takes_up(tmp_path / GOOD)
    (tmp_path / GOOD / "journal.jsonl").write_text("")
    assert sweep._takes_up(tmp_path / GOOD)


def called(folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> list[str]:
    """The words of `uninas search` that the first trial of a sweep calls."""
    words: list[str] = []

    def call(given: list[str], **rest: Any) -> int:
        words.extend(given[4:])
        return 0

    plan = sweep.read_plan(folder)
    monkeypatch.setattr(sweep.subprocess, "call", call)
    monkeypatch.setattr(sweep.tune, "report", lambda found: None)
    name = next(iter(plan.searches))
    settings = {"config": plan.config, "searches": plan.searches, "output": str(folder), "cwd": str(folder), "resume": []}
    sweep._search({"name": name, "folder": str(folder), "of_before": plan.of_before, **settings, **more})
    return words


def test_what_is_left_of_a_sweep_is_searched_as_the_others_were(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One from before there was a key goes on without what the key brought."""
    folder = tmp_path / "sweep"
    plan = sweep.expand(str(config), [], [0])
    sweep.begin(folder, plan)
    assert sweep.read_plan(folder) == plan
    (name,) = plan.searches
    assert called(folder, monkeypatch) == [str(config), *plan.searches[name], "--out", str(folder / name)]
    document = json.loads((folder / "sweep.json").read_text())
    del document["of_before"]
    (folder / "sweep.json").write_text(json.dumps(document))
    words = called(folder, monkeypatch)
    assert words[-6:-2] == ["ties=older", "space.regularisers=true", "finalists.controls=[]", "finalists.by_model=0"]
    assert configuration.load(words[0], words[1:-2]) == configuration.load(config, plan.searches[name], stored=True)


def test_a_resume_hands_on_that_changes_are_accepted(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sweep"
    plan = sweep.expand(str(config), [], [0])
    sweep.begin(folder, plan)
    (name,) = plan.searches
    (folder / name).mkdir()
    for file in ("config.yaml", "journal.jsonl"):
        (folder / name / file).touch()
    words = called(folder, monkeypatch, resume=["--accept-changes"])
    assert words == ["--resume", str(folder / name), "--accept-changes"]
