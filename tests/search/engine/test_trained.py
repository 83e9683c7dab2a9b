"""Trained accuracy as an objective: a search whose scores are short trainings, on the slots of any search."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import uninas
from search.config import loading
from search.engine import driver
from search.report.data import read_run
from search.report.write import write_report
from search.training.evaluate import Job, evaluate
from search.training.images import describe
from tests.search.conftest import ROOT, Notes, records, stable
from tests.search.training.conftest import make_images
from tests.waiting import wait_for_lines
from uninas.errors import InputError

CONFIG = """
space: {{preset: resnet, widths: [8, 8, 16, 16], depths: [1, 1, 1, 1], stem: [8, 8], random_edits: 3}}
algorithm: evolution
algorithm_options: {{population: 4}}
objective: {{train: {{images: {images}, pixels: 16, batch: 12, rate: 3e-3}}}}
evaluations: 5
window: 2
size: 32
classes: 3
budget: {{params: 60_000, layers: 40}}
finalists: {{count: 2, seeds: 2, controls: [start]}}
pool: {{kind: serial}}
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images") / "colours")


def made(folder: Path, images: Path, *overrides: str) -> dict[str, Any]:
    return driver.begin(loading.parse(CONFIG.format(images=images), overrides), folder, view=Notes().view)


@pytest.fixture(scope="module")
def whole(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    made(folder, images, "baseline=true")
    return folder


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [record for record in records(folder) if record["kind"] == kind]


def test_a_score_is_the_accuracy_of_a_short_training(whole: Path, images: Path) -> None:
    start = next(line for line in lines(whole, "candidate") if line["phase"] == "search")
    config = loading.load(whole / "config.yaml", stored=True)
    network = uninas.to_text(uninas.canonicalise(uninas.load(whole / "finalists" / "01.json")))
    found, _ = describe(images, pixels=16, per_class=None)
    best = next(line for line in lines(whole, "candidate") if line["digest"] == uninas.parse(network).digest)
    alone = evaluate(Job("best", network, (32, 32), found, config.training.recipe, 0))
    assert best["scores"]["top1"] == alone.scores["top1"]
    assert start["scores"].keys() == {"top1", "loss"}
    assert {"build", "train"} <= start["seconds"].keys()
    assert (config.training.recipe.epochs, config.training.recipe.batch) == (1, 12)


def test_finalists_are_trained_anew_with_held_out_seeds(whole: Path) -> None:
    found = json.loads((whole / "run.json").read_text())
    assert found["objective"] == "top1"
    assert [len(row["rescores"]) for row in found["finalists"]] == [2, 2]
    seeds = {line["seed"] for line in lines(whole, "rescore")}
    assert len(seeds) == 2
    assert 0 not in seeds
    means = [row["mean"]["top1"] for row in found["finalists"]]
    assert means == sorted(means, reverse=True)


@pytest.fixture(scope="module")
def judged(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose candidates are trained on six images of a class, its finalists on nine of them in two epochs."""
    folder = tmp_path_factory.mktemp("runs") / "judged"
    made(folder, images, *LONGER)
    return folder


LONGER = ("training.per_class=6", "finalists.per_class=9", "finalists.epochs=2")


def test_finalists_can_be_trained_longer(judged: Path, images: Path) -> None:
    config = loading.load(judged / "config.yaml", stored=True)
    found, _ = describe(images, pixels=16, per_class=9)
    recipe = dataclasses.replace(config.training.recipe, epochs=2)
    best = json.loads((judged / "run.json").read_text())["finalists"][0]
    network = uninas.to_text(uninas.canonicalise(uninas.load(judged / "best.json")))
    for rescore in best["rescores"]:
        alone = evaluate(Job("best", network, (32, 32), found, recipe, rescore["seed"]))
        assert rescore["scores"]["top1"] == alone.scores["top1"]


def test_finalists_that_were_trained_longer_compare_with_each_other_alone(judged: Path) -> None:
    found = json.loads((judged / "run.json").read_text())
    rows = [*found["finalists"], *found["controls"]]
    assert all(row["value"] == pytest.approx(row["mean"]["top1"]) for row in rows)
    assert sorted(rows, key=lambda row: row["place"]) == sorted(rows, key=lambda row: -row["value"])
    assert found["verdict"]["training"] == "2 epochs on up to 9 images of a class"
    said = "after 2 epochs on up to 9 images of a class, on 2 held-out seeds, the same for all"
    assert read_run(judged).verdict[0].startswith(said)


def test_the_report_of_longer_trainings_says_so(judged: Path) -> None:
    page = write_report(judged).read_text(encoding="utf-8")
    assert "They were trained longer than candidates:\n2 epochs on up to 9 images of a class" in page
    assert "ring: the score" not in page
    assert re.search(r"Trained accuracy of the pick: [\d.]+% of the held-out images under 2 held-out seeds, in the mean\.", page)
    assert "none measured" not in page


@pytest.mark.parametrize("count", [2, 7, -1])
def test_a_run_with_longer_trainings_cut_anywhere_is_continued(count: int, judged: Path, images: Path, tmp_path: Path) -> None:
    made(tmp_path / "cut", images, *LONGER)
    kept = (judged / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut" / "journal.jsonl").write_bytes(b"".join(kept[:count]))
    driver.resume(tmp_path / "cut", view=Notes().view)
    assert stable(tmp_path / "cut") == stable(judged)


def test_longer_trainings_after_a_ladder(judged: Path, images: Path, tmp_path: Path) -> None:
    made(tmp_path / "run", images, *LONGER, "ladder=[{per_class: 4, keep: 0.5}]")
    ours, theirs = (
        [(line["digest"], line["repeat"], line["scores"]) for line in lines(folder, "rescore")]
        for folder in (tmp_path / "run", judged)
    )
    assert ours == theirs


def test_more_images_than_there_are_is_told(images: Path, tmp_path: Path) -> None:
    notes = Notes()
    config = loading.parse(CONFIG.format(images=images), ["training.per_class=90", "finalists.per_class=91", "evaluations=2"])
    driver.begin(config, tmp_path / "run", view=notes.view)
    assert any(f"finalists.per_class=91: {images} has no more images of a class than 90" in line for line in notes.notes)


def test_what_judges_may_be_taken_from_the_training_images(images: Path, tmp_path: Path) -> None:
    made(tmp_path / "run", images, "training.held_out=4", "evaluations=2", "finalists.controls=[]")
    (line,) = lines(tmp_path / "run", "images")
    assert line["digest"] == describe(images, pixels=16, per_class=None, held_out=4)[0].digest
    with pytest.raises(InputError, match=r"training\.held_out: expected at least 1 image of a class; got 0"):
        made(tmp_path / "other", images, "training.held_out=0")


def test_the_journal_says_which_images(whole: Path, images: Path) -> None:
    (line,) = lines(whole, "images")
    assert line["digest"] == describe(images, pixels=16, per_class=None)[0].digest


def test_a_random_search_does_not_train_again_what_was_trained(whole: Path) -> None:
    known = {line["digest"] for line in lines(whole, "candidate") if line["phase"] == "search"}
    again = [line for line in lines(whole, "candidate") if line["phase"] == "random" and line["digest"] in known]
    assert all(line["worker"] == "reused" for line in again)


def test_the_report_shows_it(whole: Path) -> None:
    run = read_run(whole)
    assert run.missing == []
    page = write_report(whole).read_text(encoding="utf-8")
    assert "objective top1" in page
    assert "train" in page


@pytest.mark.parametrize("count", [1, 3, 6])
def test_a_run_cut_anywhere_is_continued(count: int, whole: Path, images: Path, tmp_path: Path) -> None:
    made(tmp_path / "cut", images, "baseline=true")
    kept = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut" / "journal.jsonl").write_bytes(b"".join(kept[:count]))
    driver.resume(tmp_path / "cut", view=Notes().view)
    assert stable(tmp_path / "cut") == stable(whole)


def test_killed_and_resumed_it_is_the_same_journal(images: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.format(images=images) + "baseline: true\n")
    words = [sys.executable, "-m", "uninas.cli", "search", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "run")]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True) as process:
        wait_for_lines(process, tmp_path / "run" / "journal.jsonl", 4)
        os.kill(process.pid, signal.SIGKILL)
    driver.resume(tmp_path / "run", view=Notes().view)
    assert stable(tmp_path / "run") == stable(whole)


@pytest.mark.slow
def test_two_workers_of_ray_make_the_same_journal(images: Path, whole: Path, tmp_path: Path) -> None:
    made(tmp_path / "run", images, "baseline=true", "pool.kind=ray", "pool.workers=2")
    assert stable(tmp_path / "run") == stable(whole)


def test_a_resume_on_other_images_is_rejected(images: Path, tmp_path: Path) -> None:
    made(tmp_path / "run", images, "evaluations=2")
    other = make_images(tmp_path / "other", train=13)
    text = (tmp_path / "run" / "config.yaml").read_text().replace(str(images), str(other))
    (tmp_path / "run" / "config.yaml").write_text(text)
    with pytest.raises(InputError, match="expected the images that scored this run"):
        driver.resume(tmp_path / "run", {"evaluations": 4}, view=Notes().view)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["classes=10"], r"classes: expected 3, as .* has; got 10"),
        (["repeats=2"], "repeats: expected 1 beside an objective that is trained; got 2"),
        (["budget.latency_ms=3"], r"budget.latency_ms: expected none beside an objective that is trained; got 3"),
        (["training.recipe.epochs=0"], r"training.recipe.epochs: expected at least 1; got 0"),
        (["objective=jacov"], r"training.images: expected none beside the objective jacov; got '.*colours'"),
        (
            ["objective=top1", "training.images=null"],
            "training.images: expected a folder of images beside the objective top1; got none",
        ),
        (["finalists.per_class=9"], r"finalists.per_class: expected more than training.per_class \(all\), or null; got 9"),
        (
            ["training.per_class=9", "finalists.per_class=9"],
            r"finalists.per_class: expected more than training.per_class \(9\), or null; got 9",
        ),
        (["finalists.epochs=1"], r"finalists.epochs: expected more than training.recipe.epochs \(1\), or null; got 1"),
        (
            ["finalists.epochs=2", "finalists.reliability=4"],
            "finalists.reliability: expected 0 beside finalists that are trained longer than candidates; got 4",
        ),
        (
            ["objective=jacov", "training.images=null", "finalists.epochs=2"],
            "finalists.epochs: expected null beside the objective jacov, which does not train; got 2",
        ),
        (["objective={train: 3}"], "objective.train: expected a folder of images, or images: FOLDER and some of held_out"),
        (["objective={train: {images: a, epoch: 3}}"], "objective.train: expected .*; got images, epoch"),
    ],
)
def test_what_cannot_be_is_said(overrides: list[str], message: str, images: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        made(tmp_path / "run", images, *overrides)
    assert not (tmp_path / "run").exists()


def test_a_folder_alone_is_one_epoch_on_all_of_it(images: Path) -> None:
    config = loading.parse(CONFIG.format(images=images), ["objective={train: elsewhere}"])
    assert config.objective == "top1"
    assert config.training.images == "elsewhere"
    assert (config.training.pixels, config.training.per_class, config.training.recipe.epochs) == (32, None, 1)


def test_a_search_by_scores_is_what_it_was_before_there_were_trainings() -> None:
    """The digest of its configuration has no word of them."""
    config = loading.parse("space: resnet\nobjective: jacov\n", ["finalists.controls=[]", "finalists.by_model=0"])
    assert loading.digest(config) == "189f19a486f8b60d1b4481572612661d41f862a5a6f71c3f463f9c0fc09b03f5"
