"""Every bench says what a score is worth at equal parameters and MACs, where both were scored."""

import math
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from search.bench.benchmarks import timm_models
from search.bench.judging import judge
from search.bench.page import write_page
from search.bench.scoring.run import Scores
from search.config.schema import PoolConfig
from search.ranking.budget import Held
from tests.search.bench.benchmarks.test_timm import cost, write
from tests.search.bench.fakes import fake_pool
from tests.search.conftest import Notes

DRAW = numpy.random.default_rng(0)
PARAMS, NOISE = DRAW.normal(size=(2, 40))
TABLE = pandas.DataFrame(
    {
        "index": range(40),
        "network": "n",
        "accuracy": 50 + PARAMS + NOISE,
        "params": PARAMS,
        "flops": PARAMS + DRAW.normal(size=40) / 9,
        "naswot": PARAMS + NOISE / 2,
    }
)


def judged(table: pandas.DataFrame, *labels: str) -> dict[str, Any]:
    scores = Scores(values={index: dict.fromkeys(labels, 1.0) for index in table["index"]})
    rows = judge.judge(table, scores, labels, top=None, resamples=20, seed=3)
    return {row["proxy"]: row.get(judge.AT_BUDGET, "none") for row in rows}


def test_rows_have_the_correlation_at_equal_budget() -> None:
    found = judged(TABLE, "params", "flops", "naswot")
    held = Held([TABLE["params"], TABLE["flops"]], TABLE["accuracy"], resamples=20, seed=3)
    assert found["naswot"] == held.estimate(TABLE["naswot"]).as_dict()
    assert found["naswot"]["low"] > 0.5
    assert found["params"] == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize("missing", ["not scored", "failed"])
def test_without_both_costs_there_is_none(missing: str) -> None:
    table = TABLE.drop(columns="flops") if missing == "not scored" else TABLE.assign(flops=[math.nan, *TABLE["flops"][1:]])
    assert set(judged(table, "params", "naswot").values()) == {"none"}


def test_families_are_averaged_and_the_page_shows_it(tmp_path: Path) -> None:
    sizes = ("nano_12", "tiny_12", "tiny_24", "small_12", "small_24", "medium_24")
    xcits = [f"xcit_{size}_p{patch}_224.fb_in1k" for size in sizes for patch in (8, 16)]
    regnets = [f"regnet{kind}_{size}.pycls_in1k" for kind in "xy" for size in ("002", "004", "006", "008", "016", "032")]
    table = write(tmp_path / "t.csv", [*regnets, *xcits])
    options: dict[str, Any] = {"pool": PoolConfig(kind="serial"), "pool_maker": fake_pool, "resamples": 20, "count": cost}
    run, results = timm_models.bench(
        table, out=tmp_path / "run", view=Notes().view, proxies="params,flops,naswot,jacov", **options
    )
    for proxy in ("naswot", "jacov"):
        row = next(row for row in results["rows"] if row["proxy"] == proxy)
        within = [next(one for one in family["rows"] if one["proxy"] == proxy) for family in results["families"]]
        assert row[judge.AT_BUDGET]["value"] == pytest.approx(numpy.mean([one[judge.AT_BUDGET]["value"] for one in within]))
        assert row[judge.AT_BUDGET]["low"] < row[judge.AT_BUDGET]["high"]
    page = write_page(run).read_text(encoding="utf-8")
    assert page.count('<th scope="col">ρ at equal budget</th>') == 3  # the means, and each family
    assert "undefined" in page
