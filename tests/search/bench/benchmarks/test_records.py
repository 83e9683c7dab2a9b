"""NDS and NAS-Bench-301: their authors' files, written small, and what a bench makes of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas
import pytest
from click.testing import CliRunner

from search.bench.benchmarks.accuracy_table import Population
from search.bench.benchmarks.conduct import conduct
from search.bench.benchmarks.records import nasbench301, nds
from search.bench.benchmarks.request import request_for
from search.bench.scoring.run import make_pool
from search.commands.bench import command
from search.config.schema import PoolConfig
from tests.search.conftest import Notes
from uninas import cost, load
from uninas.errors import InputError
from uninas.spaces.cells import SPACES

SERIAL = PoolConfig(kind="serial")


def read(benchmark: Any, data: Path, dataset: str = "cifar10") -> Population:
    request = dataclasses.replace(request_for(benchmark.name, data, pool=SERIAL), dataset=dataset)
    found: Population = benchmark.population(request, None, print)
    return found


def entry(space: str, error: float, *, name: str | None = None, **net: Any) -> dict[str, Any]:
    """An entry of NDS: a published cell at 16 channels and eight cells, with its errors of three epochs."""
    point = SPACES[space]
    genotype = point.parse(name) if name else point.start()
    cells: dict[str, Any] = {}
    for kind in ("normal", "reduce"):
        edges = [edge for a, i, b, j in genotype[kind] for edge in ([a, i], [b, j])]
        read = {source for _, source in edges} if point.loose else set()
        cells |= {kind: edges, f"{kind}_concat": [node for node in range(2, 2 + point.nodes) if node not in read]}
    sizes = {"width": 16, "depth": 8, "aux": False, "drop_prob": 0.0, **net}
    return {"net": {"genotype": cells, **sizes}, "test_ep_top1": [80.0, 30.0, error], "params": 1, "flops": 2, "rng_seed": 1}


def written(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


# --- NDS ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "space"),
    [
        ("DARTS.json", "nds_darts"),
        ("DARTS_fix-w-d.json", "nds_darts"),
        ("DARTS_lr-wd.json", "nds_darts"),
        ("NASNet.json", "nds_nasnet"),
        ("Amoeba.json", "nds_amoeba"),
        ("PNAS_fix-w-d.json", "nds_pnas"),
        ("ENAS.json", "nds_enas"),
    ],
)
def test_a_file_of_nds_names_its_space_and_gives_accuracies(file: str, space: str, tmp_path: Path) -> None:
    entries = [entry(space, 7.5), entry(space, 6.25, width=24, depth=4)]
    found = read(nds.BENCHMARK, written(tmp_path / file, entries))
    text = SPACES[space].text(SPACES[space].start()).rpartition("|")[0]
    assert list(found.table["network"]) == [f"{space}:{text}|16x8", f"{space}:{text}|24x4"]
    assert list(found.table["accuracy"]) == [92.5, 93.75]


RESNET = {
    "block_type": "res_basic_block",
    "bot_muls": [],
    "num_gs": [],
    "ds": [1, 2, 1, 3],
    "ss": [1, 1, 2, 2],
    "ws": [16, 24, 24, 40],
}
RESNEXT = RESNET | {
    "block_type": "res_bottleneck_block",
    "bot_muls": [0.0, 1.0, 0.5, 0.25],
    "num_gs": [1, 16, 1, 8],
    "ws": [16, 64, 128, 64],
}


@pytest.mark.parametrize(
    ("file", "net", "network"),
    [
        ("ResNet.json", RESNET, "nds_resnet:2-1-3:24-24-40"),
        ("ResNet_rng1.json", RESNET, "nds_resnet:2-1-3:24-24-40"),
        ("ResNeXt-A.json", RESNEXT | {"num_gs": [1, 4, 1, 2]}, "nds_resnext_a:2-1-4:64-128-64:1-0.5-0.25:4-1-2"),
        ("ResNeXt-B.json", RESNEXT, "nds_resnext_b:2-1-4:64-128-64:1-0.5-0.25:16-1-8"),
    ],
)
def test_residual_networks_are_read_and_those_that_the_space_lacks_are_counted(
    file: str, net: Any, network: str, tmp_path: Path
) -> None:
    net = net if "ResNet" in file else net | {"ds": [1, 2, 1, 4]}
    made = {"net": net, "test_ep_top1": [50.0, 8.5], "params": cost(load(network)).params, "flops": 1}
    other = made | {"net": net | {"ws": [16, 24, 24, 41]}}
    path = written(tmp_path / file, [made, other])
    found = read(nds.BENCHMARK, path)
    assert [tuple(row) for row in found.table[["network", "accuracy"]].itertuples(index=False)] == [(network, 91.5)]
    (said,) = found.warnings
    assert said.startswith(f"{path}: 1 of 2 networks are left out, the first: entry 2: nds_resn")
    more = read(nds.BENCHMARK, written(path, [made | {"params": 7}]))
    assert "params of 1 of 1 compared networks differ from ours, the first: entry 1 has 7 beside our" in more.warnings[0]


def test_the_best_and_the_middling_networks_are_read_together(tmp_path: Path) -> None:
    path = written(
        tmp_path / "DARTS_lr-wd_in.json", {"top": [entry("nds_darts", 40.0)], "mid": [entry("nds_darts", 50.0, width=32)]}
    )
    found = read(nds.BENCHMARK, path, "imagenet")
    assert [name.rpartition("|")[2] for name in found.table["network"]] == ["16x8-imagenet", "32x8-imagenet"]
    assert list(found.table["accuracy"]) == [60, 50]


@pytest.mark.parametrize("aux", [False, True])
@pytest.mark.parametrize(
    ("file", "dataset", "more"), [("DARTS.json", "cifar10", 435_466), ("DARTS_in.json", "imagenet", 1_195_240)]
)
def test_counts_are_compared_without_the_auxiliary_head(aux: bool, file: str, dataset: str, more: int, tmp_path: Path) -> None:
    """By hand: 32,768 of 256 channels x 128, 256, 393,216 of 128 x 768 x 4, 1,536 on CIFAR-10 alone, 769 for each class."""
    made = entry("nds_darts", 7.5, aux=aux)
    (point,) = read(nds.BENCHMARK, written(tmp_path / file, [made]), dataset).table["network"]
    size = (32, 32) if dataset == "cifar10" else (224, 224)
    figures = cost(load(point), size, 10 if dataset == "cifar10" else 1000)
    made |= {"params": figures.params + more * aux, "flops": figures.macs}
    assert read(nds.BENCHMARK, written(tmp_path / file, [made]), dataset).warnings == ()
    made["flops"] += 1
    (warning,) = read(nds.BENCHMARK, written(tmp_path / file, [made]), dataset).warnings
    both = f"entry 1 has {figures.macs + 1:,} beside our {figures.macs:,}"
    assert warning.endswith(f"macs of 1 of 1 compared networks differ from ours, the first: {both}")


def test_a_network_trained_twice_counts_its_mean(tmp_path: Path) -> None:
    entries = [entry("nds_enas", 7.0), entry("nds_enas", 8.0, width=24), entry("nds_enas", 9.0)]
    for each in entries:
        del each["params"], each["flops"]
    path = written(tmp_path / "ENAS.json", entries)
    found = read(nds.BENCHMARK, path)
    assert list(found.table["accuracy"]) == [92, 92]
    assert found.warnings == (f"{path}: 3 trainings of 2 networks: the mean of a network's accuracies counts",)


def test_a_network_that_concatenates_other_nodes_is_left_out_and_counted(tmp_path: Path) -> None:
    other = entry("nds_pnas", 7.0, width=24)
    other["net"]["genotype"]["normal_concat"] = [5, 6]
    kept = entry("nds_pnas", 8.0)
    del kept["params"], kept["flops"]
    path = written(tmp_path / "PNAS.json", [other, kept])
    found = read(nds.BENCHMARK, path)
    assert list(found.table["accuracy"]) == [92]
    said = "normal_concat: expected [2, 3, 4, 5, 6] in nds_pnas, got [5, 6]"
    assert found.warnings == (f"{path}: 1 of 2 networks are left out, the first: entry 1: {said}",)
    with pytest.raises(InputError, match=r"expected a trained network; got none: .* 1 of 1 networks are left out"):
        read(nds.BENCHMARK, written(path, [other]))


def test_order_in_concat_does_not_matter(tmp_path: Path) -> None:
    made = entry("nds_pnas", 8.0)
    made["net"]["genotype"]["reduce_concat"].reverse()
    assert len(read(nds.BENCHMARK, written(tmp_path / "PNAS.json", [made])).table) == 1


WRONG: dict[str, tuple[Any, str]] = {
    "no list": (7, "expected a list of trained networks"),
    "no network": ([{"test_ep_top1": [5.0]}], "entry 1: net: expected the network, got None"),
    "no cells": ([{"net": {}, "test_ep_top1": [5.0]}], "entry 1: genotype: expected the two cells, got None"),
    "no error": ([entry("nds_darts", 5.0) | {"test_ep_top1": []}], "entry 1: test_ep_top1: expected the error"),
    "an error of 200": ([entry("nds_darts", 5.0) | {"test_ep_top1": [200]}], "test_ep_top1: expected an accuracy or an error in"),
    "an odd width": ([entry("nds_darts", 5.0), entry("nds_darts", 6.0, width=15)], "entry 2: nds_darts: genotype"),
    "another space": ([entry("nds_enas", 5.0)], "entry 1: nds_darts: genotype"),
    "a depth that is a text": ([entry("nds_darts", 5.0, depth="8")], "entry 1: depth: expected a whole number, got '8'"),
    "fractions": ([entry("nds_darts", 99.5)], "expected accuracies in percent; got fractions"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_wrong_is_rejected_in_a_line(case: str, tmp_path: Path) -> None:
    data, said = WRONG[case]
    with pytest.raises(InputError) as raised:
        read(nds.BENCHMARK, written(tmp_path / "DARTS.json", data))
    assert said in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "DARTS.json"))
    assert "\n" not in str(raised.value)


def test_a_file_has_its_own_name_and_data_set(tmp_path: Path) -> None:
    for name, dataset, said in (
        ("mine.json", "cifar10", r"expected a file of NDS, called DARTS\*.json, NASNet\*.json"),
        ("DARTS_in.json", "cifar10", "--dataset: expected imagenet for files with _in"),
        ("DARTS.json", "imagenet", "--dataset: expected imagenet for files with _in"),
        ("NASNet.json", "cifar10", r"expected the networks of a sweep of NDS \(JSON\); no such file"),
    ):
        with pytest.raises(InputError, match=said):
            read(nds.BENCHMARK, tmp_path / name, dataset)
    (tmp_path / "ENAS.json").write_text("{")
    with pytest.raises(InputError, match=r"expected the networks of a sweep of NDS \(JSON\); "):
        read(nds.BENCHMARK, tmp_path / "ENAS.json")


def test_a_run_scores_the_networks_of_a_file(tmp_path: Path) -> None:
    entries = [entry("nds_darts", error, width=4, depth=depth) for error, depth in ((9.0, 2), (8.0, 3), (7.0, 4), (6.0, 5))]
    path = written(tmp_path / "DARTS.json", entries)
    request = request_for("nds", path, pool=SERIAL, out=tmp_path / "run", proxies="params,naswot", batch=2, resamples=10)
    _, results = conduct(nds.BENCHMARK, request, view=Notes().view, pool_maker=make_pool)
    assert {row["proxy"]: row["networks"] for row in results["rows"]} == {"params": 4, "naswot": 4}
    table = pandas.read_csv(tmp_path / "run" / "scores.csv")
    assert [cost(load(name)).params for name in table["network"]] == list(table["params"])


# --- NAS-Bench-301 -----------------------------------------------------------------------------------------------------------

PREFIX = "NetworkSelectorDatasetInfo:darts:"


def result(test: float, *, width: int = 50, depth: int = 20, budget: int = 100, **change: Any) -> dict[str, Any]:
    """A result in the authors' form, whose cells and figures are those of their results_fidelity_0/results_0.json."""
    edges = {
        "normal": {0: "skip_connect", 1: "sep_conv_3x3", 2: "sep_conv_3x3", 3: "skip_connect", 5: "dil_conv_3x3"}
        | {7: "dil_conv_5x5", 10: "sep_conv_3x3", 11: "skip_connect"},
        "reduce": {0: "max_pool_3x3", 1: "avg_pool_3x3", 2: "skip_connect", 3: "dil_conv_5x5", 6: "sep_conv_3x3"}
        | {7: "sep_conv_5x5", 11: "sep_conv_3x3", 12: "dil_conv_3x3"},
    }
    inputs = {"normal": {3: "0_1", 4: "0_2", 5: "1_2"}, "reduce": {3: "0_1", 4: "1_2", 5: "2_3"}}
    config: dict[str, Any] = {f"{PREFIX}edge_{kind}_{n}": name for kind, each in edges.items() for n, name in each.items()}
    config |= {f"{PREFIX}inputs_node_{kind}_{n}": pair for kind, each in inputs.items() for n, pair in each.items()}
    config |= {f"{PREFIX}init_channels": width, f"{PREFIX}layers": depth, f"{PREFIX}auxiliary": "True"}
    config |= {PREFIX + name: value for name, value in change.items()}
    info = {"val_accuracy": test + 1, "model_parameters": 6_369_358}
    return {"optimized_hyperparamater_config": config, "budget": budget, "info": [info], "test_accuracy": test}


def test_the_authors_own_result_is_read_and_has_our_parameters(tmp_path: Path) -> None:
    written(tmp_path / "results_0.json", result(90.5))
    found = read(nasbench301.BENCHMARK, tmp_path)
    assert list(found.table["network"]) == [
        "darts:skip_connect~0+sep_conv_3x3~1,sep_conv_3x3~0+skip_connect~1,dil_conv_3x3~0+dil_conv_5x5~2,"
        "sep_conv_3x3~1+skip_connect~2|max_pool_3x3~0+avg_pool_3x3~1,skip_connect~0+dil_conv_5x5~1,"
        "sep_conv_3x3~1+sep_conv_5x5~2,sep_conv_3x3~2+dil_conv_3x3~3|50x20"
    ]
    assert list(found.table["accuracy"]) == [90.5]
    assert found.warnings == (), "6,369,358 parameters, the auxiliary head among them"
    assert list(read(nasbench301.BENCHMARK, tmp_path, "cifar10_valid").table["accuracy"]) == [91.5]


def test_the_most_frequent_setting_counts(tmp_path: Path) -> None:
    for number, made in enumerate(
        [
            result(90.0, edge_normal_0="max_pool_3x3"),
            result(92.0, width=32, depth=8),
            result(80.0, budget=10, edge_normal_0="sep_conv_5x5"),
            result(91.0),
        ]
    ):
        made["info"][0].pop("model_parameters")
        (tmp_path / f"run_{number}" / "results_fidelity_0").mkdir(parents=True)
        written(tmp_path / f"run_{number}" / "results_fidelity_0" / "results_0.json", made)
    found = read(nasbench301.BENCHMARK, tmp_path)
    assert list(found.table["accuracy"]) == [90, 91]
    usual = "2 have 50 channels, 20 cells and a budget of 100"
    assert found.warnings == (f"{tmp_path}: 2 of 4 trainings are left out: {usual}, and others cannot be compared with them",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"edge_normal_4": "skip_connect"}, "edge_normal_2 to 4: expected two operations, got 3"),
        ({"edge_reduce_0": None}, "edge_reduce_0 to 1: expected two operations, got 1"),
        ({"inputs_node_normal_3": "0_2"}, "inputs_node_normal_3: expected 0_1, which its edges say; got 0_2"),
        ({"edge_normal_0": "none"}, "normal cell: node 2: expected one of max_pool_3x3"),
        ({"layers": "20"}, "NetworkSelectorDatasetInfo:darts:layers: expected a whole number, got '20'"),
    ],
)
def test_a_configuration_that_is_no_network_is_rejected(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "results_7.json", result(90.0, **change))
    with pytest.raises(InputError) as raised:
        read(nasbench301.BENCHMARK, tmp_path)
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)


def test_an_empty_folder_and_a_broken_file_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected the folder of NAS-Bench-301's results, .* got none"):
        read(nasbench301.BENCHMARK, tmp_path)
    (tmp_path / "results_0.json").write_text("[]")
    with pytest.raises(
        InputError, match=r"results_0.json: optimized_hyperparamater_config: expected the configuration, got None"
    ):
        read(nasbench301.BENCHMARK, tmp_path)


@pytest.mark.parametrize("name", ["nds", "nasbench301"])
def test_the_commands_have_help(name: str) -> None:
    shown = CliRunner().invoke(command, [name, "--help"])
    assert shown.exit_code == 0
    assert f"uninas bench {name} --data" in shown.output
