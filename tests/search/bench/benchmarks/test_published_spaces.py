"""TransNAS-Bench-101 and BLOX as referees: their tables, measures that are no percentages, their runs."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
import sys
import types
from pathlib import Path
from typing import Any

import pandas
import pytest

from search.bench.benchmarks.conduct import conduct
from search.bench.benchmarks.published_spaces import blox, transnas_macro, transnas_micro
from search.bench.benchmarks.request import request_for
from search.bench.benchmarks.table import BENCHMARKS
from search.bench.scoring.run import make_pool
from search.config.schema import PoolConfig
from tests.search.conftest import ROOT, Notes
from uninas import cost, load
from uninas.errors import InputError
from uninas.spaces import SPACES, architecture_of

SERIAL = PoolConfig(kind="serial")
CELLS = ["64-41414-1_02_333", "64-41414-0_00_001", "64-41414-3_33_333", "64-41414-2_10_102"]
BLOCKS = [
    "[[[0], [1, 1, 1, 1]], [[1], [1, 1, 0, 0]], [[0], [0, 1, 1, 0]]]",
    "[[[0], [0, 0, 0, 1]]" + ", [[2], [0, 0, 0, 1]]" * 2 + "]",
]


def write(path: Path, **columns: list[Any]) -> Path:
    pandas.DataFrame(columns).to_csv(path, index=False)
    return path


def population(benchmark: Any, table: Path, dataset: str | None = None) -> Any:
    request = request_for(benchmark.name, table, pool=SERIAL)
    return benchmark.population(dataclasses.replace(request, dataset=dataset or request.dataset), None, print)


def test_every_task_is_an_option_and_has_its_outputs() -> None:
    for benchmark in (transnas_micro, transnas_macro):
        assert BENCHMARKS[benchmark.BENCHMARK.name].datasets == tuple(transnas_micro.TASKS)
    outputs = {task: trained.classes for task, trained in transnas_micro.TASKS.items()}
    assert [outputs[task] for task in ("class_scene", "class_object", "jigsaw", "room_layout", "segmentsemantic")] == [
        47,
        75,
        1000,
        9,
        17,
    ]


def test_a_loss_is_stretched_and_keeps_its_order(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", architecture=CELLS, room_layout=[-0.75, -1.0, -0.5, -0.6], class_scene=[50.0, 30, 54, 51])
    found = population(transnas_micro.BENCHMARK, table, "room_layout").table
    assert list(found["network"]) == [f"transnas_micro:{cell}" for cell in CELLS]
    assert list(found["accuracy"]) == pytest.approx([50, 0, 100, 80])
    assert list(population(transnas_micro.BENCHMARK, table).table["accuracy"]) == [50, 30, 54, 51]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("64-41414-1_02_333,-.5\n64-41414-1_02_334,-.6", "architecture: expected a cell such as 64-41414-1_02_333; 1 of 2 rows"),
        ("64-1234-basic,-.5", "architecture: expected a cell such as 64-41414-1_02_333; 1 of 1 rows"),
        ("64-41414-1_02_333,-.5\n64-41414-1_02_333,-.6", "architecture: expected each network once; .* line 3"),
        ("64-41414-1_02_333,-.5\n64-41414-1_02_332,", "room_layout: expected a number; 1 of 2 rows .* line 3"),
        ("64-41414-1_02_333,-.5\n64-41414-1_02_332,inf", "room_layout: expected a number; 1 of 2 rows .* line 3"),
        ("64-41414-1_02_333,-.5\n64-41414-1_02_332,-.5", "room_layout: expected numbers that differ; all of them are -0.5"),
    ],
)
def test_a_table_that_is_wrong_is_rejected_with_its_line(rows: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"architecture,room_layout\n{rows}\n", encoding="utf-8")
    with pytest.raises(InputError, match=said):
        population(transnas_micro.BENCHMARK, tmp_path / "t.csv", "room_layout")


def run(benchmark: Any, table: Path, out: Path, **asked: Any) -> dict[str, Any]:
    request = request_for(benchmark.name, table, None, pool=SERIAL, out=out, **asked)
    return conduct(benchmark, request, view=Notes().view, pool_maker=make_pool)[1]


def test_encoders_are_scored_with_the_tasks_outputs(tmp_path: Path) -> None:
    """Jigsaw: tiles of 64 pixels, 1,000 permutations."""
    table = write(tmp_path / "t.csv", architecture=["64-4111-basic", "64-1234-basic"], jigsaw=[90.0, 94.0])
    found = run(transnas_macro.BENCHMARK, table, tmp_path / "run", dataset="jigsaw", proxies="params,flops", resamples=10)
    assert {row["proxy"]: row["kendall"]["value"] for row in found["rows"]} == {"params": 1, "flops": 1}
    scores = pandas.read_csv(tmp_path / "run" / "scores.csv")
    for row in scores.itertuples():
        space, _, text = row.network.partition(":")
        figures = cost(architecture_of(SPACES[space], text, classes=1000), (64, 64))
        assert (figures.params, figures.macs) == (row.params, row.flops)


def test_blox_is_read_in_whichever_way_a_block_is_written(tmp_path: Path) -> None:
    table = write(tmp_path / "blox_cifar100.csv", arch_vec=BLOCKS, test_top1=[71.5, 68.2])
    names = list(population(blox.BENCHMARK, table.parent).table["network"])
    assert names[0] == "blox:[[[0],[1,1,1,1]],[[1],[1,1,0,0]],[[0],[0,1,1,0]]]"
    found = run(blox.BENCHMARK, table, tmp_path / "run", proxies="params,flops", resamples=10)
    params = [cost(load(name)).params for name in names]
    assert {row["proxy"]: row["kendall"]["value"] for row in found["rows"]}["params"] == math.copysign(1, params[0] - params[1])
    twice = write(
        tmp_path / "twice.csv",
        arch_vec=[BLOCKS[1], BLOCKS[1].replace("[[0], [0, 0, 0, 1]]", "[[1], [0, 0, 1, 0]]")],
        test_top1=[1.5, 2],
    )
    with pytest.raises(InputError, match="arch_vec: expected each network once"):
        population(blox.BENCHMARK, twice)


# --- the scripts of the guide ------------------------------------------------------------------------------------------------


def script(marker: str) -> str:
    """The indented block of docs/guides/bench.md that holds a text."""
    text = (ROOT / "docs" / "guides" / "bench.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", text, re.MULTILINE)
    (found,) = [block for block in blocks if marker in block]
    return "".join(line[4:] + "\n" for line in found.splitlines())


def test_the_guides_script_makes_a_table_of_the_authors_blox_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "---\nversion: 1\nsearch_space:\n  nodes: 2\ncolumns:\n- model_hash\nformat: csv\n---\n"
    epochs = str([20.1] * 200)
    for name, rows in (
        ("blox-info.csv", [["a1", 100, 200, BLOCKS[0]], ["b2", 50, 90, BLOCKS[1]]]),
        ("blox-base-0.csv", [["b2", epochs, 68.2, 1234], ["a1", epochs, 71.5, 1300]]),
    ):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            file.write(head)
            csv.writer(file).writerows(rows)
    monkeypatch.chdir(tmp_path)
    exec(compile(script("blox-info.csv"), "bench.md", "exec"), {})
    found = population(blox.BENCHMARK, tmp_path).table
    assert dict(zip(found["network"], found["accuracy"], strict=True)) == {
        "blox:[[[0],[1,1,1,1]],[[1],[1,1,0,0]],[[0],[0,1,1,0]]]": 71.5,
        "blox:[[[0],[0,0,0,1]],[[2],[0,0,0,1]],[[2],[0,0,0,1]]]": 68.2,
    }


def test_the_guides_script_makes_tables_of_the_api_of_transnas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script asks the authors' API for lists of architectures and for measures, which that keeps by epoch."""
    lists = {"micro": CELLS, "macro": ["64-1234-basic", "64-4111-basic"]}

    def measure(arch: str, task: str, metric: str, mode: str) -> float:
        assert mode == "final"
        return MEASURES[task, metric] + len(arch.replace("0", ""))

    def api(path: str) -> Any:
        assert path == "transnas-bench_v10141024.pth"
        return types.SimpleNamespace(get_arch_list=lists.__getitem__, get_single_metric=measure)

    monkeypatch.setitem(sys.modules, "api", types.SimpleNamespace(TransNASBenchAPI=api))
    monkeypatch.chdir(tmp_path)
    exec(compile(script("get_single_metric"), "bench.md", "exec"), {})
    for task in transnas_micro.TASKS:
        assert len(population(transnas_micro.BENCHMARK, tmp_path, task).table) == len(CELLS)
    assert population(transnas_macro.BENCHMARK, tmp_path, "jigsaw").table["network"][0] == "transnas_macro:64-1234-basic"


MEASURES = {
    ("class_scene", "test_top1"): 50.0,
    ("class_object", "test_top1"): 40.0,
    ("jigsaw", "test_top1"): 80.0,
    ("room_layout", "test_neg_loss"): -0.9,
    ("segmentsemantic", "test_mIoU"): 0.2,
    ("normal", "test_ssim"): 0.5,
    ("autoencoder", "test_ssim"): 0.5,
}
