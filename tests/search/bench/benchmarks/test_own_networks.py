"""The bench of anybody's table: what its columns and rows may be, what is refused, and a run on networks of every kind."""

import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from search.bench.benchmarks import own_networks
from search.bench.benchmarks.conduct import conduct
from search.bench.benchmarks.own_table import Columns, read_table
from search.bench.benchmarks.request import request_for
from search.bench.page import write_page
from search.bench.scoring.run import make_pool
from search.config.schema import PoolConfig
from tests.search.bench.test_commands import run
from tests.search.conftest import Notes
from tests.search.training.conftest import make_images
from uninas import canonicalise, cost, load, preset, to_text
from uninas.errors import InputError

CELL = "nasbench201:|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
WIDTHS = (32, 32, 64, 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight small networks in files beside the table and below it, whose accuracy grows with their size."""
    (tmp_path / "more").mkdir()
    for name, file in (("resnet", "resnet"), ("vit", "vit"), ("coatnet", "more/coatnet"), ("efficientnet", "more/efficientnet")):
        for size in (1, 2):
            made = preset(name, widths=[size * width for width in WIDTHS], stem=(8, 8), classes=10, input_size=(32, 32))
            (tmp_path / f"{file}{size}.json").write_text(to_text(made), encoding="utf-8")
    return tmp_path


def files(folder: Path) -> list[str]:
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*.json")]
    return sorted(found, key=lambda name: cost(load(folder / name)).params)


def write(folder: Path, **columns: list[Any]) -> Path:
    pandas.DataFrame(columns).to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def bench(table: Path, out: Path | None = None, resume: Path | None = None, **asked: Any) -> tuple[dict[str, Any], list[str]]:
    notes = Notes()
    request = request_for("table", table, resume, pool=PoolConfig(kind="serial"), out=out, **asked)
    return conduct(own_networks.BENCHMARK, request, view=notes.view, pool_maker=make_pool)[1], notes.notes


def kendall(results: dict[str, Any], proxy: str) -> float:
    value: float = next(row["kendall"]["value"] for row in results["rows"] if row["proxy"] == proxy)
    return value


def test_files_are_ranked_by_what_they_cost_within_families_too(folder: Path, tmp_path: Path) -> None:
    names = files(folder)
    kinds = ["a"] * 5 + ["b"] * 3
    table = write(folder, model=names, what=kinds, top1_val=[50.0 + place for place in range(8)])
    results, notes = bench(table, tmp_path / "run", proxies="params,flops", family="what", resamples=10)
    assert kendall(results, "params") == pytest.approx(1)
    assert (results["dataset"], results["sample"], results["settings"]["extra"]["asked"]["family"]) == ("table", 8, "what")
    assert [(one["family"], one["networks"]) for one in results["families"]] == [("a", 5)]
    assert any("not ranked among themselves, fewer than 5: b" in note for note in notes)
    scores = pandas.read_csv(tmp_path / "run" / "scores.csv")
    assert list(scores.columns) == ["network", "index", "accuracy", "family", "params", "flops"]
    for row in scores.itertuples():
        whole = cost(canonicalise(load(folder / row.network)))
        assert (row.params, row.flops) == (whole.params, whole.macs)
    page = write_page(tmp_path / "run").read_text(encoding="utf-8")
    assert "Trained networks" in page
    assert "Families are those that the table names" in page
    again, _ = bench(table, resume=tmp_path / "run", proxies="aleph")
    assert kendall(again, "params") == kendall(results, "params")
    assert {row["proxy"] for row in again["rows"]} == {"params", "flops", "aleph"}


def test_a_file_that_changed_is_another_network(folder: Path, tmp_path: Path) -> None:
    table = write(folder, file=["resnet1.json", "vit1.json"], acc=[50.0, 60.0])
    bench(table, tmp_path / "run", proxies="params", resamples=10)
    (folder / "vit1.json").write_bytes((folder / "vit2.json").read_bytes())
    with pytest.raises(InputError, match="expected the networks that began"):
        bench(table, resume=tmp_path / "run")


def test_a_row_names_a_file_a_preset_a_point_of_a_space_or_a_model_of_timm(folder: Path) -> None:
    names = ["more/coatnet1.json", "coatnet", "resnet50", CELL, "timm:vit_tiny_patch16_384.augreg_in21k_ft_in1k"]
    found = read_table(write(folder, network=names, accuracy=[50.0] * 5, size=[32, 64, 96, 32, 384]), Columns(classes=10))
    assert list(found.networks["network"]) == names
    assert list(found.networks["source"]) == ["architecture"] * 4 + ["timm"]
    assert list(found.networks["height"]) == [32, 64, 96, 32, 384]
    assert found.classes == 10
    assert list(read_table(folder / "table.csv", Columns(classes=10, size=48)).networks["width"]) == [48] * 5
    only = read_table(write(folder, network=["resnet50", names[-1]], accuracy=[50.0, 60.0]), Columns())
    assert (only.classes, list(only.networks["width"])) == (1000, [224, 384])
    mixed = read_table(write(folder, network=["resnet", "vit1.json"], accuracy=[50.0, 60.0]), Columns())
    assert mixed.classes == 10  # as the one file says


def test_trainings_of_one_network_are_one_network(folder: Path) -> None:
    table = write(folder, file=["vit1.json", "vit2.json", "vit1.json"], seed=[1, 1, 2], accuracy=[50.0, 60.0, 51.0])
    found = read_table(table, Columns())
    assert list(found.networks["network"]) == ["vit1.json", "vit2.json"]
    assert list(found.networks["accuracy"]) == [50.5, 60]
    assert found.warnings == (f"{table}: 1 networks were trained more than once, up to 1 apart: means count",)


TWO = {"file": ["vit1.json", "vit2.json"], "accuracy": [50.0, 60.0]}


@pytest.mark.parametrize(
    ("columns", "asked", "said"),
    [
        ({"name": ["a"], "accuracy": [50]}, {}, "expected a column architecture or network or model or file; got name, accuracy"),
        ({"file": ["a"], "score": [50]}, {}, "expected a column accuracy; got only file, score: --accuracy names the column"),
        ({"file": ["a"], "acc1": [50], "acc5": [50]}, {}, "got several: acc1, acc5: --accuracy names the column"),
        (TWO, {"accuracy": "top1"}, "--accuracy: expected one of its columns, file, accuracy; got 'top1'"),
        (TWO, {"family": "kind"}, "--family: expected one of its columns, file, accuracy; got 'kind'"),
        (TWO | {"accuracy": [50, "?"]}, {}, "accuracy: expected an accuracy in percent, 0 to 100; 1 of 2 rows .* line 3: '?'"),
        (TWO | {"accuracy": [0.5, 0.6]}, {}, "expected accuracies in percent; got fractions, the largest is 0.6"),
        (TWO | {"file": ["vit1.json", None]}, {}, "file: expected a network in each row; 1 of 2 rows .* line 3"),
        (TWO | {"file": ["vit1.json"] * 2}, {}, "file: expected each network once, or a column seed; .* line 3: 'vit1.json'"),
        (TWO | {"file": ["vit1.json"] * 2, "seed": [1, 1]}, {}, "expected each network once with a seed; .* line 3"),
        (TWO | {"file": ["vit1.json", "no.json"]}, {}, r"file: expected a network \(.*no such file\); 1 of 2 rows .* line 3"),
        (TWO | {"file": ["vit1.json", CELL[:-4]]}, {}, r"expected a network \(.*\); 1 of 2 rows .* line 3: 'nasbench201:"),
        (
            TWO | {"file": ["vit1.json", "timm:no.model"]},
            {},
            r"\(expected a pretrained model of timm .*'no.model'\); .* line 3",
        ),
        (TWO | {"size": [32, 0]}, {}, "size: expected a whole number, 1 to 65536; 1 of 2 rows .* line 3: '0'"),
        (TWO | {"classes": [10, 100]}, {}, r"one number of classes; got 10 \(vit1.json\) and 100 \(vit2.json\): --classes N"),
        (TWO | {"family": ["a", None]}, {}, "family: expected a family in each row; 1 of 2 rows .* line 3"),
        (
            {"file": ["vit1.json"] * 2, "accuracy": [50, 51], "seed": [1, 2], "family": ["a", "b"]},
            {},
            "family: expected one value for all trainings of a network; 1 of 2 rows .* line 3: 'b'",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder: Path, columns: dict[str, Any], asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        read_table(write(folder, **columns), Columns(**asked))
    assert "\n" not in str(raised.value)


def test_the_command_takes_the_file_by_its_place(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    code, out, err = run(capsys, "table", "--help")
    assert (code, "uninas bench table [OPTIONS] FILE" in out) == (0, True)
    code, out, err = run(capsys, "table", str(folder), "--pool", "serial")
    assert (code, err.count("\n")) == (2, 1)
    assert "expected a table of trained networks (CSV); got a folder" in err
    table = write(folder, file=["vit1.json"], accuracy=[50.0])
    code, out, err = run(capsys, "table", str(table), "--pool", "serial")
    assert code == 2
    assert "expected at least 2 networks to rank; got 1" in err
    table = write(folder, **TWO)
    words = ["--proxies", "params", "--pool", "serial", "--resamples", "10", "--out", str(tmp_path / "run"), "--json"]
    code, out, err = run(capsys, "table", str(table), *words)
    assert code == 0, err
    assert json.loads(out)["benchmark"] == "table"


def test_the_pilot_of_a_ground_truth_is_read_as_it_is(data_folder: Path) -> None:
    found = read_table(data_folder / "pilot_truth" / "accuracy.csv", Columns(family="what"))
    assert (len(found.networks), found.accuracy, found.classes) == (14, "top1_val_5000", 10)
    assert set(found.networks["height"]) == {64}
    assert found.networks.set_index("network")["accuracy"]["pick2.json"] == pytest.approx(54.2)


def test_real_images_for_proxies_that_have_a_loss(folder: Path, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images") / "train"
    names = files(folder)[:4]
    table = write(folder, architecture=names, accuracy=[50, 51, 52, 53])
    bench(table, tmp_path / "noise", proxies="params,snip", batch=4)
    bench(table, tmp_path / "real", proxies="params,snip", batch=4, images=images)
    noise, real = (pandas.read_csv(tmp_path / name / "scores.csv") for name in ("noise", "real"))
    assert list(noise["params"]) == list(real["params"])
    assert (noise["snip"] != real["snip"]).all()
    again, _ = bench(table, resume=tmp_path / "real", proxies="naswot")
    assert {row["proxy"] for row in again["rows"]} >= {"params", "snip", "naswot"}


def test_real_images_need_one_size(folder: Path, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images") / "train"
    table = write(folder, architecture=files(folder)[:2], accuracy=[50, 51], size=[32, 64])
    with pytest.raises(InputError, match="--images: expected networks that read one size; got 32x32 and 64x64: --size N"):
        bench(table, tmp_path / "run", proxies="snip", images=images)
