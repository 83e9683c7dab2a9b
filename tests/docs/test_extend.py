"""The examples of docs/extend run as they are, and every guide has one."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from uninas.spaces import own

ROOT = Path(__file__).parents[2]
EXTEND = ROOT / "docs/extend"
EXAMPLES = EXTEND / "examples"
GUIDES = sorted(path for path in EXTEND.glob("*.md") if path.stem != "README")


def run(*command: str, folder: Path = ROOT) -> str:
    """Run a command with this checkout's packages; gives what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-P", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def example(name: str) -> ModuleType:
    """Import an example, without what it does as a program."""
    described = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


def test_every_guide_has_an_example_and_every_example_a_guide() -> None:
    linked = {name for path in GUIDES for name in re.findall(r"\]\(examples/([\w.]+)\)", path.read_text(encoding="utf-8"))}
    assert linked <= {path.name for path in EXAMPLES.iterdir()}
    assert {Path(name).stem for name in linked} == {path.stem for path in GUIDES}
    assert {path.stem for path in EXAMPLES.glob("*.*")} == {path.stem for path in GUIDES}
    listed = re.findall(r"\]\((\w+)\.md\)", (EXTEND / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == [path.stem for path in GUIDES]


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_every_guide_answers_the_same_questions(path: Path) -> None:
    titles = re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert titles == ["What to write, and where it goes", "How to test it", "How it is kept"]


def test_the_operation_is_counted_built_and_computed_as_written_by_hand() -> None:
    """In a process of its own, since it adds to the tables."""
    out = run(str(EXAMPLES / "operation.py"))
    assert re.fullmatch(r"response_norm: 1,142 params, 33,616 MACs, digest [0-9a-f]{12}\n", out)


def test_the_head_trains_all_of_the_backbone() -> None:
    pytest.importorskip("mmseg", reason="OpenMMLab is not installed: make test builds it")
    out = run("-W", "ignore", str(EXAMPLES / "openmmlab_head.py"))
    assert re.search(r"^SumHead: loss \d+\.\d\d, \d+ parameters trained, prediction \(64, 64\)$", out, re.MULTILINE)


@pytest.mark.filterwarnings("ignore")  # of statistics over five networks
def test_the_benchmark_ranks_networks_whose_accuracy_is_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With accuracies that grow with the parameters, Kendall's tau of `params` is one; backwards it is minus one."""
    benchmark = example("benchmark")
    monkeypatch.delitem(benchmark.NETWORKS, benchmark.SOURCE, raising=False)
    names = ["00000000", "10000000", "11000000", "11100000", "11110000"]  # each has one layer more
    for sign in (1, -1):
        table = tmp_path / f"table{sign}.csv"
        rows = [f"{name},{50 + sign * place}" for place, name in enumerate(names)]
        table.write_text("\n".join(["architecture,mean_acc", *rows]) + "\n", encoding="utf-8")
        found = benchmark.bench(table, tmp_path / f"run{sign}", proxies=("params",), sample=None, batch=2)
        (row,) = found["rows"]
        assert row["kendall"]["value"] == pytest.approx(sign)
        assert {path.name for path in (tmp_path / f"run{sign}").iterdir()} >= {"journal.jsonl", "scores.csv", "results.json"}


def searched(name: str, folder: Path, *overrides: str) -> dict[str, Any]:
    """Search with an example's configuration; gives run.json, and leaves the run in `folder`."""
    words = ["evaluations=6", "finalists.count=2", "finalists.seeds=1", *overrides]
    run("-m", "uninas.cli", "search", str(EXAMPLES / f"{name}.yaml"), *words, "--out", str(folder))
    found: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert found["status"] == "complete"
    return found


def test_the_space_is_searched_and_kept_with_the_run(tmp_path: Path) -> None:
    searched("space", tmp_path / "run")
    assert (tmp_path / "run/space.py").read_bytes() == (EXAMPLES / "space.py").read_bytes()


def test_the_space_is_a_space_that_the_command_describes() -> None:
    space = own.load(EXAMPLES / "space.py")
    assert space.name == "small_resnets"
    out = run("-m", "uninas.cli", "space", str(EXAMPLES / "space.py"))
    assert "small_resnets" in out
