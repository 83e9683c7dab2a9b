"""`uninas runs` reads the folders of trainings and refines as these programs write them: the two meet only through files."""

from __future__ import annotations

from pathlib import Path

from downstream.refine import run_folder as refines
from downstream.refine.run_folder import Decisions, Finalist, RefinePlan
from downstream.train import run_folder as trainings
from downstream.train.history import write_history
from downstream.train.settings import OpenMMLabSettings
from search.monitor.runs import below
from tests.search.conftest import run_toy
from uninas import load, to_document


def training() -> OpenMMLabSettings:
    network = to_document(load("resnet"))
    return OpenMMLabSettings("segment", network, (64, 64), batch=2, processes=1, epochs=3, every=1, drop_path=0.0)


def test_a_training_is_told_by_its_epochs_and_its_best(tmp_path: Path) -> None:
    trainings.create(training(), tmp_path / "runs/resnet")
    (row,) = below(tmp_path / "runs")
    assert (row.kind, row.state, row.done, row.total, row.unit, row.best) == ("training", "incomplete", 0, 3, "epochs", {})
    rows = [{"epoch": 1, "lr": 0.1}, {"epoch": 2, "lr": 0.1, "miou": 31.5}, {"epoch": 3, "lr": 0.1, "miou": 30.0}]
    write_history(tmp_path / "runs/resnet", rows, {"mIoU, %": ("miou",)})
    (row,) = below(tmp_path / "runs")
    assert (row.state, row.done, row.best) == ("complete", 3, {"miou": 31.5})


def test_a_refine_is_told_beside_its_search(tmp_path: Path) -> None:
    run = tmp_path / "runs/demo-0"
    run_toy(run, "evaluations=8", "algorithm_options={population: 4}")
    finalists = tuple(Finalist(f"{number:02}", f"{number:064}", number, number, 1.0) for number in (1, 2))
    refines.begin(run, RefinePlan(finalists, "data", 6, 1, 2.0, "cpu", 1, 0.0, 0, 2), {name: training() for name in ("01", "02")})
    decisions = Decisions(run / "refine")
    for name, epoch, top1, end in (("01", 1, 30.0, "go_on"), ("02", 1, 20.0, "stop"), ("01", 2, 35.0, "go_on")):
        decisions.add({"finalist": name, "epoch": epoch, "top1": top1, "decision": end})

    def told() -> tuple[object, ...]:
        row = next(row for row in below(tmp_path / "runs") if row.kind == "refine")
        return Path(row.path).relative_to(tmp_path).as_posix(), row.state, row.done, row.total, row.unit, row.best

    assert told() == ("runs/demo-0/refine", "incomplete", 1, 2, "trainings", {"top1": 35.0})
    decisions.add({"finalist": "01", "epoch": 3, "top1": 33.0, "decision": "done"})
    assert told()[1:3] == ("complete", 2)
    assert sorted(row.kind for row in below(tmp_path / "runs")) == ["refine", "search"]
