"""Cheap scores before a dear one: who goes on, what the journal says, and that it is the same however it was made."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest

from search.config import loading
from search.config.plan import SearchPlan
from search.engine import driver
from search.ladder.evaluate import Job, evaluate
from search.ladder.job import Step
from search.ladder.thresholds import LEAST, RECENT, name_of, thresholds
from search.monitor.follow import RunFollower
from search.report.data import read_run
from search.report.write import write_report
from search.training.evaluate import Job as Training
from search.training.images import describe
from search.training.recipe import Recipe
from search.workers.job import Job as Scoring
from tests.search.conftest import Notes, records, stable
from tests.search.engine.test_trained import CONFIG as TRAINED
from tests.search.training.conftest import make_images
from uninas import preset
from uninas.errors import InputError
from uninas.text import to_text

CONFIG = """
space: {preset: coatnet, widths: [16, 32, 64, 64], depths: [1, 1, 1, 1], random_edits: 6}
algorithm: evolution
algorithm_options: {population: 8}
objective: entropy
ladder:
- {score: params, keep: 0.5}
- {score: flops, keep: 0.75}
evaluations: 60
window: 4
size: 32
classes: 10
budget: {params: 600_000, macs: 30_000_000, layers: 60}
finalists: {count: 3, seeds: 2, controls: [start]}
pool: {kind: serial}
"""
SHARES = (0.5, 0.75)


def made(folder: Path, *overrides: str) -> dict[str, Any]:
    return driver.begin(loading.parse(CONFIG, overrides), folder, view=Notes().view)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    made(folder, "baseline=true")
    return folder


def candidates(folder: Path, phase: str = "search") -> list[dict[str, Any]]:
    return [line for line in records(folder) if line["kind"] == "candidate" and line["phase"] == phase]


def checked(lines: list[dict[str, Any]], seen: list[int]) -> int:
    """See that each candidate went as far as the results that its ask saw allow; give how many were stopped."""
    stopped = 0
    for line, count in zip(lines, seen, strict=True):
        before = [other["scores"] for other in lines[:count]]
        expected = "ok"
        for number, share in enumerate(SHARES, start=1):
            name = f"rung {number}"
            values = sorted((scores[name] for scores in before if name in scores), reverse=True)
            if expected == "ok" and len(values) >= 8 and line["scores"][name] < values[math.floor(share * len(values)) - 1]:
                expected = "stopped"
                assert set(line["scores"]) == {f"rung {one}" for one in range(1, number + 1)}
                assert line["reason"].startswith(f"{name}: {('params', 'flops')[number - 1]} ")
        assert line["status"] == expected, line
        assert (line["status"] == "ok") == ("entropy" in line["scores"])
        stopped += expected == "stopped"
    return stopped


# --- how much is enough -----------------------------------------------------------------------------------------------------


def of(values: list[float]) -> float | None:
    return thresholds([{"rung 1": value} for value in values], [0.5])[0]


def test_a_share_of_those_that_came_so_far_goes_on() -> None:
    assert of([1, 2, 3, 4] * 2) == 3
    assert of([1, 2, 3, 3] * 2) == 3
    assert of([5.0] * 8) == 5.0
    assert thresholds([{"rung 1": float(value)} for value in range(10)], [0.3]) == [7.0]
    assert thresholds([{"rung 1": float(value)} for value in range(10)], [0.01]) == [9.0], "the best always does"


def test_only_as_many_results_are_looked_at_as_count() -> None:
    looked = iter([{"rung 1": 1.0}] * RECENT + [{"rung 1": 9.0}] * 5)
    assert thresholds(looked, [0.5]) == [1.0]
    assert len(list(looked)) == 5


def test_until_enough_have_come_everybody_goes_on() -> None:
    assert of([1.0] * (LEAST - 1)) is None
    few = [{"rung 1": 1.0} for _ in range(40)] + [{"rung 1": 2.0, "rung 2": 1.0} for _ in range(LEAST - 1)]
    assert thresholds(few, [0.5, 0.5]) == [1.0, None], "of the second rung too few know anything"
    assert thresholds([], [0.5]) == [None]
    assert thresholds([{"top1": 1.0}] * 20, [0.5]) == [None]


def test_what_came_long_ago_does_not_count() -> None:
    assert of([1.0] * RECENT + [100.0] * 40) == 1.0, "the latest come first"


# --- on the way up ----------------------------------------------------------------------------------------------------------


def step(score: str, least: float | None = None) -> Step:
    network = to_text(preset("coatnet", widths=(16, 32, 64, 64), depths=(1, 1, 1, 1)))
    return Step("search.workers.evaluate", Scoring("d" * 64, network, (32, 32), 10, 2, 1, 0, (score,)), score, least)


def test_each_score_has_its_name_and_its_time() -> None:
    outcome = evaluate(Job((step("params"), step("flops", 1.0)), step("entropy")))
    assert outcome.status == "ok"
    assert list(outcome.scores) == ["rung 1", "rung 2", "entropy"]
    alone = evaluate(Job((), step("entropy")))
    assert alone.scores == {"entropy": outcome.scores["entropy"]}
    assert {"rung 1", "rung 2", "build", "score"} == set(outcome.seconds)


def test_the_time_of_a_training_is_counted_once(tmp_path: Path) -> None:
    images, _ = describe(make_images(tmp_path / "colours"), pixels=16, per_class=None)
    network = to_text(preset("resnet", widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), stem=(8, 8), classes=3))
    training = Training("one", network, (32, 32), images, Recipe(epochs=1, batch=12), 0)
    outcome = evaluate(Job((Step("search.training.evaluate", training, "top1"),), step("entropy")))
    assert outcome.status == "ok"
    clock = time.perf_counter()
    alone = evaluate(Job((), Step("search.training.evaluate", training, "top1")))
    assert alone.seconds["build"] + alone.seconds["train"] <= time.perf_counter() - clock
    assert "cpu" not in outcome.seconds
    assert outcome.scores["rung 1"] == alone.scores["top1"]


def test_who_stays_below_goes_no_further() -> None:
    params = evaluate(Job((step("params"),), step("entropy"))).scores["rung 1"]
    assert isinstance(params, float)
    assert evaluate(Job((step("params", params),), step("entropy"))).status == "ok", "as much is enough"
    outcome = evaluate(Job((step("params", params + 1), step("flops")), step("entropy")))
    assert (outcome.status, dict(outcome.scores)) == ("stopped", {"rung 1": params})
    assert outcome.reason == f"rung 1: params {params:.5g} < {params + 1:.5g}, with which one goes on"


def test_a_rung_without_a_score_is_a_failure() -> None:
    broken = Step("search.workers.evaluate", Scoring("d" * 64, "no network", (32, 32), 10, 2, 1, 0, ("params",)), "params")
    outcome = evaluate(Job((step("params"), broken), step("entropy")))
    assert outcome.status == "failed"
    assert outcome.reason is not None
    assert outcome.reason.startswith("rung 2: ")
    assert list(outcome.scores) == ["rung 1"]


def test_a_job_travels() -> None:
    job = Job((step("params", 3.0), step("flops")), step("entropy"))
    assert Job.from_dict(json.loads(json.dumps(job.as_dict()))) == job


# --- in a search ------------------------------------------------------------------------------------------------------------


def test_a_candidate_goes_as_far_as_what_its_ask_saw_allows(whole: Path) -> None:
    lines = candidates(whole)
    stopped = checked(lines, [max(0, line["index"] - 4 + 1) for line in lines])
    assert 4 < stopped < 50


def test_in_completion_order_too(tmp_path: Path) -> None:
    made(tmp_path / "run", "order=completion")
    asks = {line["index"]: line["told"] for line in records(tmp_path / "run") if line["kind"] == "ask"}
    lines = candidates(tmp_path / "run")
    assert checked(lines, [asks[line["index"]] for line in lines]) > 4


def test_who_was_stopped_is_neither_a_parent_nor_a_finalist(whole: Path) -> None:
    stopped = {line["digest"] for line in candidates(whole) if line["status"] == "stopped"}
    assert not stopped & {line["parent"] for line in candidates(whole)}
    run = json.loads((whole / "run.json").read_text())
    assert not stopped & {row["digest"] for row in run["finalists"]}
    assert run["counts"]["search"]["stopped"] == len(stopped)
    assert run["counts"]["search"]["done"] == 60
    assert "stopped" not in run["counts"]["random"]


def test_finalists_and_the_random_search_climb_no_ladder(whole: Path) -> None:
    rescores = [line for line in records(whole) if line["kind"] == "rescore"]
    assert rescores
    assert all(set(line["scores"]) == {"entropy"} for line in rescores)
    assert all(line["status"] == "ok" for line in candidates(whole, "random"))


@pytest.mark.parametrize("order", ["ask", "completion"])
def test_a_run_cut_anywhere_is_continued(order: str, tmp_path: Path) -> None:
    changes = (f"order={order}", "evaluations=30")
    made(tmp_path / "whole", *changes)
    made(tmp_path / "cut", *changes)
    lines = (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    expected = stable(tmp_path / "whole")
    for count in range(1, len(lines), 5):
        (tmp_path / "cut" / "journal.jsonl").write_bytes(b"".join(lines[:count]))
        driver.resume(tmp_path / "cut", view=Notes().view)
        assert stable(tmp_path / "cut") == expected, count


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(workers: int, whole: Path, tmp_path: Path) -> None:
    made(tmp_path / "run", "baseline=true", "pool.kind=ray", f"pool.workers={workers}")
    assert stable(tmp_path / "run") == stable(whole)


def test_watch_and_report_say_how_many_were_stopped(whole: Path) -> None:
    stopped = sum(line["status"] == "stopped" for line in candidates(whole))
    assert RunFollower(whole).look().phases["search"].stopped == stopped
    assert read_run(whole).missing == []
    assert "stopped on the ladder" in write_report(whole).read_text(encoding="utf-8")


def test_a_shorter_training_is_a_rung(tmp_path: Path) -> None:
    config = TRAINED.format(images=make_images(tmp_path / "colours"))
    climbed = loading.parse(config, ["ladder=[{per_class: 6, keep: 0.5}]", "evaluations=3"])
    driver.begin(climbed, tmp_path / "run", view=Notes().view)
    plain = loading.parse(config, ["evaluations=3", "finalists.controls=[]"])
    driver.begin(plain, tmp_path / "plain", view=Notes().view)
    for line, alone in zip(candidates(tmp_path / "run"), candidates(tmp_path / "plain"), strict=True):
        assert 0 <= line["scores"]["rung 1"] <= 100
        assert line["scores"]["top1"] == alone["scores"]["top1"], "the training behind it is the same"
    assert "Before it comes a ladder of a training on 6 images of a class, which stopped 0." in write_report(
        tmp_path / "run"
    ).read_text(encoding="utf-8")
    digests = [next(one["digest"] for one in records(tmp_path / name) if one["kind"] == "images") for name in ("run", "plain")]
    assert digests[0] != digests[1], "those of the rung count too"
    driver.resume(tmp_path / "run", {"evaluations": 4}, view=Notes().view)
    assert len(candidates(tmp_path / "run")) == 4


# --- what a configuration may say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ladder", "said"),
    [
        ("[{keep: 0.5}]", r"ladder\[0\]: expected score, or per_class of a shorter training; got neither"),
        ("[{score: params, per_class: 5}]", r"ladder\[0\]: expected score, or per_class of a shorter training; got both"),
        ("[{score: params, keep: 1.0}]", r"ladder\[0\].keep: expected a share between 0 and 1"),
        ("[{score: params}, {score: entropy}]", r"ladder\[1\].score: expected none of the objective entropy; got 'entropy'"),
        ("[{score: az_nas}]", r"<text>: ladder\[0\].score: expected a raw score; got 'az_nas'"),
        ("[{score: flop}]", r"<text>: ladder\[0\].score: expected a raw score; got 'flop', nearest is 'flops'"),
        ("[{per_class: 5}]", r"ladder\[0\].per_class: expected a score beside an objective that does not train; got 5"),
        ("[{scores: flops}]", r"unknown key 'ladder\[0\].scores'; nearest known key is 'ladder\[0\].score'"),
        ("{score: flops}", "ladder: expected a list; got a mapping"),
    ],
)
def test_what_cannot_be_is_an_error(ladder: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        loading.parse(CONFIG, [f"ladder={ladder}"])


@pytest.mark.parametrize(
    ("ladder", "said"),
    [
        ("[{per_class: 20}]", r"ladder\[0\].per_class: expected more than on the rung before, and fewer than .* \(20\); got 20"),
        ("[{per_class: 9}, {per_class: 8}]", r"ladder\[1\].per_class: expected more than on the rung before"),
        ("[{per_class: 3}]", r"ladder\[0\].per_class: expected a batch of 12 of 3 classes; got 3"),
    ],
)
def test_a_shorter_training_is_shorter_and_one(ladder: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        loading.parse(TRAINED.format(images="colours"), ["training.per_class=20", f"ladder={ladder}"])


def test_another_ladder_is_other_scoring_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, climbs = (SearchPlan.resolve(loading.parse(CONFIG, words)) for words in (["ladder=[]"], []))
    assert climbs.code().changes(plain.code())
    assert "params" in climbs.code().revisions
    assert "params" not in plain.code().revisions


def test_without_a_ladder_jobs_are_what_they_were() -> None:
    plan = SearchPlan.resolve(loading.parse(CONFIG, ["ladder=[]"]))
    assert plan.evaluator == "search.workers.evaluate"
    assert isinstance(plan.search_job("d", "text", []), Scoring)
    assert name_of(1) == "rung 1"
