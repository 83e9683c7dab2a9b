"""What a refine says when something has changed since it began: the data, or the order of the search's finalists."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from downstream.commands import refine
from downstream.refine import run_folder, tuning
from downstream.refine.run_folder import RefinePlan
from downstream.train.history import write_history
from downstream.train.trained_on import TrainedOn
from tests.downstream import pictures
from tests.downstream.refine.test_refine import SMALL
from tests.search.report.report_runs import make_run
from uninas import InputError

OPTIONS = {"epochs": 4, "batch": 8, "reduction": 2.0, "augment": "", "precision": "auto", "seed": 0, "cpus_per_trial": 1}
OPTIONS |= {**dict.fromkeys(("top", "beside", "grace", "size", "lr", "gpus_per_trial", "workers", "concurrent")), "device": "cpu"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures.make(tmp_path_factory.mktemp("data"), train=4, val=2)


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "search", *SMALL, "evaluations=8", "algorithm_options.population=4")


@pytest.fixture
def begun(search: Path, data: Path, tmp_path: Path) -> tuple[Path, RefinePlan]:
    """A refine of four finalists, of which the first two have an epoch."""
    run = Path(shutil.copytree(search, tmp_path / "run"))
    plan, trainings = refine._plan(run, data, OPTIONS)
    classes = next(iter(trainings.values())).classes
    run_folder.begin(run, plan, trainings, TrainedOn(data, lambda: refine._described(data, classes)))
    decisions = run_folder.Decisions(run / "refine")
    for name, top1 in (("01", 20.0), ("02", 30.0)):
        write_history(run / "refine" / name, [{"epoch": 1, "top1": top1}], {"top-1, %": ("top1",)})
        decisions.add({"finalist": name, "epoch": 1, "top1": top1, "decision": "go_on"})
    return run, plan


def resumed(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> Any:
    """Resume without Ray, with nothing trained."""
    given: dict[str, Any] = {}

    def train_finalists(run: Path, plan: RefinePlan, **more: Any) -> run_folder.Decisions:
        given.update(more)
        return run_folder.Decisions.read(run / "refine")

    monkeypatch.setattr(tuning, "train_finalists", train_finalists)
    monkeypatch.setattr(refine, "_report", lambda run: None)
    result = CliRunner().invoke(refine.command, ["--resume", *map(str, arguments)])
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exception is None, result.output
    return given, result.output


def test_other_data_are_refused_before_ray_starts(
    begun: tuple[Path, RefinePlan], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = begun
    other = pictures.make(tmp_path / "other", train=5, val=2)
    said = r"refine/01: expected the data that it was trained on, .*; train has 15 files and had 12"
    with pytest.raises(InputError, match=said):
        resumed(monkeypatch, run, "--data", other)
    given, _ = resumed(monkeypatch, run, "--data", other, "--accept-changes")
    assert given["accept_changes"] is True
    moved = shutil.copytree(data, tmp_path / "moved")
    given, _ = resumed(monkeypatch, run, "--data", moved)
    assert given["accept_changes"] is False


def test_a_new_refine_has_nothing_to_accept(search: Path, data: Path) -> None:
    result = CliRunner().invoke(refine.command, [str(search), "--data", str(data), "--accept-changes"])
    assert "--accept-changes: expected only with --resume" in str(result.exception)
    assert not (search / "refine").exists()


def test_after_an_extension_the_table_says_which_finalist_each_network_is_now(
    begun: tuple[Path, RefinePlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, plan = begun
    _, before = resumed(monkeypatch, run)
    assert "finalist now" not in before
    digests = [finalist.digest for finalist in plan.finalists]
    document = json.loads((run / "run.json").read_text())
    first, second, *_ = document["finalists"]
    new = {**first, "digest": "f" * 64}
    for number, row in enumerate((new, second, first), start=1):
        row["file"] = f"finalists/{number:02}.json"
    (run / "run.json").write_text(json.dumps({**document, "finalists": [new, second, first]}))
    _, after = resumed(monkeypatch, run)
    lines = {line.split()[0]: line.split() for line in after.splitlines() if line.strip()[:2].isdecimal()}
    assert [lines[name][1:3] for name in ("01", "02", "03")] == [
        [digests[0][:12], "03"],
        [digests[1][:12], "02"],
        [digests[2][:12], "–"],
    ]
    assert "its finalists are numbered anew" in after


def test_a_folder_of_another_network_is_refused(begun: tuple[Path, RefinePlan], monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = begun
    for name, other in (("01", "03"), ("02", "01"), ("03", "02")):
        (run / "refine" / name).rename(run / f"kept-{other}")
    for name in ("01", "02", "03"):
        (run / f"kept-{name}").rename(run / "refine" / name)
    with pytest.raises(
        InputError, match=r"refine/01: expected a training of the network \w{12}, as .*; got \w{12}: it was moved"
    ):
        resumed(monkeypatch, run)
