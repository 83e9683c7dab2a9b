"""Choosing an aggregate: every set is looked at, the reporting half never chooses, what is reported is what metrics says."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from rich.console import Console

from proxies import registry
from search.bench.choosing import choice, choose, meanings, screening
from search.bench.choosing.choice import Tried
from search.bench.choosing.choose import Candidate
from search.bench.choosing.criterion import ALL
from search.bench.choosing.referees import halves
from search.bench.judging import aggregates
from search.bench.judging.aggregates import objective
from search.config import loading
from search.ranking import correlation
from search.ranking.objective import find
from tests.search.bench.choosing.world import scores, write_run, write_seconds
from uninas import InputError, cli

DATASETS = ("nasbench201/cifar10", "nasbench201/imagenet16_120")


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
    monkeypatch.setattr(screening, "OF_EACH_SIZE", 2)


# --- the choice -------------------------------------------------------------------------------------------------------------


def candidate(value: float, *components: str, noise: float = 1.0) -> Candidate:
    """A set whose value differs from that of others by about `noise` on the resamples."""
    draws = value + noise * np.random.default_rng(len(components)).standard_normal(400)
    return Candidate(Tried(components, value, ()), ((value, draws),))


def test_what_is_far_behind_on_one_set_of_networks_is_no_near_equal() -> None:
    def on_two(first: Candidate, second: Candidate) -> Candidate:
        return Candidate(first.tried, (*first.values, *second.values))

    best = on_two(candidate(3.0, "a", "b", "c"), candidate(3.0, "a", "b", "c"))
    alike = on_two(candidate(2.6, "d", "e"), candidate(2.6, "d", "e"))
    behind = on_two(candidate(2.9, "f"), candidate(1.0, "f"))
    assert choose.select([best, behind, alike]).tried.components == ("d", "e")


@pytest.mark.parametrize(
    ("sets", "taken"),
    [
        ([candidate(3.0, "a", "b", "c"), candidate(2.5, "d", "e"), candidate(2.2, "f", "g"), candidate(1.0, "h")], ("d", "e")),
        ([candidate(3.0, "a", "b", noise=0), candidate(2.9, "c", noise=0)], ("a", "b")),  # it is behind on every resample
        ([candidate(0.6, "a", "b"), candidate(-0.1, "c")], ("a", "b")),  # within an error, but it does not gain
        ([candidate(-0.5, "a", "b"), candidate(-1.0, "c")], ("c",)),
        ([candidate(-math.inf, "a")], ("a",)),
    ],
)
def test_the_smallest_of_near_equals_is_taken(sets: list[Candidate], taken: tuple[str, ...]) -> None:
    assert choose.select(sets).tried.components == taken


def test_good_scores_are_chosen_and_reported_on_networks_that_did_not_choose(
    runs: list[Path], timm: Path, tmp_path: Path
) -> None:
    folder, found = choose.choose(runs, timm=timm, largest=2, resamples=40, splits=2, out=tmp_path / "out")
    assert set(found.chosen.components) & {"synflow", "zico"}
    assert found.settings["sets"] == {"nasbench201": list(DATASETS)}
    assert found.settings["networks"] == {"nasbench201": 75}  # those of the smaller run
    assert (found.settings["chosen_on"], found.settings["reported_on"]) == ({"nasbench201": 38}, {"nasbench201": 37})
    assert found.settings["candidates"] == aggregates.count_sets(len(found.settings["components"]), 2)
    assert found.settings["probes"] == dict(zip(DATASETS, (None, 8), strict=True))
    assert found.settings["left_out"]["linear_regions"] == "needs a thin copy of the network"
    figures = {(one.where, one.metric): one for one in found.chosen.second}
    assert set(figures) == set(itertools.product(DATASETS, correlation.METRICS))
    half = scores().iloc[:75].iloc[halves(75, 0)[1]]
    expected = correlation.kendall(objective(found.chosen.components).rank_table(half), half["accuracy"])
    assert figures[DATASETS[0], "kendall"].ours.value == pytest.approx(expected, abs=1e-12)
    assert found.chosen.above > 0
    assert len(found.runners_up) == 3
    assert [len(one.components) for one in found.sizes] == [1, 2]
    assert found.single == found.sizes[0]
    assert (found.chosen.cost, found.frontier) == (None, ())  # no journal says what anything costs
    assert [split.seed for split in found.splits] == [1, 2]
    assert all(len(split.chosen.second) == 6 for split in found.splits)
    assert choice.read(folder) == found


def test_the_second_half_does_not_choose(runs: list[Path], tmp_path: Path) -> None:
    options: dict[str, Any] = {"largest": 2, "resamples": 10, "splits": 0}
    _, before = choose.choose(runs, out=tmp_path / "before", **options)
    for run in runs:
        table = pandas.read_csv(run / "scores.csv")
        reporting = halves(75, 0)[1]
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


# --- several sets of networks, costs ----------------------------------------------------------------------------------------


def other_networks(count: int = 40, seed: int = 5) -> pandas.DataFrame:
    """Networks in which zico, missing nowhere, is the only good score, and synflow is none."""
    table = scores(count, seed).assign(network=[f"net {place}" for place in range(count)])
    rng = np.random.default_rng(seed)
    table["zico"] = table["accuracy"] + rng.standard_normal(count)
    table["synflow"] = rng.standard_normal(count)
    return table


def test_a_score_that_is_good_everywhere_is_chosen_over_one_that_is_good_in_the_largest_set(
    runs: list[Path], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"components": "synflow,zico,snip", "largest": 1, "resamples": 20, "splits": 0}
    _, alone = choose.choose(runs, out=tmp_path / "alone", **options)
    assert alone.chosen.components == ("synflow",)
    macro = write_run(tmp_path / "macro", other_networks(), benchmark="nasbench_macro")
    _, found = choose.choose([*runs, macro], out=tmp_path / "out", **options)
    assert found.chosen.components == ("zico",)
    assert found.settings["sets"] == {"nasbench201": list(DATASETS), "nasbench_macro/cifar10": ["nasbench_macro/cifar10"]}
    assert found.settings["chosen_on"] == {"nasbench201": 38, "nasbench_macro/cifar10": 20}
    figures = {(one.where, one.metric): one for one in found.chosen.second}
    assert {where for where, _ in figures} == {*DATASETS, "nasbench_macro/cifar10", ALL}
    for metric in correlation.METRICS:
        share = found.settings["weights"][metric]
        assert sum(share.values()) == pytest.approx(1)
        mean = sum(figures[where, metric].difference.value for where in DATASETS) / 2
        other = figures["nasbench_macro/cifar10", metric].difference.value
        expected = share["nasbench201"] * mean + share["nasbench_macro/cifar10"] * other
        assert figures[ALL, metric].difference.value == pytest.approx(expected)
    assert choice.read(tmp_path / "out") == found


def test_no_set_costs_more_than_is_allowed_and_the_frontier_says_what_more_would_buy(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = {"flops": 0.01, "aleph": 0.0, "vkdnw": 2.0, "expressivity": 0.5, "jacov": 0.0, "trainability": 0.0}
    seconds |= {"synflow": 0.2, "synflow_log": 0.0, "zico": 0.7, "snip": 0.1}
    for run in runs:
        write_seconds(run, seconds)
    options: dict[str, Any] = {"largest": 2, "resamples": 10, "splits": 0}
    _, free = choose.choose(runs, out=tmp_path / "free", **options)
    assert (free.chosen.components, free.chosen.cost) == (("synflow",), pytest.approx(0.2))
    both = next(one for one in (*free.sizes, *free.runners_up) if one.components == ("synflow", "zico"))
    assert both.cost == pytest.approx(0.2 + 0.5 + 0.7)  # expressivity was charged with the pass that zico needs
    assert both.costs == dict.fromkeys(DATASETS, pytest.approx(1.4))
    spent = [one.cost for one in free.frontier if one.cost is not None]
    assert len(spent) > 2
    assert spent == sorted(spent)
    values = [one.value for one in free.frontier]
    assert values == sorted(values)
    _, cheap = choose.choose(runs, cost=0.15, out=tmp_path / "cheap", **options)
    shown = (cheap.chosen, cheap.single, *cheap.sizes, *cheap.frontier, *cheap.runners_up)
    assert all(one.cost is not None and one.cost <= 0.15 for one in shown)
    assert "synflow" not in cheap.chosen.components
    with pytest.raises(InputError, match="--cost: expected at least what the cheapest score takes, 0 CPU-seconds; got -1"):
        choose.choose(runs, cost=-1.0, out=tmp_path / "none", **options)
    choose.show(free, Console(width=130).print)
    assert "best for its cost" in capsys.readouterr().out


def test_at_equal_budget_what_only_follows_size_is_not_chosen(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    table = scores(120)
    size, rest = rng.standard_normal(120), rng.standard_normal(120)
    table["accuracy"] = 60 + 5 * size + 2 * rest
    table["params"] = table["flops"] = size
    table["synflow"] = size + 0.2 * rest + 0.01 * rng.standard_normal(120)
    table["synflow"] += 3 * size  # ranks the population well, and as its size does
    table["zico"] = rest + rng.standard_normal(120) * 0.3  # what is left at equal budget
    run = write_run(tmp_path / "run", table)
    options: dict[str, Any] = {"components": "synflow,zico", "largest": 1, "resamples": 20, "splits": 0}
    _, found = choose.choose([run], at_budget=True, out=tmp_path / "a", **options)
    assert found.chosen.components == ("zico",)
    assert found.settings["deciding"] == ["at_budget"]
    _, found = choose.choose([run], out=tmp_path / "b", **options)
    assert found.chosen.components == ("synflow",)
    assert {one.metric for one in found.chosen.second} == {*correlation.METRICS, "at_budget"}


# --- what is refused --------------------------------------------------------------------------------------------------------


def _other_seed(runs: list[Path], where: Path) -> list[Path]:
    return [runs[0], write_run(where / "other", scores(), dataset="cifar100", seed=1)]


def _few(runs: list[Path], where: Path) -> list[Path]:
    return [runs[0], write_run(where / "other", scores().iloc[:19], dataset="cifar100")]


def _few_of_another_set(runs: list[Path], where: Path) -> list[Path]:
    table = scores().iloc[:9].assign(network=[f"net {place}" for place in range(9)])
    return [runs[0], write_run(where / "other", table, benchmark="nasbench_macro")]


def _twice(runs: list[Path], where: Path) -> list[Path]:
    table = scores()
    table.loc[7, "network"] = "cell 2"
    return [write_run(where / "other", table)]


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
            "expected a run of nasbench201, .*; got one of timm",
        ),
        (_other_seed, "expected the same seed as .*, 0; got 1"),
        (_few, "expected at least 20 networks in all runs of a set; .* share 19"),
        (_few_of_another_set, "expected at least 10 networks in all runs of a set; .*other share 9"),
        (_twice, "network: expected each network once; 1 of 80 rows are otherwise, the first is line 9: 'cell 2'"),
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
    with pytest.raises(InputError, match="--cost: expected runs with the seconds of their scores"):
        choose.choose(runs, cost=0.1, out=tmp_path / "out")
    with pytest.raises(InputError, match="expected runs that have at_budget of the reference"):
        choose.choose(runs, at_budget=True, out=tmp_path / "out")
    with pytest.raises(InputError, match="nearest is 'flops'"):
        choose.choose(runs, reference="flop", out=tmp_path / "out")
    with pytest.raises(InputError, match="expected a new folder"):
        choose.choose(runs, out=tmp_path)


def test_a_file_that_is_no_choice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is none"):
        choice.read(tmp_path)
    (tmp_path / "choose.json").write_text('{"format": "uninas-bench", "version": 2}')
    with pytest.raises(InputError, match="another format"):
        choice.read(tmp_path)
    (tmp_path / "choose.json").write_text('{"format": "uninas-bench-choice", "version": 1, "chosen": {"components": ["flops"]}}')
    with pytest.raises(InputError, match="version 2; got version 1: choose again"):
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
        (tmp_path / "a" / "choose.json").write_text(json.dumps({**stored, "version": 1}))
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
