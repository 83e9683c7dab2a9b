"""A further benchmark is one file and one entry: its command, its run, its resume and its page are there."""

import json
from pathlib import Path

import pandas
import pytest

from search.bench.benchmarks import conduct
from search.bench.benchmarks.request import request_for
from search.bench.benchmarks.table import BENCHMARKS
from tests.search.bench.benchmarks.toy_benchmark import ENTRY
from tests.search.bench.fakes import cells, fake_pool
from tests.search.bench.test_commands import run


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(BENCHMARKS, "toy", ENTRY)
    monkeypatch.setattr(conduct, "make_pool", fake_pool)
    names = cells(24)
    accuracies = [50.0 + 5 * name.count("nor_conv") for name in names]
    pandas.DataFrame({"index": range(24), "network": names, "accuracy": accuracies}).to_csv(tmp_path / "toy.csv", index=False)
    return tmp_path / "toy.csv"


def test_a_benchmark_of_ones_own_is_run_resumed_and_has_a_page(
    capsys: pytest.CaptureFixture[str], table: Path, tmp_path: Path
) -> None:
    folder, base = tmp_path / "run", ["toy", "--data", str(table), "--pool", "serial", "--json"]
    code, out, _ = run(capsys, *base, "--proxies", "flops", "--sample", "5", "--below", "79", "--out", str(folder))
    assert code == 0
    results = json.loads(out)
    assert (results["benchmark"], results["dataset"], results["sample"]) == ("toy", "toy", 5)
    assert results["settings"]["batch"] == 4
    assert results["settings"]["extra"] == {"below": 79.0, "reversed": False}
    code, out, err = run(capsys, *base, "--resume", str(folder), "--sample", "9", "--proxies", "zico")
    assert code == 0, err
    assert {row["proxy"] for row in json.loads(out)["rows"]} == {"flops", "zico"}
    assert "toy" in (folder / "report.html").read_text(encoding="utf-8")
    for option in (["--below", "3"], ["--reversed"], ["--batch", "8"]):
        code, _, err = run(capsys, *base, "--resume", str(folder), *option)
        assert code == 2
        assert f"{option[0]}: expected not to be given with --resume" in err


def test_its_options_are_those_of_its_entry(capsys: pytest.CaptureFixture[str], table: Path) -> None:
    code, out, _ = run(capsys, "toy", "--help")
    assert code == 0
    out = " ".join(out.split())
    for text in ("uninas bench toy --data TABLE", "--below", "default: 100.0", "--sample", "The worst first.", "default: 4"):
        assert text in out
    for absent in ("--images", "--dataset"):
        assert absent not in out
    assert "toy" in run(capsys, "--help")[1]
    with pytest.raises(TypeError, match="all_forms"):
        request_for("toy", table, pool=None, all_forms=True)
