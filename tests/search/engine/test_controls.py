"""Controls: with whom a search's finalists are compared on held-out seeds, in the journal, in files and after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import uninas
from search.config import loading
from search.config.schema import CONTROLS
from search.engine.finals.verdict import in_words
from search.monitor.snapshot import Figures
from search.report.data import read_run
from search.report.write import write_report
from tests.search.conftest import cut_and_resumed, records, resume_toy, resume_without_a_pool, run_toy, stable
from tests.search.report.report_runs import make_run
from uninas.errors import InputError
from uninas.networks.fitted import fitted

ASKED = ("evaluations=40", "baseline=true", "finalists.controls=[start, random]")
BUDGET = {"params": 900_000, "macs": 40_000_000, "layers": 60}


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [record for record in records(folder) if record["kind"] == kind]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("runs") / "run"
    run_toy(found, *ASKED)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the universal space, with all controls."""
    return make_run(tmp_path_factory.mktemp("runs") / "run")


def test_they_are_named_in_the_journal_before_they_are_scored(folder: Path) -> None:
    kinds = [record["kind"] for record in records(folder)]
    (named,) = lines(folder, "controls")
    assert kinds.index("controls") == kinds.index("rescore") - 1
    assert named["candidates"] == 40
    assert named["digests"]["start"] == lines(folder, "candidate")[0]["digest"]
    assert set(named["digests"]) == {"start", "random"}
    random = [line for line in lines(folder, "candidate") if line["phase"] == "random"]
    assert named["digests"]["random"] in {line["digest"] for line in random}


def test_all_are_scored_under_the_same_seeds(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text())
    field = {row["digest"] for row in (*run["finalists"], *run["controls"])}
    scored = {(line["digest"], line["seed"]) for line in lines(folder, "rescore")}
    seeds = {seed for _, seed in scored}
    assert len(seeds) == 2
    assert scored == {(digest, seed) for digest in field for seed in seeds}
    assert {row["place"] for row in (*run["finalists"], *run["controls"])} >= {1}
    assert run["verdict"]["networks"] == len(field)


def test_without_a_random_search_its_best_is_no_control(tmp_path: Path) -> None:
    run = run_toy(tmp_path / "run", "evaluations=20", "finalists.controls=[start, random]")
    assert [row["name"] for row in run["controls"]] == ["start"]
    assert run["verdict"]["outranks"] is None


def test_a_run_cut_anywhere_behind_its_search_is_continued(folder: Path, tmp_path: Path) -> None:
    expected = stable(folder)
    assert all(found == expected for found in cut_and_resumed(folder, tmp_path / "cut", len(lines(folder, "rescore")) + 1))


def test_a_finished_run_is_resumed_without_a_pool(folder: Path) -> None:
    before = (folder / "journal.jsonl").read_bytes()
    resume_without_a_pool(folder)
    assert (folder / "journal.jsonl").read_bytes() == before


def test_an_extended_run_names_its_controls_anew(folder: Path, tmp_path: Path) -> None:
    run_toy(tmp_path / "run", *ASKED)
    resume_toy(tmp_path / "run", evaluations=60)
    assert [line["candidates"] for line in lines(tmp_path / "run", "controls")] == [40, 60]
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {row["digest"] for row in run["controls"]} == set(lines(tmp_path / "run", "controls")[-1]["digests"].values())


def test_watching_knows_how_many_scorings_there_will_be(folder: Path) -> None:
    from search.journal.journal import records as typed
    from search.journal.records import KINDS

    figures = Figures(loading.load(folder / "config.yaml", stored=True))
    for record in typed(folder / "journal.jsonl", KINDS):
        figures.add(record)
    assert figures.totals()["finalists"] == len(lines(folder, "rescore"))


def test_presets_are_fitted_to_the_budget(whole: Path) -> None:
    for name in uninas.PRESETS:
        expected = uninas.canonicalise(fitted(name, BUDGET, classes=10, input_size=(32, 32)))
        found = uninas.load(whole / "controls" / f"{name}.json")
        assert found.digest == expected.digest, name
        cost = uninas.cost(found, (32, 32)).as_dict()
        assert all(cost[key] <= bound for key, bound in BUDGET.items())


def test_without_a_budget_presets_are_fitted_to_the_leader(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "budget={params: null, macs: null, layers: null}", "evaluations=12", "baseline=false")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    bounds = [{name: row["cost"][name] for name in ("params", "macs")} for row in run["finalists"]]
    for row in run["controls"]:
        assert row["name"] == "start" or any(
            all(row["cost"][name] <= bound for name, bound in bounds_of.items()) for bounds_of in bounds
        ), row["name"]


def test_a_preset_that_fits_no_budget_is_left_out_with_its_reason(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "budget={params: 700000, macs: 40000000, attention_tokens: 4}", "space.preset=resnet")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "vit" in run["verdict"]["left_out"]
    assert "vit" not in {row["name"] for row in run["controls"]}
    assert "preset vit: expected a budget that its smallest widths are within" in run["verdict"]["left_out"]["vit"]


def test_a_start_that_is_a_preset_of_the_budget_has_one_name(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "space={fitted: [resnet]}", "evaluations=12", "finalists.controls=[start, random, resnet]")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert sorted(row["name"] for row in run["controls"]) == ["random", "resnet"]
    assert run["verdict"]["left_out"] == {"start": "it is resnet"}
    assert "start is not among them: it is resnet" in in_words(run)


def test_the_report_begins_with_the_verdict(whole: Path) -> None:
    page = write_report(whole).read_text(encoding="utf-8")
    run = read_run(whole)
    assert {one.name for one in run.controls} == set(CONTROLS) - set(
        json.loads((whole / "run.json").read_text())["verdict"]["left_out"]
    )
    assert run.verdict[0].startswith("on 3 held-out seeds, the same for all, the pick has rank ")
    first = page.index("On 3 held-out seeds, the same for all, the pick has rank ")
    assert first < page.index('class="cards"')
    assert "outranks a random one with probability" in page
    assert "Trained accuracy: none measured; uninas refine run --data DATA --with" in page
    assert "Finalists and controls on held-out seeds" in page
    assert "presets fitted to the budget" in page


def test_what_run_json_and_the_report_say_is_the_same(whole: Path) -> None:
    from search.engine.finals.verdict import in_words

    assert tuple(in_words(json.loads((whole / "run.json").read_text()))) == read_run(whole).verdict


def test_a_name_that_is_none_is_an_error() -> None:
    with pytest.raises(InputError, match=r"finalists.controls: expected one of .*; got 'resnt', nearest is 'resnet'"):
        loading.parse("space: resnet", ["finalists.controls=[resnt]"])
