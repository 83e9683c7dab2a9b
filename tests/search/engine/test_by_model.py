"""Finalists that are chosen by what the algorithm's model expects of them, beside those of the best scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from search.config import loading
from search.config.plan import SearchPlan
from search.engine.finals.finalists import choose, expected
from search.engine.phase import Entry
from search.journal.lines import sealed
from search.ranking.objective import find
from search.report.data import read_run
from search.report.write import write_report
from tests.search.conftest import cut_and_resumed, records, resume_toy, resume_without_a_pool, run_toy, stable
from tests.search.report.report_runs import make_run
from uninas.errors import InputError

MODEL = ("algorithm=model", "algorithm_options={initial: 10, looked_at: 8}", "evaluations=40", "finalists.count=6")


def finalists(folder: Path) -> set[int]:
    return {row["index"] for row in json.loads((folder / "run.json").read_text())["finalists"]}


def best(folder: Path, count: int) -> set[int]:
    lines = [line for line in records(folder) if line["kind"] == "candidate"]
    entries = [Entry(line["index"], line["digest"], line["scores"]) for line in lines]
    return {entry.index for entry in choose(entries, find("vkdnw_agg"), count)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("runs") / "run"
    run_toy(found, *MODEL, "ties=older")
    return found


def test_half_of_them_have_the_best_scores_and_half_the_best_estimates(folder: Path) -> None:
    found = finalists(folder)
    assert len(found) == 6
    assert best(folder, 3) < found
    assert best(folder, 6) != found, "a score is luck in part, and the model knows"


@pytest.mark.parametrize(("by_model", "same"), [(0, True), (6, False)])
def test_a_configuration_says_how_many(by_model: int, same: bool, tmp_path: Path) -> None:
    run_toy(tmp_path / "run", *MODEL, "ties=older", f"finalists.by_model={by_model}")
    assert len(finalists(tmp_path / "run")) == 6
    assert (finalists(tmp_path / "run") == best(tmp_path / "run", 6)) == same


def test_candidates_that_lack_a_score_are_never_chosen() -> None:
    objective = find("jacov")
    entries = [Entry(index, f"{index:02x}", {"jacov": float(index)} if index != 3 else {}) for index in range(6)]
    estimates = {0: 5.0, 1: 4.0, 2: 4.0, 3: 9.0, 4: 0.0, 5: 8.0}
    found = expected(entries, [entries[5]], objective, estimates, 3)
    assert [entry.index for entry in found] == [0, 1, 2], "the chosen one is left out; of equals the older comes first"
    assert len(expected(entries, [], objective, estimates, 9)) == 5


def test_the_journal_names_them_before_they_are_scored(folder: Path) -> None:
    kinds = [record["kind"] for record in records(folder)]
    (line,) = [record for record in records(folder) if record["kind"] == "finalists"]
    assert kinds.index("finalists") < kinds.index("rescore")
    assert line["candidates"] == 40
    assert set(line["indices"]) == finalists(folder) != best(folder, 6)


def test_the_report_shows_those_that_the_journal_names(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "algorithm=model", "algorithm_options={initial: 10, looked_at: 8}", "finalists.count=6")
    run = read_run(folder)
    assert run.missing == []
    assert run.chosen
    assert {one.entry.index for one in run.finalists} == finalists(folder) != best(folder, 6)
    assert "has not been chosen" not in write_report(folder).read_text(encoding="utf-8")


def test_a_journal_that_names_somebody_else_is_one_line(folder: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(folder, tmp_path / "run"))
    lines = (run / "journal.jsonl").read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if json.loads(line)["kind"] == "finalists")
    lines[place] = sealed({"kind": "finalists", "candidates": 40, "indices": [99]}).decode().strip()
    (run / "journal.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="expected indices of candidates of the search; got 99"):
        read_run(run)


def test_a_run_cut_anywhere_behind_its_search_is_continued(folder: Path, tmp_path: Path) -> None:
    rescores = sum(line["kind"] == "rescore" for line in records(folder))
    expected_lines = stable(folder)
    assert rescores >= 12
    assert all(found == expected_lines for found in cut_and_resumed(folder, tmp_path / "cut", rescores + 2))


def test_a_finished_run_is_resumed_without_a_pool(folder: Path) -> None:
    before = (folder / "journal.jsonl").read_bytes()
    resume_without_a_pool(folder)
    assert (folder / "journal.jsonl").read_bytes() == before


def test_an_extended_run_chooses_anew_from_all(folder: Path, tmp_path: Path) -> None:
    run_toy(tmp_path / "run", *MODEL, "ties=older")
    resume_toy(tmp_path / "run", evaluations=60)
    assert best(tmp_path / "run", 3) < finalists(tmp_path / "run")
    assert len(finalists(tmp_path / "run")) == 6
    whole = run_toy(tmp_path / "whole", *MODEL, "ties=older", "evaluations=60")
    assert {row["index"] for row in whole["finalists"]} == finalists(tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("algorithm=model", "finalists.by_model=9"), r"finalists.by_model: expected 0 to finalists.count \(8\), or null; got 9"),
        (("algorithm=model", "finalists.by_model=-1"), r"finalists.by_model: expected 0 to finalists.count \(8\)"),
        (("algorithm=walk", "finalists.by_model=2"), "finalists.by_model: expected 0 beside algorithm walk, which has no model"),
    ],
)
def test_what_cannot_be_is_an_error(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        loading.parse("space: vit", list(words))


@pytest.mark.parametrize(
    ("words", "count"),
    [((), 0), (("algorithm=model",), 4), (("algorithm=model", "finalists.count=3"), 1), (("algorithm=pareto",), 0)],
)
def test_by_default_it_is_half_where_there_is_a_model(words: tuple[str, ...], count: int) -> None:
    config: Any = loading.parse("space: vit", list(words))
    assert SearchPlan.resolve(config).by_model == count
