"""A bench by proxies of one's own: from a file that the run keeps, and its resume runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxies import registry
from search.bench.scoring import own_files
from search.workers import own_proxies
from tests.search.bench.fakes import write_table
from uninas import InputError, cli

MINE = """\
import proxies


@proxies.register("mine")
def mine(network, batch):
    return sum(weight.abs().sum() for weight in network.parameters())
"""


def bench(*arguments: str) -> dict[str, float]:
    options = ["--pool", "serial", "--resamples", "10", "--json", "--data", "data"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "nasbench201", *arguments, *options])
    assert not ended.value.code
    rows = json.loads(Path("run/results.json").read_text())["rows"]
    return {row["proxy"]: row["kendall"]["value"] for row in rows}


def test_a_bench_judges_a_proxy_of_ones_own_and_its_resume_needs_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(Path("data"))
    Path("mine.py").write_text(MINE)
    found = bench("--proxies", "mine,params", "--proxies-file", "mine.py", "--sample", "3", "--batch", "2", "--out", "run")
    assert {"mine", "params"} <= set(found)
    assert Path("run/proxies.py").read_text() == MINE
    Path("mine.py").unlink()
    registry._own.clear()
    own_proxies._loaded.clear()
    bench("--resume", "run", "--sample", "4")
    journal = [json.loads(line) for line in Path("run/journal.jsonl").read_text().splitlines()]
    assert [set(line["scores"]) for line in journal if line["kind"] == "score"] == [{"mine", "params"}] * 4


def test_a_choice_knows_the_proxies_of_its_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "proxies.py").write_text(MINE)
    with pytest.raises(SystemExit):
        cli.main(["bench", "choose", str(tmp_path), "--components", "mine"])
    assert "expected the folder of a bench run" in capsys.readouterr().err
    assert "mine" in registry.registered()


def test_a_run_keeps_one_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(MINE.replace('"mine"', f'"{name}"'))
        own_files.prepare(tmp_path / f"{name}.py")
    assert own_files.texts(["flops"]) == {}
    assert own_files.texts(["flops", "one"]) == {"proxies.py": MINE.replace('"mine"', '"one"')}
    with pytest.raises(InputError, match=r"expected those of one's own in one file; got .*one\.py and .*two\.py"):
        own_files.texts(["one", "two"])
