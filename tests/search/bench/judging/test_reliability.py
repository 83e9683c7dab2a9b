"""`--reliability N`: some networks are scored under a second seed too, and every table says how far each score can be trusted."""

import io
import json
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from rich.console import Console
from scipy import stats

from search.bench.benchmarks import nasbench201, timm_models
from search.bench.judging import finish, judge
from search.bench.page import write_page
from search.bench.scoring.records import KINDS, NetworkScore
from search.bench.scoring.run import Scores
from search.bench.scoring.second_seed import first, second
from search.bench.scoring.settings import read_settings
from search.config.schema import PoolConfig
from search.journal import journal
from search.ranking.objective import OBJECTIVES
from search.ranking.reliability import NOISE
from tests.search.bench.benchmarks.test_timm import cost, write
from tests.search.bench.fakes import fake_pool, write_table
from tests.search.conftest import Notes
from uninas.errors import InputError

NETWORKS, TWICE = 60, 40


def bench(data: Path, resume: Path | None = None, **asked: Any) -> tuple[Path, dict[str, Any]]:
    given: dict[str, Any] = {"view": Notes().view, "pool": PoolConfig(kind="serial"), "pool_maker": fake_pool, **asked}
    return nasbench201.bench(data, resume, **given)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_table(tmp_path / "data", NETWORKS)
    return tmp_path / "data"


@pytest.fixture
def run(data: Path, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    asked = {"proxies": "flops,jacov,zico,synflow", "sample": 50, "resamples": 50, "out": tmp_path / "run"}
    return bench(data, reliability=TWICE, **asked)


def scored(run: Path) -> dict[str, int]:
    """How many networks have each label in the journal."""
    found: dict[str, int] = {}
    for record in journal.records(run / "journal.jsonl", KINDS):
        if isinstance(record, NetworkScore):
            for label in record.results:
                found[label] = found.get(label, 0) + 1
    return found


def row_of(results: dict[str, Any], name: str) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in results["rows"] if row["proxy"] == name)
    return row


def test_the_first_networks_are_scored_under_both_seeds_in_one_journal(run: tuple[Path, dict[str, Any]]) -> None:
    found = scored(run[0])
    assert found["jacov"] == 50
    assert found[second("jacov")] == TWICE
    assert first(second("jacov")) == "jacov"


def test_a_row_has_the_rho_of_its_two_seeds(run: tuple[Path, dict[str, Any]]) -> None:
    folder, results = run
    ours = pandas.read_csv(folder / finish.SCORES).set_index("index")
    again = pandas.read_csv(folder / finish.SECOND).set_index("index")
    assert len(again) == TWICE
    found = row_of(results, "jacov")[judge.RELIABILITY]
    expected = stats.spearmanr(ours.loc[again.index, "jacov"], again["jacov"]).statistic
    assert found["value"] == pytest.approx(expected)
    assert found["low"] < found["value"] < found["high"]
    assert found["networks"] == TWICE


def test_networks_that_a_proxy_failed_on_are_left_out(run: tuple[Path, dict[str, Any]]) -> None:
    ours = pandas.read_csv(run[0] / finish.SCORES).set_index("index")["zico"].dropna()
    again = pandas.read_csv(run[0] / finish.SECOND).set_index("index")["zico"].dropna()
    both = ours.index.intersection(again.index)
    assert 3 < len(both) < TWICE
    assert row_of(run[1], "zico")[judge.RELIABILITY]["value"] == pytest.approx(stats.spearmanr(ours[both], again[both]).statistic)


def test_a_resume_goes_on_to_more_networks_and_scores_nothing_twice(data: Path, run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    bench(data, folder, reliability=50)
    assert scored(folder) == {
        **dict.fromkeys(("flops", "jacov", "zico", "synflow"), 50),
        **{second(name): 50 for name in ("flops", "jacov", "zico", "synflow")},
    }
    assert read_settings(folder).reliability == 50
    with pytest.raises(InputError, match="--reliability: expected at least what the run has, 50 networks; got 40"):
        bench(data, folder, reliability=40)
    with pytest.raises(InputError, match="--reliability: expected at most the 50 networks that are scored; got 51"):
        bench(data, folder, reliability=51)


def test_a_cut_off_run_gives_the_same_as_a_whole_one(data: Path, run: tuple[Path, dict[str, Any]]) -> None:
    folder, results = run
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    assert bench(data, folder)[1]["rows"] == results["rows"]


def test_a_run_that_began_without_a_second_seed_gets_one(data: Path, tmp_path: Path, run: tuple[Path, dict[str, Any]]) -> None:
    asked = {"proxies": "flops,jacov,zico,synflow", "sample": 50, "resamples": 50, "out": tmp_path / "plain"}
    folder, results = bench(data, **asked)
    assert all(judge.RELIABILITY not in row for row in results["rows"])
    assert not (folder / finish.SECOND).exists()
    settings = json.loads((folder / "settings.json").read_text())
    del settings["reliability"]  # as a run of before has it
    (folder / "settings.json").write_text(json.dumps(settings))
    assert bench(data, folder, reliability=TWICE)[1]["rows"] == run[1]["rows"]


def test_a_score_that_is_computed_again_is_so_under_both_seeds(data: Path, run: tuple[Path, dict[str, Any]]) -> None:
    bench(data, run[0], again="jacov")
    assert scored(run[0])["jacov"] == 100
    assert scored(run[0])[second("jacov")] == 2 * TWICE


def test_an_aggregate_is_ranked_among_the_networks_of_each_seed() -> None:
    names = OBJECTIVES["uninas_agg"].proxies
    rng = numpy.random.default_rng(0)
    values = {
        index: {label(name): float(rng.normal() + index / 9) for name in names for label in (str, second)} for index in range(30)
    }
    table = pandas.DataFrame({"index": range(30), "network": "n", "accuracy": rng.uniform(50, 60, 30)})
    scores = Scores(values=values)
    rows = judge.judge(judge.score_table(table, scores, names), scores, names, top=None, resamples=20, seed=0)
    ranked = [
        OBJECTIVES["uninas_agg"].rank([{name: one[label(name)] for name in names} for one in values.values()])
        for label in (str, second)
    ]
    found = next(row for row in rows if row["proxy"] == "uninas_agg")[judge.RELIABILITY]
    assert found["value"] == pytest.approx(stats.spearmanr(*ranked).statistic)


def test_noise_is_said_in_the_terminal_and_on_the_page(run: tuple[Path, dict[str, Any]], capsys: Any) -> None:
    folder, results = run
    row = row_of(results, "jacov")
    row[judge.RELIABILITY] = {"value": 0.1, "low": -0.2, "high": NOISE - 0.01, "networks": TWICE}
    row_of(results, "flops")[judge.RELIABILITY] = {"value": 0.1, "low": -0.2, "high": NOISE + 0.01, "networks": TWICE}
    lines: list[str] = []

    def keep(shown: Any) -> None:
        text = io.StringIO()
        Console(width=200, file=text).print(shown)
        lines.append(text.getvalue())

    finish.show(results, keep)
    (of_noise,) = [line for line in "".join(lines).splitlines() if "NOISE │" in line]
    assert "jacov" in of_noise
    assert "the luck of the seed decides more than the network does" in "".join(lines)
    (folder / "results.json").write_text(json.dumps(results))
    page = write_page(folder).read_text(encoding="utf-8")
    assert page.count('<span class="noise">noise</span>') == 1
    assert '<th scope="col">reliability</th>' in page
    assert "a search cannot go by the score of one seed" in page


def test_families_are_compared_by_ranks_within_each(tmp_path: Path) -> None:
    sizes = ("nano_12", "tiny_12", "tiny_24", "small_12", "small_24", "medium_24")
    xcits = [f"xcit_{size}_p{patch}_224.fb_in1k" for size in sizes for patch in (8, 16)]
    regnets = [f"regnet{kind}_{size}.pycls_in1k" for kind in "xy" for size in ("002", "004", "006", "008", "016", "032")]
    table = write(tmp_path / "t.csv", [*regnets, *xcits])
    options: dict[str, Any] = {"pool": PoolConfig(kind="serial"), "pool_maker": fake_pool, "resamples": 20, "count": cost}
    _, results = timm_models.bench(
        table, out=tmp_path / "run", view=Notes().view, proxies="naswot,jacov", reliability=20, **options
    )
    found = row_of(results, "jacov")[judge.RELIABILITY]
    assert found["networks"] == 20
    of_families = [row_of(family, "jacov")[judge.RELIABILITY]["networks"] for family in results["families"]]
    assert sum(of_families) == 20
    assert min(of_families) > 0  # not the first family alone
