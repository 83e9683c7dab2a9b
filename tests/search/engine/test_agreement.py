"""How far two seeds agree where a search has arrived: who is scored again, what is said of it, what a resume does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from search.config import loading
from search.engine.finals.agreement import in_words
from search.engine.finals.finalists import held_out_seeds
from search.monitor.snapshot import Figures
from search.ranking.objective import OBJECTIVES
from search.report.data import read_run
from search.report.write import write_report
from tests.search.conftest import cut_and_resumed, records, resume_without_a_pool, run_toy, stable
from tests.search.report.report_runs import make_run
from uninas.errors import InputError

OBJECTIVE = OBJECTIVES["vkdnw_agg"]
ASKED = ("evaluations=60", "finalists.reliability=8")


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [record for record in records(folder) if record["kind"] == kind]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("runs") / "run"
    run_toy(found, *ASKED)
    return found


def test_others_of_the_best_quarter_are_scored_on_the_first_held_out_seed(folder: Path) -> None:
    candidates, again = lines(folder, "candidate"), lines(folder, "rescore")
    values = OBJECTIVE.rank([line["scores"] for line in candidates])
    quarter = {candidates[place]["digest"] for place in np.argsort(-values)[:15]}
    finalists = {row["digest"] for row in json.loads((folder / "run.json").read_text())["finalists"]}
    others = [line for line in again if line["digest"] not in finalists]
    assert len(again) == 3 * 2 + 8
    assert len({line["digest"] for line in others}) == 8
    assert {line["digest"] for line in others} <= quarter
    assert {(line["repeat"], line["seed"]) for line in others} == {(0, held_out_seeds(0, 2)[0])}


def test_the_number_is_the_correlation_of_the_two_seeds(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text())
    finalists = {row["digest"] for row in run["finalists"]}
    again = {line["digest"]: line["scores"] for line in lines(folder, "rescore") if line["digest"] not in finalists}
    first = [line["scores"] for line in lines(folder, "candidate") if line["digest"] in again]
    second = [again[line["digest"]] for line in lines(folder, "candidate") if line["digest"] in again]
    expected = stats.spearmanr(OBJECTIVE.rank(first), OBJECTIVE.rank(second)).statistic
    found = run["reliability"]
    assert found["networks"] == 8
    assert found["value"] == pytest.approx(expected)
    assert found["low"] <= found["value"] <= found["high"]


def test_without_the_key_nothing_is_scored_and_nothing_said(tmp_path: Path) -> None:
    run = run_toy(tmp_path / "run", "evaluations=60")
    assert "reliability" not in run
    assert len(lines(tmp_path / "run", "rescore")) == 6


def test_it_changes_nothing_else(folder: Path, tmp_path: Path) -> None:
    plain = run_toy(tmp_path / "run", "evaluations=60")
    asked = json.loads((folder / "run.json").read_text())
    assert asked["finalists"] == plain["finalists"]


def test_a_run_cut_anywhere_behind_its_search_is_continued(folder: Path, tmp_path: Path) -> None:
    expected = stable(folder)
    assert all(found == expected for found in cut_and_resumed(folder, tmp_path / "cut", 14))


def test_a_finished_run_is_resumed_without_a_pool(folder: Path) -> None:
    before = (folder / "journal.jsonl").read_bytes()
    resume_without_a_pool(folder)
    assert (folder / "journal.jsonl").read_bytes() == before


def test_watching_knows_how_many_scorings_there_will_be(folder: Path) -> None:
    from search.journal.journal import records as typed
    from search.journal.records import KINDS

    figures = Figures(loading.load(folder / "config.yaml", stored=True))
    for record in typed(folder / "journal.jsonl", KINDS):
        figures.add(record)
    assert figures.totals()["finalists"] == len(lines(folder, "rescore")) == 14


def test_a_quarter_with_fewer_is_scored_whole(tmp_path: Path) -> None:
    run = run_toy(tmp_path / "run", "evaluations=20", "finalists.reliability=30")
    assert run["reliability"]["networks"] == 20 // 4 - 3
    assert run["reliability"]["value"] is None


def test_what_is_said() -> None:
    found = {"networks": 24, "value": 0.31, "low": 0.05, "high": 0.49, "noise": True}
    said, warning = in_words(found, "vkdnw")
    assert said == "two seeds of vkdnw agree by 0.31 [0.05, 0.49] among 24 of the best quarter (Spearman)"
    assert warning.startswith("warning: there the luck of the seed decides more than the network")
    assert len(in_words({**found, "high": 0.6, "noise": False}, "vkdnw")) == 1
    (few,) = in_words({"networks": 2, "value": None, "low": None, "high": None, "noise": False}, "vkdnw")
    assert few == "too few of the best quarter (2) to say how far two seeds of vkdnw agree"


@pytest.mark.parametrize("given", [-1, 1, 2])
def test_too_few_are_an_error(given: int) -> None:
    with pytest.raises(InputError, match=rf"finalists.reliability: expected 0, or at least 3 networks; got {given}"):
        loading.parse("space: resnet", [f"finalists.reliability={given}"])


def test_the_report_says_it_and_ranks_the_pick_on_equal_footing(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "finalists.reliability=5", "finalists.controls=[start]")
    run = read_run(tmp_path / "run")
    assert run.missing == []
    assert len(run.on_one_seed) == 3 + 1 + 5
    assert sorted(run.on_one_seed.values())[0] == 1
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "Two seeds of vkdnw_agg agree by" in page
    assert "Among 9 networks that were all scored under the first of those (finalists, controls and others of the best" in page
