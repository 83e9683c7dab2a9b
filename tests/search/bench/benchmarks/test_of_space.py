"""Referees whose networks are points of a published space: their tables, their costs, their runs."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas
import pytest

from search.bench.benchmarks.conduct import conduct
from search.bench.benchmarks.published_spaces import autoformer, nasbench_macro, pit
from search.bench.benchmarks.request import request_for
from search.bench.benchmarks.table import BENCHMARKS
from search.bench.scoring.run import make_pool
from search.config.schema import PoolConfig
from tests.amounts import slow
from tests.search.bench.fakes import fake_pool
from tests.search.conftest import Notes
from uninas import cost, load
from uninas.errors import InputError

SERIAL = PoolConfig(kind="serial")
MACRO = ["00000000", "00000001", "12201201", "22222222", "11111111", "20100210"]


def write(path: Path, **columns: list[Any]) -> Path:
    pandas.DataFrame(columns).to_csv(path, index=False)
    return path


def bench(benchmark: Any, table: Path, out: Path | None = None, *, resume: Path | None = None, **asked: Any) -> dict[str, Any]:
    maker = asked.pop("maker", fake_pool)
    request = request_for(benchmark.name, table, resume, pool=SERIAL, out=out, **asked)
    return conduct(benchmark, request, view=Notes().view, pool_maker=maker)[1]


@pytest.fixture
def macro(tmp_path: Path) -> Path:
    """The zeros at the front of a network are lost on a reader of numbers."""
    return write(tmp_path / "table.csv", architecture=MACRO, mean_acc=[45.4, 64.2, 90.1, 93.0, 92.1, 80.5])


def test_networks_are_called_as_every_command_calls_them(macro: Path) -> None:
    population = nasbench_macro.BENCHMARK.population(request_for("nasbench_macro", macro, pool=SERIAL), None, print)
    assert list(population.table["network"]) == [f"nasbench_macro:{name}" for name in MACRO]
    assert cost(load(population.table["network"][0])).params == 387_882
    (macro.parent / nasbench_macro.FILE).write_bytes(macro.read_bytes())
    again = nasbench_macro.BENCHMARK.population(request_for("nasbench_macro", macro.parent, pool=SERIAL), None, print)
    assert again.digest == population.digest


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("00000003,50", "architecture: expected eight digits 0, 1 or 2; 1 of 1 rows are otherwise, the first is line 2: '3'"),
        ("12,50\n00000123,51", "architecture: expected eight digits 0, 1 or 2; 1 of 2 rows"),
        ("111,50\n00000111,51", "architecture: expected each network once"),
        ("00000001,", "mean_acc: expected an accuracy in percent, 0 to 100"),
        ("00000001,.5\n00000002,.6", "mean_acc: expected accuracies in percent; got fractions, the largest is 0.6"),
    ],
)
def test_a_table_that_is_wrong_is_rejected_with_its_line(rows: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(f"architecture,mean_acc\n{rows}\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        bench(nasbench_macro.BENCHMARK, tmp_path / "table.csv", tmp_path / "run")
    assert said in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_run_has_the_papers_figures_and_is_resumed(macro: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = bench(nasbench_macro.BENCHMARK, macro, run, proxies="params,flops", sample=4, resamples=20, maker=make_pool)
    assert first["sample"] == 4
    table = pandas.read_csv(run / "scores.csv", dtype={"network": str})
    assert all(cost(load(row.network)).params == row.params for row in table.itertuples())
    whole = bench(nasbench_macro.BENCHMARK, macro, resume=run, sample=6, maker=make_pool)
    at_once = bench(nasbench_macro.BENCHMARK, macro, tmp_path / "other", proxies="params,flops", resamples=20, maker=make_pool)
    assert [row["kendall"] for row in whole["rows"]] == [row["kendall"] for row in at_once["rows"]]
    with pytest.raises(InputError, match="expected the networks that began"):
        bench(nasbench_macro.BENCHMARK, write(tmp_path / "b.csv", architecture=MACRO[:5], mean_acc=[50] * 5), resume=run)


@pytest.mark.parametrize("step", [81, slow(1)])
def test_costs_are_the_tables_to_the_integer(step: int, data_folder: Path) -> None:
    table = pandas.read_csv(data_folder / "nasbench_macro" / nasbench_macro.FILE, dtype={"architecture": str})
    assert len(table) == 6_561
    for row in table[::step].itertuples():
        found = cost(load(f"nasbench_macro:{row.architecture}"))
        assert (found.params, found.macs) == (row.params, row.flops), row.architecture


# --- vision transformers ----------------------------------------------------------------------------------------------------

DEEP, RATIOS = "-".join("3" * 12), "-".join(["3.5"] * 12)
PIT = {"base_dim": [16, 24], "mlp_ratio": [6, 2], "depth": ["2-8-4", "1-4-2"], "num_heads": ["2-4-4", "2-2-2"]}
FORMER = {"hidden_dim": [192, 240], "mlp_ratio": [RATIOS] * 2, "depth": [12, 12], "num_heads": [DEEP, DEEP]}


def test_networks_without_an_accuracy_are_left_out_and_counted(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", **FORMER, c100_kd_acc=[76.1, 78.3], c100_base_acc=[68.7, None])
    ask = request_for("autoformer", table, pool=SERIAL)
    both = autoformer.BENCHMARK.population(ask, None, print)
    assert list(both.table["network"]) == [f"autoformer:{width}:{RATIOS}:{DEEP}" for width in (192, 240)]
    assert both.warnings == ()
    plain = dataclasses.replace(ask, dataset="c100_base")
    one = autoformer.BENCHMARK.population(plain, None, print)
    assert list(one.table["network"]) == [f"autoformer:192:{RATIOS}:{DEEP}"]
    assert one.warnings == (f"{table}: 1 of 2 networks are left out: their c100_base_acc is empty",)
    empty = write(tmp_path / "e.csv", **FORMER, c100_base_acc=[None, None])
    with pytest.raises(InputError, match="c100_base_acc: expected an accuracy; all 2 cells are empty"):
        autoformer.BENCHMARK.population(dataclasses.replace(plain, data=empty), None, print)


@pytest.mark.parametrize(
    ("benchmark", "columns", "said"),
    [
        (pit, PIT | {"num_heads": ["2-4-4", "4-2-2"]}, r"such as 24, 4, .* 1 of 2 rows .* line 3: '24, 2, 1-4-2, 4-2-2'"),
        (pit, {name: cells[:1] * 2 for name, cells in PIT.items()}, "num_heads: expected each network once; .* line 3"),
        (autoformer, FORMER | {"depth": [12, 13]}, r"hidden_dim, mlp_ratio, depth, num_heads: expected .* line 3: '240, 3.5-"),
        (autoformer, FORMER | {"hidden_dim": [192, 200]}, "expected a network of the space: .* 1 of 2 rows .* line 3: '200, "),
    ],
)
def test_a_row_that_is_no_network_is_rejected(benchmark: Any, columns: dict[str, Any], said: str, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", **columns, c100_kd_acc=[60.0, 70.0])
    with pytest.raises(InputError, match=said):
        bench(benchmark.BENCHMARK, table, tmp_path / "run")


def test_a_transformer_is_scored_at_the_size_that_is_asked_for(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", **PIT, chaoyang_kd_acc=[82.0, 80.0])
    asked: dict[str, Any] = {
        "dataset": "chaoyang_kd",
        "proxies": "params,naswot",
        "batch": 2,
        "resamples": 10,
        "maker": make_pool,
    }
    found = bench(pit.BENCHMARK, table, tmp_path / "run", size=64, **asked)
    assert {row["proxy"]: row["kendall"]["value"] for row in found["rows"]} == {"params": 1, "naswot": 1}
    assert (found["population"], found["settings"]["size"]) == ("pit", [64, 64])
    table_of_scores = pandas.read_csv(tmp_path / "run" / "scores.csv")
    shown = [cost(load(name), (216, 216), 4).params for name in table_of_scores["network"]]
    smaller = [params - figures for params, figures in zip(shown, table_of_scores["params"], strict=True)]
    assert smaller == [32 * (27**2 - 8**2), 48 * (27**2 - 8**2)]  # of the position embedding alone


def test_the_published_tables_are_read_whole(data_folder: Path) -> None:
    counts = {}
    for benchmark in (autoformer.BENCHMARK, pit.BENCHMARK):
        for dataset in BENCHMARKS[benchmark.name].datasets:
            request = dataclasses.replace(request_for(benchmark.name, data_folder / "vit_bench", pool=SERIAL), dataset=dataset)
            counts[benchmark.name, dataset] = len(benchmark.population(request, None, print).table)
    assert {count for (name, _), count in counts.items() if name == "pit"} == {100}
    former = {dataset: count for (name, dataset), count in counts.items() if name == "autoformer"}
    assert former == {"imagenet_super": 200} | {
        f"{data}_{how}": {"kd": 200, "base": 100}[how] for data in ("c100", "flower", "chaoyang") for how in ("kd", "base")
    }
