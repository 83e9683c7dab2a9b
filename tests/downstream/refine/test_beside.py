"""Controls that are trained beside finalists: who they are, in which order, from which files, what the report says of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from downstream.commands import refine
from downstream.refine import run_folder
from downstream.refine.run_folder import Finalist
from downstream.train.settings import read_settings
from search.report.data import read_run
from search.report.held_out import verdict
from tests.downstream import pictures
from tests.downstream.refine.test_refine import SMALL, asked
from tests.search.report.report_runs import make_run
from uninas import InputError, load

OPTIONS = {"epochs": 4, "batch": 8, "reduction": 2.0, "augment": "", "precision": "auto", "seed": 0, "cpus_per_trial": 1}
OPTIONS |= {**dict.fromkeys(("grace", "size", "lr", "gpus_per_trial", "workers", "concurrent")), "device": "cpu", "top": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures.make(tmp_path_factory.mktemp("data"), train=4, val=2)


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = ("evaluations=12", "algorithm_options.population=4", "baseline=true", "finalists.controls=[start, random, resnet]")
    return make_run(tmp_path_factory.mktemp("runs") / "search", *SMALL, *changes)


@pytest.fixture
def run(search: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(search, tmp_path / "run"))


def test_controls_are_ranked_with_the_finalists_by_their_held_out_scores(run: Path) -> None:
    found = run_folder.finalists_of(run, beside=("resnet", "start"))
    rows = json.loads((run / "run.json").read_text())
    places = {row["digest"]: row["place"] for row in (*rows["finalists"], *rows["controls"])}
    assert {one.name for one in found} >= {"01", "02", "resnet"}
    assert [one.proxy_place for one in found] == list(range(1, len(found) + 1))
    assert [places[one.digest] for one in found] == sorted(places[one.digest] for one in found)
    assert len({one.digest for one in found}) == len(found)


def test_each_is_trained_from_its_own_file(run: Path, data: Path) -> None:
    plan, trainings = refine._plan(run, data, {**OPTIONS, "beside": "all"})
    assert {one.name for one in plan.finalists} >= {"01", "02", "resnet"}
    run_folder.begin(run, plan, trainings)
    for one in run_folder.read_plan(run).finalists:
        assert read_settings(run / "refine" / one.name).architecture.digest == one.digest == load(run / one.file).digest


def test_a_control_that_there_is_not_is_an_error(run: Path, data: Path) -> None:
    said = asked(run, "--data", data, "--batch", 8, "--with", "start,vit")
    assert "--with: expected one of the run's controls, " in said
    assert "got 'vit'" in said
    document = json.loads((run / "run.json").read_text())
    del document["controls"]
    (run / "run.json").write_text(json.dumps(document))
    assert "expected none, for the search had no finalists.controls" in asked(
        run, "--data", data, "--batch", 8, "--with", "start"
    )
    assert "--with: expected none with --resume" in asked("--resume", run, "--with", "start")


@pytest.mark.parametrize("name", ["../01", "1.json", "", "Start"])
def test_a_name_must_not_lead_elsewhere(name: str) -> None:
    with pytest.raises(InputError, match="expected files named by numbers or controls"):
        Finalist(name, "0" * 64, 1, 1, 1.0)


@pytest.mark.parametrize(("key", "value"), [("digest", []), ("digest", None), ("place", "1"), ("name", {})])
def test_an_odd_control_is_one_line(key: str, value: Any, run: Path) -> None:
    document = json.loads((run / "run.json").read_text())
    document["controls"][0][key] = value
    (run / "run.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"^finalists: expected ") as caught:
        run_folder.finalists_of(run, beside=("resnet",))
    assert "\n" not in str(caught.value)


def trained(run: Path, curves: dict[str, list[float]], held_out: int | None) -> None:
    """Write what a refine leaves behind."""
    rows = []
    for one in run_folder.finalists_of(run, beside=("resnet", "start")):
        if one.name in curves:
            curve = curves[one.name]
            place = 1 + sum((len(other), other[-1]) > (len(curve), curve[-1]) for other in curves.values())
            row: dict[str, Any] = {"finalist": one.name, "digest": one.digest, "proxy_place": one.proxy_place, "place": one.place}
            row |= {"value": one.value, "status": "done", "reason": None, "epochs": len(curve), "curve": curve}
            rows.append({**row, "top1": curve[-1], "top1_at_grace": curve[0], "trained_place": place})
    document = {"format": "uninas-refine-results", "version": 1, "complete": True, "epochs": 2, "grace": 1, "reduction": 2.0}
    (run / "refine").mkdir(exist_ok=True)
    (run / "refine" / "results.json").write_text(json.dumps({**document, "held_out": held_out, "finalists": rows}))


def test_the_verdict_says_who_trained_best_and_how_far_ahead(run: Path) -> None:
    trained(run, {"01": [40.0, 52.0], "resnet": [41.0, 50.0], "02": [30.0]}, held_out=10_000)
    said = verdict(read_run(run))[-1]
    assert said == (
        "Trained for 2 epochs under one seed, finalist 01 is the best with 52.00% top-1; behind it in points "
        "resnet by 2.00 [0.61, 3.39], finalist 02, stopped after 1 epoch."
    )
    trained(run, {"01": [40.0, 52.0], "resnet": [41.0, 54.0]}, held_out=None)
    assert "resnet is the best with 54.00% top-1; behind it in points finalist 01 by 2.00." in verdict(read_run(run))[-1]
