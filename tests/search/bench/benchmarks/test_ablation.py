"""The papers' ablations: the right variants under the papers' labels, resumed like any bench, or judged from a run's scores."""

import json
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from search.bench.benchmarks import ablation, nasbench201
from search.bench.judging.papers import ABLATIONS
from search.bench.scoring.job import Request
from search.config.schema import PoolConfig
from search.journal import journal
from search.ranking import correlation
from search.ranking.ranks import lexicographic_ranks, rank_product
from tests.search.bench.fakes import fake_pool, write_table
from tests.search.conftest import Notes
from tests.search.workers.test_pictures import paint
from uninas.errors import InputError

OPTIONS: dict[str, Any] = {"pool": PoolConfig(kind="serial"), "pool_maker": fake_pool}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_table(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def finished(data: Path, tmp_path: Path) -> Path:
    """A run that has scored what the ablations need."""
    run = tmp_path / "run"
    names = "vkdnw_agg,progressivity,ssnr_synflow,ssnr_synflow_log,ssnr_snip,ssnr_snip_log"
    nasbench201.bench(data, view=Notes().view, proxies=names, out=run, dataset="imagenet16_120", resamples=20, **OPTIONS)
    return run


def test_every_label_of_the_papers_is_a_variant() -> None:
    assert {*ablation.VARIANTS, *ablation.FROM_RUN} == set(ABLATIONS)
    variants = {name: {label: variant(label) for label in ABLATIONS[name].rows} for name, variant in ablation.VARIANTS.items()}
    assert variants["fim_size"]["32"] == Request("vkdnw", {"weights": 32})
    assert variants["weights"]["position=0.4"] == Request("vkdnw", {"index": 0.4})
    assert variants["weights"]["position=random"] == Request("vkdnw", {"index": "random"})
    assert variants["weights"]["per_layer=4"] == Request("vkdnw", {"weights": 32, "index": "random", "per_layer": 4})
    assert variants["batch_input"]["real,16"] == Request("vkdnw", samples=16, real=True)
    assert variants["batch_input"]["random,128"] == Request("vkdnw", samples=128, real=False)
    for name, labels in variants.items():
        assert len({json.dumps([r.options, r.samples, r.real]) for r in labels.values()}) == len(ABLATIONS[name].rows)


def test_an_ablation_is_scored_resumed_and_beside_the_paper(data: Path, tmp_path: Path) -> None:
    run, results = ablation.bench("fim_size", data, view=Notes().view, sample=10, resamples=20, out=tmp_path / "run", **OPTIONS)
    assert [row["label"] for row in results["rows"]] == list(ABLATIONS["fim_size"].rows)
    assert (results["ablation"], results["dataset"]) == ("fim_size", "imagenet16_120")
    assert results["rows"][3]["paper"] == {"kendall": 0.621, "spearman": 0.814, "ndcg": 0.607}
    _, more = ablation.bench("fim_size", data, run, view=Notes().view, sample=20, **OPTIONS)
    assert more["sample"] == 20
    lines = [record for record in journal.read(run / "journal.jsonl") if record["kind"] == "score"]
    assert len(lines) == 20
    assert set(lines[0]["scores"]) == {"aleph", *ABLATIONS["fim_size"].rows}
    table = pandas.read_csv(run / "scores.csv")
    ranks = lexicographic_ranks(table["aleph"], table["64"])
    row = next(row for row in more["rows"] if row["label"] == "64")
    assert row["kendall"]["value"] == pytest.approx(correlation.kendall(ranks, table["accuracy"]))
    with pytest.raises(InputError, match="expected a run of ablation weights; got one of ablation fim_size"):
        ablation.bench("weights", data, run, view=Notes().view, **OPTIONS)


def test_real_input_needs_pictures(data: Path, tmp_path: Path) -> None:
    notes = Notes()
    _, results = ablation.bench(
        "batch_input", data, view=notes.view, sample=5, resamples=10, out=tmp_path / "a", top=1, **OPTIONS
    )
    assert all(row["label"].startswith("random") for row in results["rows"])
    assert any("--images FOLDER was not given" in note for note in notes.notes)
    images = paint(tmp_path / "images", classes=4, each=70)
    _, results = ablation.bench(
        "batch_input",
        data,
        view=notes.view,
        sample=5,
        resamples=10,
        out=tmp_path / "b",
        images=images,
        dataset="cifar10",
        **OPTIONS,
    )
    assert results["rows"][0]["paper"] == {}  # the paper's are of ImageNet16-120
    assert [row["label"] for row in results["rows"]] == list(ABLATIONS["batch_input"].rows)


def test_subsets_of_the_aggregate(finished: Path) -> None:
    folder, results = ablation.from_run("subsets", finished)
    assert folder.name == "run-subsets"
    rows = {row["label"]: row for row in results["rows"]}
    assert len(rows) == 31
    table = pandas.read_csv(finished / "scores.csv")
    single = lexicographic_ranks(table["aleph"], table["vkdnw"])
    ranks = rank_product(numpy.stack([single, table["flops"]], axis=1))
    assert rows["VF"]["kendall"]["value"] == pytest.approx(correlation.kendall(ranks, table["accuracy"]))
    own = json.loads((finished / "results.json").read_text())["rows"]
    whole = next(row for row in own if row["proxy"] == "vkdnw_agg")
    assert rows["VJETF"]["kendall"] == whole["kendall"]
    with pytest.raises(InputError, match="it exists: give another --out"):
        ablation.from_run("subsets", finished)


def test_correlation_with_the_number_of_layers(finished: Path, tmp_path: Path) -> None:
    _, results = ablation.from_run("aleph", finished, out=tmp_path / "aleph")
    table = pandas.read_csv(finished / "scores.csv")
    rows = {row["label"]: row for row in results["rows"]}
    assert rows["vkdnw"]["kendall"]["value"] == pytest.approx(correlation.kendall(table["vkdnw"], table["aleph"]))
    assert rows["vkdnw"]["paper"] == {"kendall": -0.107}
    assert "spearman" not in rows["vkdnw"]


def test_the_logarithm_in_ssnr(finished: Path, tmp_path: Path) -> None:
    _, results = ablation.from_run("ssnr_log", finished, out=tmp_path / "log")
    assert [row["label"] for row in results["rows"]] == list(ABLATIONS["ssnr_log"].rows)
    assert all(row["paper"] == {} for row in results["rows"])  # the paper's are of all 15,625, as stored


def test_runs_that_do_not_suffice(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    nasbench201.bench(data, view=Notes().view, proxies="flops,aleph", out=run, resamples=10, **OPTIONS)
    with pytest.raises(InputError, match="expected the scores that V of ablation subsets needs"):
        ablation.from_run("subsets", run)
    with pytest.raises(InputError, match="expected one of subsets, aleph, ssnr_log; got 'fim_size'"):
        ablation.from_run("fim_size", run)
    with pytest.raises(InputError, match="there is none"):
        ablation.from_run("subsets", tmp_path / "nowhere")
    assert not (tmp_path / "run-subsets").exists()
