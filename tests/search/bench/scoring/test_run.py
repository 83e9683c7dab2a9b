"""A bench from table to results: killed, resumed, extended, on other workers, with other accuracies."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from search.bench.benchmarks import nasbench201
from search.config.schema import PoolConfig
from search.journal import journal
from search.monitor.runs import below
from tests.search.bench.fakes import fake_pool, toy_score, write_table
from tests.search.conftest import ROOT, Notes
from tests.waiting import wait_for_lines
from uninas.errors import InputError

SERIAL = PoolConfig(kind="serial")
PROXIES = "vkdnw_agg,zico"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_table(tmp_path / "data")
    return tmp_path / "data"


def bench(data: Path, out: Path, notes: Notes | None = None, **options: Any) -> dict[str, Any]:
    options = {"proxies": PROXIES, "resamples": 20, "pool": SERIAL, "pool_maker": fake_pool, **options}
    return nasbench201.bench(data, out=out, view=(notes or Notes()).view, **options)[1]


def resume(data: Path, run: Path, notes: Notes | None = None, **options: Any) -> dict[str, Any]:
    options = {"pool": SERIAL, "pool_maker": fake_pool, **options}
    return nasbench201.bench(data, run, view=(notes or Notes()).view, **options)[1]


def scores(run: Path) -> dict[int, Any]:
    """All of the journal's scores by network."""
    found: dict[int, Any] = {}
    for record in journal.read(run / "journal.jsonl"):
        if record["kind"] == "score":
            for label, value in record["scores"].items():
                assert label not in found.setdefault(record["index"], {}), "scored twice"
                found[record["index"]][label] = value
    return found


def judged(results: dict[str, Any]) -> dict[str, Any]:
    """The rows by proxy."""
    return {row["proxy"]: row for row in results["rows"]}


def test_what_a_run_leaves(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    results = bench(data, run, sample=30)
    assert results == json.loads((run / "results.json").read_text())
    assert (results["benchmark"], results["dataset"], results["population"]) == ("nasbench201", "cifar10", "reachable")
    assert (results["sample"], results["seed"], results["settings"]["resamples"]) == (30, 0, 20)
    rows = judged(results)
    assert set(rows) == {
        "aleph",
        "vkdnw",
        "jacov",
        "expressivity",
        "trainability",
        "flops",
        "zico",
        "vkdnw_single",
        "vkdnw_agg",
        "rank_average",
    }
    assert rows["vkdnw_agg"]["kind"] == rows["rank_average"]["kind"] == "aggregate"
    assert rows["vkdnw_single"]["kind"] == rows["flops"]["kind"] == "single"
    kendalls = [row["kendall"]["value"] for row in results["rows"]]
    assert kendalls == sorted(kendalls, reverse=True)
    for row in results["rows"]:
        for metric in ("kendall", "spearman", "ndcg"):
            assert row[metric]["low"] <= row[metric]["high"]
        assert 0 < row["p_value"] <= 1
        assert row["top"] == 3
    table = pandas.read_csv(run / "scores.csv")
    assert list(table.columns[:3]) == ["network", "index", "accuracy"]
    assert [f"vkdnw_decile_{number}" for number in range(1, 10)] == [name for name in table.columns if "decile" in name]
    assert list(table["index"]) == sorted(table["index"])
    first = table.iloc[0]
    assert first["flops"] == toy_score(first["network"], "flops", 0)  # unrounded
    assert first["vkdnw_decile_3"] == 2 + first["index"] / 1000
    failed = {"too_few_weights": int((table["index"] % 3 == 0).sum())}
    assert rows["zico"]["failed"] == failed
    assert table["zico"].isna().sum() == failed["too_few_weights"]
    assert rows["flops"]["failed"] == {}
    assert rows["flops"]["seconds"] == 0.5
    assert rows["vkdnw_single"]["seconds"] == 1.0  # of its two raw scores
    names = results["partial"]["names"]
    assert len(names) == len(rows) == len(results["partial"]["matrix"])
    assert results["environment"]["precision"] == "toy"


def test_a_batch_that_gives_large_networks_no_spectrum_is_told_and_one_that_gives_none_is_rejected(
    data: Path, tmp_path: Path
) -> None:
    notes = Notes()
    bench(data, tmp_path / "run", notes, sample=10, proxies="vkdnw,flops", batch=1)
    told = "warning: a batch of 1 with 10 classes gives no vkdnw to networks of more than 45 layers"
    assert any(told in line for line in notes.notes), notes.notes
    with pytest.raises(InputError, match="vkdnw: batch: expected at least 1 for vkdnw; got 0"):
        bench(data, tmp_path / "none", sample=10, proxies="vkdnw", batch=0)
    assert not (tmp_path / "none").exists()


def test_a_larger_sample_holds_the_smaller_one(data: Path, tmp_path: Path) -> None:
    bench(data, tmp_path / "small", sample=10, proxies="flops")
    bench(data, tmp_path / "large", sample=20, proxies="flops")
    small, large = scores(tmp_path / "small"), scores(tmp_path / "large")
    assert set(small) < set(large)
    bench(data, tmp_path / "other", sample=10, proxies="flops", seed=1)
    assert set(scores(tmp_path / "other")) != set(small)


def test_a_resume_scores_only_what_is_missing(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bench(data, run, sample=10, proxies="flops")
    lines = (run / "journal.jsonl").read_text()
    resume(data, run)
    assert (run / "journal.jsonl").read_text() == lines
    assert len(json.loads((run / "run.json").read_text())["sessions"]) == 1
    (row,) = below(run)
    assert (row.kind, row.state, row.done, row.total, row.unit) == ("bench", "complete", 10, 10, "networks")
    resume(data, run, sample=20, proxies="zico,flops")
    extended = scores(run)  # which refuses what is scored twice
    assert len(extended) == 20
    assert all(set(found) == {"flops", "zico"} for found in extended.values())
    assert (run / "journal.jsonl").read_text().startswith(lines)
    bench(data, tmp_path / "whole", sample=20, proxies="flops,zico")
    assert scores(tmp_path / "whole") == extended
    assert resume(data, run)["rows"] == bench(data, tmp_path / "again", sample=20, proxies="flops,zico")["rows"]


def test_a_resume_keeps_its_settings(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bench(data, run, sample=20, proxies="flops", batch=16)
    with pytest.raises(InputError, match="at least what the run has, 20 networks; got 10"):
        resume(data, run, sample=10)
    with pytest.raises(InputError, match="it exists: continue with --resume"):
        bench(data, run)
    write_table(tmp_path / "other", 41)
    with pytest.raises(InputError, match="these are other networks"):
        resume(tmp_path / "other", run)
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps({**settings, "batch": 8}))
    with pytest.raises(InputError, match="they were changed since"):
        resume(data, run)
    (run / "settings.json").write_text("{}")
    with pytest.raises(InputError, match="expected the settings of a bench run, version 1"):
        resume(data, run)
    with pytest.raises(InputError, match="there is none"):
        resume(data, tmp_path / "nowhere")


def test_more_networks_or_a_larger_top_than_there_are(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--sample: expected at most the 40 networks of the population; got 41"):
        bench(data, tmp_path / "run", sample=41)
    with pytest.raises(InputError, match="--top: expected at most the 30 networks that are scored; got 31"):
        bench(data, tmp_path / "run", sample=30, top=31)
    assert not (tmp_path / "run").exists()


def test_permuted_accuracies_are_chance(tmp_path: Path) -> None:
    """The scores of one run, judged by its accuracies and by the same ones in another order."""
    table = write_table(tmp_path / "data", 220)
    run = tmp_path / "run"
    true = judged(bench(tmp_path / "data", run, proxies="flops,jacov", resamples=30))
    permuted = numpy.random.default_rng(0).permutation(table["cifar10"])
    write_table(tmp_path / "data", 220, cifar10=list(permuted))
    chance = judged(resume(tmp_path / "data", run))
    for name in ("flops", "jacov"):
        assert true[name]["kendall"]["low"] > 0.3
        assert true[name]["p_value"] < 0.05
        assert chance[name]["kendall"]["low"] < 0 < chance[name]["kendall"]["high"]
        assert abs(chance[name]["kendall"]["value"]) < 0.1
    models = [row for row in chance.values() if row["kind"] == "model"]
    assert {row["proxy"] for row in models} == {"graf_m"}
    for row in models:
        assert true[row["proxy"]]["kendall"]["low"] > 0.3
        assert row["kendall"]["low"] < 0 < row["kendall"]["high"]


def test_published_scores_change_nothing_but_the_agreement(data: Path, tmp_path: Path) -> None:
    alone = bench(data, tmp_path / "alone", proxies="flops,jacov,zico")
    assert alone["agreement"] == []
    table = pandas.read_csv(data / "nb201_accuracies.csv")
    flops = [toy_score(name, "flops", 0) for name in table["arch_str"]]
    published = pandas.DataFrame({"index": table["index"], "c10_flops": flops, "c10_jacov": -numpy.array(flops)})
    published.to_csv(data / "nb201_zero_cost_scores_9445.csv", index=False)
    beside = bench(data, tmp_path / "beside", proxies="flops,jacov,zico")
    assert {**beside, "agreement": [], "environment": {}} == {**alone, "environment": {}}
    agreement = {row["proxy"]: row for row in beside["agreement"]}
    assert agreement["flops"]["spearman"]["value"] == pytest.approx(1)
    assert agreement["jacov"]["spearman"]["value"] < 0
    assert agreement["flops"]["networks"] == 40
    (data / "nb201_zero_cost_scores_9445.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="missing: index"):
        bench(data, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_serial_and_ray_give_the_same_scores(data: Path, tmp_path: Path, ray_address: str) -> None:
    serial = bench(data, tmp_path / "serial", sample=6)
    ray = bench(data, tmp_path / "ray", sample=6, pool=PoolConfig(kind="ray", workers=3, address=ray_address))
    assert scores(tmp_path / "serial") == scores(tmp_path / "ray")
    assert serial["rows"] == ray["rows"]
    assert (tmp_path / "serial" / "scores.csv").read_text() == (tmp_path / "ray" / "scores.csv").read_text()


def start(data: Path, action: str, run: Path, die_writing: int = 0, delay: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.search.bench.drive", str(data), action, str(run), str(die_writing)],
        cwd=ROOT,
        env={**os.environ, "FAKE_DELAY": str(delay)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_bench_goes_on(data: Path, tmp_path: Path) -> None:
    """SIGKILL while it scores, then in the middle of writing a record, then Ctrl-C; what comes of it is the undisturbed run."""
    whole = bench(data, tmp_path / "whole", proxies="flops,zico", sample=30)
    run = tmp_path / "run"
    process = start(data, "begin", run, delay=30)
    wait_for_lines(process, run / "journal.jsonl", 6)
    process.kill()
    process.communicate()
    torn = start(data, "resume", run, die_writing=4)
    torn.communicate()
    assert torn.returncode == -signal.SIGKILL
    assert not (run / "journal.jsonl").read_bytes().endswith(b"\n")
    stopped = start(data, "resume", run, delay=30)
    wait_for_lines(stopped, run / "journal.jsonl", 14)
    stopped.send_signal(signal.SIGINT)
    out, err = stopped.communicate()
    assert stopped.returncode == 130
    assert f"continue with --resume {run}" in out
    assert "Traceback" not in err
    interrupted = json.loads((run / "run.json").read_text())
    assert interrupted["status"] == "interrupted"
    assert 0 < interrupted["left"] < 30
    last = start(data, "resume", run)
    assert last.communicate()[1] == ""
    assert last.returncode == 0
    assert scores(run) == scores(tmp_path / "whole")
    assert json.loads((run / "results.json").read_text())["rows"] == whole["rows"]
    sessions = json.loads((run / "run.json").read_text())["sessions"]
    assert len(sessions) == 4


def test_a_bench_whose_workers_are_lost_says_so_and_continues(data: Path, tmp_path: Path) -> None:
    """What finished before is kept, and run.json has the status of the end."""

    def maker(config: PoolConfig, view: Any, interrupts: Any) -> Any:
        pool = fake_pool(config, view, interrupts)
        poll, left = pool.poll, iter(range(7))

        def failing(timeout_s: float) -> Any:
            if next(left, None) is None:
                raise RuntimeError("the cluster is gone")
            return poll(timeout_s)

        pool.poll = failing  # type: ignore[method-assign]
        return pool

    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="the cluster is gone"):
        bench(data, run, sample=20, pool_maker=maker)
    status = json.loads((run / "run.json").read_text())
    assert (status["status"], status["left"], len(status["sessions"])) == ("failed", 13, 1)
    resume(data, run)
    status = json.loads((run / "run.json").read_text())
    assert (status["status"], status["left"], len(status["sessions"])) == ("complete", 0, 2)
    assert len(scores(run)) == 20
