"""What a proxy costs alone: measured in fresh processes, shown on the pages."""

import importlib
import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from benchmarks.results.pages import results_pages
from search.bench.benchmarks import nasbench201
from search.bench.benchmarks.conduct import conduct
from search.bench.benchmarks.heaviest import heaviest
from search.bench.benchmarks.request import request_for
from search.bench.benchmarks.table import BENCHMARKS
from search.bench.page import write_page
from search.bench.page.data import read_bench
from search.bench.scoring import settings
from search.bench.scoring.costs import slowest
from search.config.schema import PoolConfig
from tests.search.bench.page_runs import make_run
from tests.search.bench.test_commands import run
from tests.search.conftest import Notes
from uninas.errors import InputError


def figures(together: float | None = 8.0, **seconds: float | None) -> dict[str, Any]:
    rows = [{"proxy": name, "seconds": spent, "memory": None if spent is None else 2e8} for name, spent in seconds.items()]
    return {"network": "a cell", "environment": {}, "rows": rows, "together": {"seconds": together, "memory": 3e8}}


def test_the_slowest_three_are_three_computations() -> None:
    data = figures(vkdnw=4.0, vkdnw_single=4.1, zico=2.0, synflow=1.9, synflow_log=1.9, snip=1.0, grasp=None)
    assert slowest(data) == (["vkdnw_single", "zico", "synflow"], pytest.approx(8.0 / 8.0))
    assert slowest(figures(None, vkdnw=4.0)) == (["vkdnw"], None)
    assert slowest(figures(grasp=None)) == ([], None)


def test_the_pages_show_costs(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    assert "Alone, and peak memory: not measured" in write_page(folder).read_text()
    (folder / "costs.json").write_text(json.dumps(figures(flops=0.5, synflow=1.5, zico=2.0)))
    row = read_bench(folder).row("zico")
    assert row is not None
    assert (row.alone, row.memory) == (2.0, 2e8)
    assert "2.00 times the slowest three alone (zico, synflow, flops)" in write_page(folder).read_text()
    pages = results_pages([folder], tmp_path / "docs")
    text = next(page for page in pages if page.name == "nasbench201.md").read_text()
    assert "alone, s" in text
    assert "2.00 times the slowest three alone" in text
    (folder / "costs.json").write_text('{"rows": []}')
    with pytest.raises(InputError, match="expected what `uninas bench costs` writes"):
        read_bench(folder)


def test_costs_are_measured_in_fresh_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings.Settings("nasbench201", "imagenet16_120", "reachable", "x", ("jacov",), batch=4, top=500).write(tmp_path)
    code, out, _ = run(capsys, "costs", str(tmp_path))
    assert code == 0
    data = json.loads((tmp_path / "costs.json").read_text())
    assert data["network"].count("nor_conv_3x3") == 6
    assert data["environment"]["threads"] == "1"
    (row,) = data["rows"]
    assert row["proxy"] == "jacov"
    assert row["seconds"] > 0.01
    assert row["memory"] is None or 1e6 < row["memory"] < 1e9
    assert "all together" in out
    assert "times jacov alone" in out


def test_a_run_of_something_else(tmp_path: Path) -> None:
    settings.Settings("timm", "imagenet", "^regnet", "x", ("flops",)).write(tmp_path)
    with pytest.raises(InputError, match="expected a run of nasbench201; got one of timm"):
        nasbench201.heaviest(tmp_path)


def test_the_heaviest_point_of_a_space(tmp_path: Path) -> None:
    settings.Settings("nasbench_macro", "cifar10", "nasbench_macro", "x", ("flops", "params"), batch=4, top=500).write(tmp_path)
    (tmp_path / "scores.csv").write_text(
        "network,index,accuracy,flops,params\n"
        "nasbench_macro:00000000,0,70,5,1\nnasbench_macro:22222222,4,90,9,1\nnasbench_macro:11111111,7,80,7,30\n"
    )
    plan, network = heaviest(tmp_path, None, print)
    assert (network.index, network.name, network.input_shape) == (4, "nasbench_macro:22222222", (3, 32, 32))
    assert set(plan.requests) == {"flops", "params"}


def test_networks_that_are_files_need_their_table(tmp_path: Path) -> None:
    table = tmp_path / "trained.csv"
    cells = ["|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|", "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"]
    pandas.DataFrame({"network": [f"nasbench201:{cell}" for cell in cells], "accuracy": [60, 70]}).to_csv(table, index=False)
    folder = tmp_path / "run"
    bench = BENCHMARKS["table"].module
    request = request_for("table", table, pool=PoolConfig(kind="serial"), out=folder, proxies="params", resamples=10)
    conduct(importlib.import_module(bench).BENCHMARK, request, view=Notes().view)
    with pytest.raises(InputError, match="expected --data beside it, the table that the run was made of"):
        heaviest(folder, None, print)
    assert heaviest(folder, table, print)[1].name == f"nasbench201:{cells[1]}"
    pandas.DataFrame({"network": ["resnet", "coatnet"], "accuracy": [60, 70]}).to_csv(table, index=False)
    with pytest.raises(InputError, match="these are other networks"):
        heaviest(folder, table, print)
