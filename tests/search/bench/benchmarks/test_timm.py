"""The bench of real networks: tables and families, and three tiny models of timm scored for real."""

import math
import shutil
from pathlib import Path
from typing import Any

import pandas
import pytest

from search.bench.benchmarks import timm_families, timm_models
from search.bench.scoring import timm_networks
from search.bench.scoring.run import make_pool
from search.config.schema import PoolConfig
from search.monitor.progress import View
from search.ranking import correlation
from tests.search.bench.fakes import fake_pool
from tests.search.conftest import Notes
from uninas.errors import InputError

SERIAL = PoolConfig(kind="serial")
REGNETS = [f"regnet{kind}_{size}.pycls_in1k" for kind in "xy" for size in ("002", "004", "006", "008", "016", "032")]
RESNETS = [f"resnet{depth}.tv_in1k" for depth in (18, 34, 50, 101, 152)]


def write(path: Path, models: list[str], **changes: list[Any]) -> Path:
    columns = {"model": models, "img_size": [224] * len(models), "top1": [70.0 + place for place in range(len(models))]}
    pandas.DataFrame({**columns, **changes}).to_csv(path, index=False)
    return path


def cost(name: str, *, classes: int, input_shape: tuple[int, int, int]) -> int:
    """A stand-in for counting."""
    return 10 * len(name) + (1000 if "032" in name else 0)


def bench(table: Path, out: Path, notes: Notes | None = None, **options: Any) -> dict[str, Any]:
    options = {"pool": SERIAL, "pool_maker": fake_pool, "proxies": "vkdnw_agg", "resamples": 20, "count": cost, **options}
    return timm_models.bench(table, out=out, view=(notes or Notes()).view, **options)[1]


def test_a_folder_that_a_crash_left_empty_is_begun_again(tmp_path: Path) -> None:
    run, table = tmp_path / "run", write(tmp_path / "table.csv", REGNETS)
    run.mkdir()
    (run / "networks.csv").write_text("network")
    (run / ".settings.json.part").write_text("{")
    bench(table, run)
    assert (run / "results.json").is_file()
    with pytest.raises(InputError, match="expected a new run folder; it exists: continue with --resume"):
        bench(table, run, count=lambda *_, **__: pytest.fail("counted"))


def test_families_are_modules_and_recipes() -> None:
    assert timm_families.family_of("regnety_002.pycls_in1k", "regnet") == "regnet.pycls_in1k"
    assert timm_families.family_of("tf_efficientnet_b0.in1k", "efficientnet") == "tf_efficientnet.in1k"
    assert timm_families.family_of("dla34.in1k", "dla") == "dla.in1k"
    known = timm_networks.describe("vit_tiny_patch16_384.augreg_in21k_ft_in1k")
    assert known == timm_networks.Description("vision_transformer", "augreg_in21k_ft_in1k", (3, 384, 384), True)
    assert timm_networks.describe("resnet18.no_such_recipe") is None
    assert timm_networks.describe("no_such_model.in1k") is None


def test_rows_at_other_sizes_and_unknown_models_are_counted(tmp_path: Path) -> None:
    models = ["regnetx_002.pycls_in1k", "resnet50.a1_in1k", "resnet50.a1_in1k", "nonsense.in1k", "resnet18.tv_in1k"]
    sizes = [224, 288, 224, 224, 256]
    notes: list[str] = []
    found = timm_families.read_results(write(tmp_path / "t.csv", models, img_size=sizes), notes.append)
    assert list(found["network"]) == ["regnetx_002.pycls_in1k", "resnet50.a1_in1k"]
    assert list(found["accuracy"]) == [70, 72]
    assert any("1 of 4 models are unknown to this timm, the first is nonsense.in1k" in note for note in notes)
    assert any("1 models have no row at the size they were trained at, the first is resnet18.tv_in1k" in note for note in notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top1": [70.0, None]}, "top1: expected an accuracy in percent, 0 to 100; 1 of 2 rows .* line 3: 'nan'"),
        ({"top1": [170.0, 70.0]}, "top1: .* line 2: '170.0'"),
        ({"img_size": ["large", 224]}, "img_size: expected pixels, .* line 2: 'large'"),
        ({"model": [RESNETS[0], RESNETS[0]]}, "each model once at a size; 1 of 2 rows repeat one, the first is line 3"),
    ],
)
def test_bad_tables(tmp_path: Path, changes: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        timm_families.read_results(write(tmp_path / "t.csv", RESNETS[:2], **changes), lambda text: None)


def test_small_families_and_large_networks_are_left_out(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", [*REGNETS, *RESNETS])
    notes = Notes()
    results = bench(table, tmp_path / "run", notes, max_macs=500.0)
    assert [(family["family"], family["tag"], family["networks"]) for family in results["families"]] == [
        ("regnet", "pycls_in1k", 10)
    ]
    assert any("2 networks left out: more than 500 MACs" in note for note in notes.notes)
    with pytest.raises(InputError, match=r"match one of the families of 10 or more: regnet.pycls_in1k; got '\^resnet'"):
        bench(table, tmp_path / "other", families="^resnet")
    with pytest.raises(InputError, match="expected a regular expression"):
        bench(table, tmp_path / "other", families="(")
    with pytest.raises(InputError, match="a family with 10 members of at most 1 MACs"):
        bench(table, tmp_path / "other", max_macs=1)

    def broken(name: str, **rest: Any) -> int:
        if name.startswith("regnetx"):
            raise RuntimeError("no such thing")
        return 1

    with pytest.raises(InputError, match="there is none"):
        bench(table, tmp_path / "other", notes, count=broken)
    assert any("6 networks left out that cannot be built or counted: regnetx_002" in note for note in notes.notes)


def test_the_mean_over_families(tmp_path: Path) -> None:
    """Each family counts the same, and ranks are those within the family."""
    sizes = ("nano_12", "tiny_12", "tiny_24", "small_12", "small_24", "medium_24")
    xcits = [f"xcit_{size}_p{patch}_224.fb_in1k" for size in sizes for patch in (8, 16)]
    table = write(tmp_path / "t.csv", [*REGNETS, *xcits])
    results = bench(table, tmp_path / "run")
    assert [family["networks"] for family in results["families"]] == [12, 12]
    assert results["families"][0]["family"] == "regnet"
    for row in results["rows"]:
        values = [
            next(one for one in family["rows"] if one["proxy"] == row["proxy"])["kendall"]["value"]
            for family in results["families"]
        ]
        assert row["kendall"]["value"] == pytest.approx(sum(values) / 2)
        assert row["kendall"]["low"] <= row["kendall"]["value"] <= row["kendall"]["high"]
        assert row["families"] == 2
        assert row["networks"] == 24
    scores = pandas.read_csv(tmp_path / "run" / "scores.csv")
    for family in results["families"]:
        members = scores[scores["tag"] == family["tag"]]
        own = next(row for row in family["rows"] if row["proxy"] == "vkdnw_agg")
        assert own["kendall"]["value"] == pytest.approx(correlation.kendall(members["vkdnw_agg"], members["accuracy"]))
    run = tmp_path / "run"
    journal = (run / "journal.jsonl").read_text()
    part = tmp_path / "part"
    shutil.copytree(run, part)
    (part / "journal.jsonl").write_text("".join(journal.splitlines(keepends=True)[:7]))  # it goes on: six networks so far
    notes = Notes()
    options: dict[str, Any] = {"pool": SERIAL, "pool_maker": fake_pool}
    sofar = timm_models.bench(table, part, view=notes.view, as_is=True, **options)[1]
    assert [family["networks"] for family in sofar["families"]] == [6]
    assert any("0 networks of 12 have all scores; left out" in note for note in notes.notes)
    (part / "journal.jsonl").write_text("".join(journal.splitlines(keepends=True)[:2]))
    with pytest.raises(InputError, match="two networks that have all scores"):
        timm_models.bench(table, part, view=notes.view, as_is=True, **options)
    again = timm_models.bench(table, run, view=Notes().view, pool=SERIAL, pool_maker=fake_pool, proxies="naswot")[1]
    assert {row["proxy"] for row in again["rows"]} == {"naswot", *(row["proxy"] for row in results["rows"])}
    with pytest.raises(InputError, match="accuracies of the run's 24 networks; 12 lack"):
        timm_models.bench(write(tmp_path / "less.csv", REGNETS), run, view=Notes().view, pool=SERIAL, pool_maker=fake_pool)


def test_three_tiny_models_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built without weights, counted without memory, scored by real proxies at a small size."""
    monkeypatch.setattr(timm_families, "MIN_MEMBERS", 3)
    models = ["mobilenetv3_small_050.lamb_in1k", "mobilenetv3_small_075.lamb_in1k", "mobilenetv3_small_100.lamb_in1k"]
    made: list[View] = []

    def maker(config: PoolConfig, view: View, interrupts: Any) -> Any:
        made.append(view)
        return make_pool(config, view, interrupts)

    table = write(tmp_path / "t.csv", models)
    real: dict[str, Any] = {"count": timm_networks.macs, "pool_maker": maker}
    results = bench(table, tmp_path / "run", proxies="flops,params,jacov", size=32, batch=2, **real)
    assert len(made) == 1
    rows = {row["proxy"]: row for row in results["rows"]}
    assert rows["params"]["kendall"]["value"] == 1
    assert all(row["failed"] == {} for row in rows.values())
    scores = pandas.read_csv(tmp_path / "run" / "scores.csv").set_index("network")
    for name in models:
        counted = timm_networks.macs(name, classes=1000, input_shape=(3, 32, 32))
        assert scores.loc[name, "flops"] == counted
        assert math.isfinite(scores.loc[name, "jacov"])


def test_a_network_of_fixed_size_is_built_for_another() -> None:
    name = "vit_tiny_patch16_384.augreg_in21k_ft_in1k"
    assert timm_networks.macs(name, classes=10, input_shape=(3, 32, 32)) < timm_networks.macs(
        name, classes=10, input_shape=(3, 64, 64)
    )
    with pytest.raises(ValueError, match="expected a model of timm"):
        timm_networks.build("no_such_model", classes=10, input_shape=(3, 32, 32))
