"""Choosing an aggregate: every set is looked at, the reporting half never chooses, what is reported is what metrics says."""

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from proxies import registry
from search.bench.choosing import choice, choose, meanings
from search.bench.choosing.choice import Tried
from search.bench.judging import aggregates
from search.bench.judging.aggregates import Comparison, judge_of, objective, screen, usable, worst
from search.bench.scoring.settings import Settings
from search.config import loading
from search.ranking import correlation
from search.ranking.correlation import Estimate
from search.ranking.objective import OBJECTIVES, find
from uninas import InputError, cli

DATASETS = ("cifar10", "imagenet16_120")
OWN = ("aleph", "vkdnw", "jacov", "expressivity", "trainability", "flops")
REFERENCE = OBJECTIVES[choose.REFERENCE]
SETTINGS = Settings("nasbench201", "cifar10", "reachable", "digest", ("flops",), sample=80)


def scores(count: int = 80, seed: int = 0) -> pandas.DataFrame:
    """Weak scores of the reference, two good ones, a twin, a constant, one that fails."""
    rng = np.random.default_rng(seed)
    quality = rng.standard_normal(count)
    table: dict[str, Any] = {"network": [f"cell {place}" for place in range(count)], "index": np.arange(count) * 3}
    table["accuracy"] = 60 + 8 * quality + rng.standard_normal(count)
    for name in OWN:
        table[name] = quality + 2.5 * rng.standard_normal(count)
    table["aleph"] = np.round(table["aleph"])
    table["synflow"] = np.exp(quality + 0.4 * rng.standard_normal(count))
    table["synflow_log"] = np.log(table["synflow"])
    table["zico"] = quality + 0.5 * rng.standard_normal(count)
    table["snip"] = rng.standard_normal(count)
    table["zen"] = np.zeros(count)
    table["linear_regions"] = table["accuracy"]
    found = pandas.DataFrame(table)
    found.loc[::9, "zico"] = math.nan
    return found


def write_run(folder: Path, table: pandas.DataFrame, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    table.to_csv(folder / "scores.csv", index=False)
    dataclasses.replace(SETTINGS, **changes).write(folder)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [
        write_run(tmp_path / "c10", scores(), dataset="cifar10"),
        write_run(
            tmp_path / "in16", scores().iloc[:-5].assign(accuracy=scores()["accuracy"] - 20), dataset="imagenet16_120", probes=8
        ),
    ]


@pytest.fixture
def timm(tmp_path: Path) -> Path:
    table = scores(30, seed=9).assign(family=["regnet.a"] * 18 + ["vit.b"] * 12)
    return write_run(tmp_path / "timm", table, benchmark="timm", dataset="imagenet")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "SHORTLIST", 8)
    monkeypatch.setattr(choose, "SHORTLIST_RESAMPLES", 20)
    monkeypatch.setattr(choose, "RUNNERS_UP", 3)
    monkeypatch.setattr(aggregates, "OF_EACH_SIZE", 2)


# --- the figures ------------------------------------------------------------------------------------------------------------


def test_figures_and_intervals_are_those_of_metrics() -> None:
    table = scores(50)
    ours = objective(("synflow", "vkdnw_single")).rank_table(table)
    theirs = REFERENCE.rank_table(table)
    judge = judge_of("cifar10", table, REFERENCE, resamples=60, seed=3)
    for one in judge.compare(ours):
        options: dict[str, Any] = {"seed": 3, "resamples": 60}
        assert one.ours == correlation.estimate(one.metric, ours, table["accuracy"], **options)
        assert one.reference == correlation.estimate(one.metric, theirs, table["accuracy"], **options)
        expected = correlation.paired_difference(one.metric, ours, theirs, table["accuracy"], **options)
        assert dataclasses.astuple(one.difference) == pytest.approx(dataclasses.astuple(expected), abs=1e-12)
        assert 0 < one.error < expected.high - expected.low


def test_the_reference_against_itself_gains_nothing() -> None:
    judge = judge_of("cifar10", scores(40), REFERENCE, resamples=20, seed=0)
    own = objective(("vkdnw_single", "jacov", "expressivity", "trainability", "flops")).rank_table(judge.table)
    assert [one.units for one in judge.compare(own)] == [0.0, 0.0, 0.0]


def test_a_figure_that_does_not_exist_is_no_gain() -> None:
    judge = judge_of("cifar10", scores(40), REFERENCE, resamples=20, seed=0)
    assert worst(judge.compare(np.ones(40))) == -math.inf


def test_screening_finds_what_trying_every_set_finds() -> None:
    judges = [judge_of("cifar10", scores(40, seed), REFERENCE, resamples=30, seed=0) for seed in (0, 1)]
    names = ("flops", "synflow", "jacov", "zico", "snip")

    def promise(components: tuple[str, ...]) -> float:
        values = [objective(components).rank_table(judge.table) for judge in judges]

        def value(metric: str, found: Any, judge: Any) -> float:
            columns = correlation.prepared(metric, found, judge.table["accuracy"])
            return float(correlation.METRICS[metric](*(column[None] for column in columns))[0])

        return min(
            (value(metric, found, judge) - judge.reference[metric][0]) / judge.reference[metric][1].std()
            for judge, found in zip(judges, values, strict=True)
            for metric in ("spearman", "ndcg")
        )

    every = [chosen for size in (1, 2, 3) for chosen in itertools.combinations(names, size)]
    assert aggregates.count_sets(5, 3) == len(every) == 25
    expected = sorted(every, key=promise, reverse=True)
    found = screen(judges, names, 3, keep=12)
    assert found[:12] == expected[:12]
    assert {len(components) for components in found} == {1, 2, 3}
    assert len(found) == len(set(found))


def test_equals_and_twins_are_no_components() -> None:
    kept, reasons = usable([scores(), scores(seed=1)], ("synflow", "zen", "synflow_log", "vkdnw_single", "gradsign", "snip"))
    assert kept == ("synflow", "vkdnw_single", "snip")
    assert reasons == {
        "zen": "the same for all networks of a run",
        "synflow_log": "orders as synflow",
        "gradsign": "not scored in every run",
    }


# --- the choice -------------------------------------------------------------------------------------------------------------


def tried(gain: float, *components: str) -> Tried:
    gained = Estimate(gain, gain - 1, gain + 1)
    return Tried(components, (Comparison("cifar10", "kendall", gained, gained, gained, 1.0),))


@pytest.mark.parametrize(
    ("sets", "taken"),
    [
        ([tried(3.0, "a", "b", "c"), tried(2.5, "d", "e"), tried(2.2, "f", "g"), tried(1.9, "h")], ("d", "e")),
        ([tried(0.6, "a", "b"), tried(-0.1, "c")], ("a", "b")),  # within an error, but it does not gain everywhere
        ([tried(-0.5, "a", "b"), tried(-1.0, "c")], ("c",)),
        ([tried(-math.inf, "a")], ("a",)),
    ],
)
def test_the_smallest_of_near_equals_is_taken(sets: list[Tried], taken: tuple[str, ...]) -> None:
    assert choose.select(sets).components == taken


def test_halves_share_nothing_and_depend_on_the_seed() -> None:
    first, second = choose.halves(75, 0)
    assert (len(first), len(second)) == (38, 37)
    assert sorted([*first, *second]) == list(range(75))
    assert sorted(choose.halves(75, 1)[0]) != sorted(first)


def test_good_scores_are_chosen_and_reported_on_networks_that_did_not_choose(
    runs: list[Path], timm: Path, tmp_path: Path
) -> None:
    folder, found = choose.choose(runs, timm=timm, largest=2, resamples=40, splits=2, out=tmp_path / "out")
    assert set(found.chosen.components) & {"synflow", "zico"}
    assert found.settings["networks"] == 75  # those of the smaller run
    assert (found.settings["chosen_on"], found.settings["reported_on"]) == (38, 37)
    assert found.settings["sets"] == aggregates.count_sets(len(found.settings["components"]), 2)
    assert found.settings["probes"] == {"cifar10": None, "imagenet16_120": 8}
    assert found.settings["left_out"]["linear_regions"] == "needs a thin copy of the network"
    figures = {(one.where, one.metric): one for one in found.chosen.second}
    assert set(figures) == set(itertools.product(DATASETS, correlation.METRICS))
    half = scores().iloc[:75].iloc[choose.halves(75, 0)[1]]
    expected = correlation.kendall(objective(found.chosen.components).rank_table(half), half["accuracy"])
    assert figures["cifar10", "kendall"].ours.value == pytest.approx(expected, abs=1e-12)
    assert found.chosen.above > 0
    assert 3 <= len(found.runners_up) <= 4
    assert {len(one.components) for one in (found.chosen, *found.runners_up)} == {1, 2}
    assert [split.seed for split in found.splits] == [1, 2]
    assert all(len(split.chosen.second) == 6 for split in found.splits)
    assert choice.read(folder) == found


def test_the_second_half_does_not_choose(runs: list[Path], tmp_path: Path) -> None:
    options: dict[str, Any] = {"largest": 2, "resamples": 10, "splits": 0}
    _, before = choose.choose(runs, out=tmp_path / "before", **options)
    for run in runs:
        table = pandas.read_csv(run / "scores.csv")
        reporting = choose.halves(75, 0)[1]
        table.loc[reporting, "accuracy"] = 100 - table.loc[reporting, "accuracy"]
        table.to_csv(run / "scores.csv", index=False)
    _, after = choose.choose(runs, out=tmp_path / "after", **options)
    assert after.chosen.components == before.chosen.components
    assert after.chosen.first == before.chosen.first
    assert [one.components for one in after.runners_up] == [one.components for one in before.runners_up]
    assert after.chosen.second != before.chosen.second


def test_the_same_seed_chooses_the_same(runs: list[Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        choose.choose(runs, components="synflow,zico,flops", largest=2, resamples=10, splits=1, out=tmp_path / name)
    assert (tmp_path / "a" / "choose.json").read_bytes() == (tmp_path / "b" / "choose.json").read_bytes()


def test_families_are_ranked_by_themselves_and_count_the_same(runs: list[Path], timm: Path, tmp_path: Path) -> None:
    _, found = choose.choose(runs, timm=timm, components="synflow,zico", largest=2, resamples=30, splits=0, out=tmp_path / "out")
    assert found.families == {"regnet.a": 18, "vit.b": 12}
    table = scores(30, seed=9)
    expected = []
    for members in (table.iloc[:18], table.iloc[18:]):
        values = objective(found.chosen.components).rank_table(members)
        expected.append(correlation.spearman(values, members["accuracy"]))
    within = [one.ours.value for one in found.within if one.metric == "spearman"]
    assert within == pytest.approx(expected)
    mean = next(one for one in found.mean if one.metric == "spearman")
    assert mean.ours.value == pytest.approx(sum(expected) / 2)
    assert mean.difference.value == pytest.approx(mean.ours.value - mean.reference.value)
    assert mean.difference.low <= mean.difference.value <= mean.difference.high


# --- what is refused --------------------------------------------------------------------------------------------------------


def _other_seed(runs: list[Path], where: Path) -> list[Path]:
    return [runs[0], write_run(where / "other", scores(), dataset="cifar100", seed=1)]


def _few(runs: list[Path], where: Path) -> list[Path]:
    return [runs[0], write_run(where / "other", scores().iloc[:19], dataset="cifar100")]


def _lacking(runs: list[Path], where: Path) -> list[Path]:
    return [write_run(where / "other", scores().drop(columns="jacov"))]


def _not_judged(runs: list[Path], where: Path) -> list[Path]:
    (runs[0] / "scores.csv").unlink()
    return runs


def _redefined(runs: list[Path], where: Path) -> list[Path]:
    (runs[0] / "run.json").write_text('{"revisions": {"vkdnw": 0, "jacov": 1}}')
    (runs[1] / "run.json").write_text('{"revisions": {"vkdnw": 0, "jacov": 2, "zico": 1}}')
    return runs


def _no_status(runs: list[Path], where: Path) -> list[Path]:
    (runs[0] / "run.json").write_text("[]")
    return runs


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_redefined, "expected the scores of jacov by the definitions that .* has"),
        (_no_status, "expected the status of a run"),
        (lambda runs, where: [where / "nowhere"], "expected the folder of a bench run"),
        (lambda runs, where: [runs[0], runs[0]], "expected one run per dataset; got another of cifar10"),
        (
            lambda runs, where: [write_run(where / "t", scores(), benchmark="timm")],
            "expected a run of nasbench201; got one of timm",
        ),
        (_other_seed, "expected the same seed as .*, 0; got 1"),
        (_few, "expected at least 20 networks in all runs; .* share 19"),
        (_lacking, "expected all raw scores of vkdnw_agg; missing: jacov"),
        (_not_judged, "expected a judged run, with scores.csv; there is none"),
    ],
)
def test_runs_that_do_not_belong_together(runs: list[Path], tmp_path: Path, make: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        choose.choose(make(runs, tmp_path), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_components_and_folders_that_cannot_be(runs: list[Path], timm: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not in all: gradsign"):
        choose.choose(runs, components="flops,gradsign", out=tmp_path / "out")
    with pytest.raises(InputError, match="nearest is 'flops'"):
        choose.choose(runs, components="flop", out=tmp_path / "out")
    with pytest.raises(InputError, match="expected a run of timm; got one of nasbench201"):
        choose.choose(runs, timm=runs[0], out=tmp_path / "out")
    with pytest.raises(InputError, match="expected a new folder"):
        choose.choose(runs, out=tmp_path)


def test_a_file_that_is_no_choice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is none"):
        choice.read(tmp_path)
    (tmp_path / "choose.json").write_text('{"format": "uninas-bench-choice", "version": 2}')
    with pytest.raises(InputError, match="another format or version"):
        choice.read(tmp_path)


# --- what a person sees -----------------------------------------------------------------------------------------------------


def test_a_proxy_of_ones_own_is_explained_by_the_phrase_that_it_was_registered_with() -> None:
    registry.register("mine", meaning="how blue it is")(lambda network, batch: 0.0)
    assert "by how blue it is (`mine`)" in meanings.explained(["flops", "mine"])
    assert "by its score (`nobodys`)" in meanings.explained(["nobodys"])


def test_two_sentences() -> None:
    for components in (("flops",), ("flops", "jacov"), ("flops", "jacov", "synflow")):
        text = meanings.explained(components)
        assert text.count(". ") == 1
        assert text.endswith(".")
        assert all(f"`{name}`" in text for name in components)


def test_the_command(runs: list[Path], timm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--components", "synflow,vkdnw_single", "--largest", "2", "--resamples", "10", "--splits", "1"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "choose", *map(str, runs), *options, "--timm", str(timm), "--out", str(tmp_path / "a")])
    assert not ended.value.code
    shown = capsys.readouterr().out
    stored = json.loads((tmp_path / "a" / "choose.json").read_text())
    for place in (tmp_path / "a", tmp_path / "a" / "choose.json"):  # what was chosen is what a search takes
        settings = loading.parse("space: vit", [f"objective={{file: {place}}}"])
        assert f"objective: {settings.objective}\n" in shown
        chosen = find(settings.objective)
        assert chosen.columns == objective(stored["chosen"]["components"]).columns
        assert chosen.mapping == stored["objective"]
        del stored["objective"]  # as version 0.1.0 wrote it
        (tmp_path / "a" / "choose.json").write_text(json.dumps(stored))
        assert loading.parse("space: vit", [f"objective={{file: {place}}}"]).objective == settings.objective
        stored["objective"] = chosen.mapping
    assert "timm, mean of families" in shown
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "choose", *map(str, runs), *options, "--out", str(tmp_path / "b"), "--json"])
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "b" / "choose.json").read_text())
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "choose", str(tmp_path), "--out", str(tmp_path / "c")])
    assert ended.value.code == 2
    assert "expected the folder of a bench run" in capsys.readouterr().err
