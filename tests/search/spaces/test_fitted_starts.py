"""Several starts: presets fitted to the budget, beside a start or in its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import uninas
from search.config import loading
from search.engine.lineage import start_of
from search.spaces.from_config import from_config
from tests.search.conftest import records
from tests.search.report.report_runs import make_run
from uninas.errors import InputError
from uninas.networks.fitted import fitted

BUDGET = {"params": 900_000, "macs": 40_000_000, "layers": 60}
BOUNDS = "budget={params: 900000, macs: 40000000, layers: 60}"


def test_they_are_the_presets_that_fill_the_budget() -> None:
    config = loading.parse("{space: {fitted: [resnet, efficientnet]}, size: 32, classes: 10}", [BOUNDS])
    expected = [uninas.canonicalise(fitted(name, BUDGET, classes=10, input_size=(32, 32))) for name in ("resnet", "efficientnet")]
    assert [start.digest for start in from_config(config).starts()] == [one.digest for one in expected]


def test_they_come_behind_a_start_of_ones_own() -> None:
    config = loading.parse("{space: {preset: resnet, widths: [16, 32, 64, 64], fitted: [vit]}, size: 32, classes: 10}", [BOUNDS])
    first, second = from_config(config).starts()
    own = uninas.preset("resnet", widths=[16, 32, 64, 64], classes=10, input_size=(32, 32))
    assert first.digest == uninas.canonicalise(own).digest
    assert second.digest == uninas.canonicalise(fitted("vit", BUDGET, classes=10, input_size=(32, 32))).digest


@pytest.mark.parametrize("algorithm", ["evolution", "model", "walk"])
def test_a_search_begins_with_all_of_them(algorithm: str, tmp_path: Path) -> None:
    space = "space={preset: coatnet, widths: [32, 64, 96, 96], depths: [1, 1, 2, 1], fitted: [efficientnet, resnet]}"
    options = "algorithm_options={}" if algorithm != "evolution" else "algorithm_options={population: 12}"
    make_run(tmp_path / "run", space, f"algorithm={algorithm}", options, "evaluations=16", "baseline=false")
    found = [line for line in records(tmp_path / "run") if line["kind"] == "candidate"]
    assert [line["parent"] for line in found[:3]] == [None, None, None]
    assert all(line["parent"] is not None for line in found[3:])
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    starts = {line["digest"] for line in found[:3]}
    best = uninas.load(tmp_path / "run" / "best.json")
    start, led = start_of(tmp_path / "run", best)
    assert start.digest in starts
    assert led.start == start.digest
    assert {row["name"] for row in run["controls"]} >= {"start", "efficientnet", "resnet"}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("{fitted: [resnt]}", "space.fitted: expected one of .*; got 'resnt', nearest is 'resnet'"),
        (
            "{fitted: [resnet], widths: [16, 32, 64, 64]}",
            "widths, depths and stem beside a preset only; got them beside",
        ),
        ("{fitted: [resnet], name: mobilenetv2}", "expected no fitted beside name"),
        ("{fitted: []}", "expected one of preset, architecture, name and file, or fitted; got none"),
    ],
)
def test_what_does_not_go_together_is_an_error(space: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        loading.parse(f"{{space: {space}, size: 32, classes: 10}}", [BOUNDS])


def test_without_a_budget_there_is_nothing_to_fill() -> None:
    with pytest.raises(InputError, match=r"space\.fitted: expected budget\.params and budget\.macs beside it"):
        loading.parse("{space: {fitted: [resnet]}, size: 32}", ["budget.params=900000"])
