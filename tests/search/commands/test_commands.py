"""The commands themselves, on real networks: exit codes, one line on stderr, JSON on stdout, what is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import uninas
from search.config import loading
from search.engine import driver
from tests.search.conftest import ROOT, Notes, records

TINY = """
space: {preset: coatnet, widths: [16, 32, 32, 32], depths: [1, 1, 1, 1], random_edits: 4}
algorithm: walk
objective: vkdnw_agg
evaluations: 3
size: 32
classes: 10
batch: 2
budget: {params: 100000}
pool: {kind: serial}
finalists: {count: 1, seeds: 2, controls: []}
baseline: true
"""


def uninas_command(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "uninas.cli", *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def refused(*words: str, cwd: Path = ROOT) -> str:
    done = uninas_command(*words, cwd=cwd)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_help_imports_neither_torch_nor_ray() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from search.commands import score, search;"
        "[CliRunner().invoke(module.command, ['--help'], catch_exceptions=False) for module in (score, search)];"
        "print(sorted({'torch', 'ray', 'omegaconf', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_search_resumed_and_extended(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    done = uninas_command("search", "tiny.yaml", "seed=4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "tiny-4"
    assert str(Path("runs") / "tiny-4" / "best.json") in done.stdout
    best = uninas.load(run / "best.json")
    summary = json.loads((run / "run.json").read_text())
    assert (summary["status"], summary["name"]) == ("complete", "tiny")
    assert uninas.cost(best, (32, 32)).as_dict() == summary["best"]["cost"]
    assert summary["best"]["cost"]["params"] <= 100_000
    assert (run / "report.html").is_file()
    assert "expected a new run folder; it exists" in refused("search", "tiny.yaml", "seed=4", cwd=tmp_path)

    done = uninas_command("search", "--resume", str(run), "evaluations=5")
    assert done.returncode == 0, done.stderr
    indices = [line["index"] for line in records(run) if line["kind"] == "candidate" and line["phase"] == "search"]
    assert indices == list(range(5))


def test_a_start_from_a_file_is_kept_with_the_run(tmp_path: Path) -> None:
    start = uninas.preset("coatnet", widths=[16, 32, 32, 32], depths=[1, 1, 1, 1], classes=10, input_size=(32, 32))
    (tmp_path / "mine.json").write_text(uninas.to_text(start))
    overrides = [f"space.architecture={tmp_path / 'mine.json'}", "space.preset=null", "space.widths=null", "space.depths=null"]
    settings = loading.parse(TINY, [*overrides, "objective=flops", "baseline=false"])
    before = driver.begin(settings, tmp_path / "run", view=Notes().view)
    (tmp_path / "mine.json").unlink()
    after = driver.resume(tmp_path / "run", {"evaluations": 4}, view=Notes().view)
    assert (before["counts"]["search"]["done"], after["counts"]["search"]["done"]) == (3, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("search",), "expected a configuration file"),
        (("search", "none.yaml"), "none.yaml: expected a search configuration (YAML); no such file"),
        (("search", "--resume", "none"), "none: expected a run folder with a config.yaml"),
        (("search", "--resume", "none", "seed=1"), "expected at most evaluations=N"),
        (("search", "demo", "--accept-changes"), "--accept-changes: expected only with --resume"),
        (("sweep", "demo", "--accept-changes"), "--accept-changes: expected only with --resume"),
        (("search", "--resume", "none", "--out", "x"), "--out: expected no other folder with --resume"),
        (("search", "configs/search/demo.yaml", "budget.params=1000"), "> 1,000 (by "),
        (("search", "configs/search/demo.yaml", "budgt.params=1000"), "nearest known key is 'budget'"),
        (("score", "coatnet", "--proxies", "vkdwn"), "nearest is 'vkdnw'"),
        (("score", "coatnet", "--proxies", ","), "expected at least one name"),
        (("score", "coatnet", "--proxies", "flops", "--device", "gpu"), "--device: expected a device that torch can use"),
        (("score", "coatnet", "--proxies", "flops", "--size", "0"), "expected a size"),
        (("score", "nothing.json", "--proxies", "flops"), "nothing.json"),
    ],
)
def test_what_the_user_got_wrong_is_one_line(words: tuple[str, ...], message: str) -> None:
    assert message in refused(*words)


def test_score_prints_one_json_object() -> None:
    done = uninas_command(
        "score", "coatnet", "--proxies", "flops,aleph", "--size", "64x32", "--batch", "2", "--classes", "5", "--json"
    )
    assert done.returncode == 0, done.stderr
    cost = uninas.cost(uninas.canonicalise(uninas.preset("coatnet")), (64, 32), 5)
    expected = {"flops": float(cost.macs), "aleph": float(cost.layers)}
    assert json.loads(done.stdout) == {
        "digest": uninas.canonicalise(uninas.preset("coatnet")).digest,
        "seed": 0,
        "scores": expected,
    }
