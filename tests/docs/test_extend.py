"""The examples of docs/extend run as they are, and every guide has one."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from proxies.testing import check_proxy
from search.algorithms.asktell import Reported
from search.ranking.objective import find
from search.testing import check_algorithm, check_choice_space
from tests.amounts import slow
from uninas.errors import InputError
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
    sys.modules[described.name] = module  # dataclasses look their module up
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


@pytest.mark.parametrize("sign", [1, slow(-1)])
def test_the_benchmark_ranks_networks_whose_accuracy_is_their_size(sign: int, tmp_path: Path) -> None:
    """With accuracies that grow with the parameters, Kendall's tau of `params` is one; backwards it is minus one."""
    names = ["8:8:8:8:8", "8:8:8:8:16", "8:8:8:16:16", "8:8:16:16:16", "8:16:16:16:16"]  # each has one layer more that is wide
    rows = [f"{name},{50 + sign * place}" for place, name in enumerate(names)]
    (tmp_path / "table.csv").write_text("\n".join(["architecture,test_acc", *rows]) + "\n", encoding="utf-8")
    words = ["--data", "table.csv", "--proxies", "params", "--batch", "2", "--pool", "serial", "--json"]
    found = json.loads(run(str(EXAMPLES / "benchmark.py"), *words, "--out", "run", folder=tmp_path))
    assert [row["kendall"]["value"] for row in found["rows"]] == [pytest.approx(sign)]
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"journal.jsonl", "scores.csv", "report.html"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            "8:8:8:8:9,50",
            "architecture: expected five widths such as 8:8:16:40:40; 1 of 1 rows are otherwise, the first is line 2",
        ),
        ("8:8:8:8:8,50\n8:8:8:8:8,51", "architecture: expected each network once"),
        ("8:8:8:8:8,none", "test_acc: expected an accuracy in percent, 0 to 100"),
    ],
)
def test_a_table_that_is_wrong_is_rejected_with_its_line(rows: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(f"architecture,test_acc\n{rows}\n", encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(said)):
        example("benchmark").BENCHMARK.read_accuracies(tmp_path / "table.csv", "cifar10")


def searched(name: str, folder: Path, *overrides: str) -> dict[str, Any]:
    """Search with an example's configuration; gives run.json, and leaves the run in `folder`."""
    words = ["evaluations=6", "finalists.count=2", "finalists.seeds=1", *overrides]
    run("-m", "uninas.cli", "search", str(EXAMPLES / f"{name}.yaml"), *words, "--out", str(folder))
    found: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert found["status"] == "complete"
    return found


@pytest.mark.parametrize(
    ("name", "kept"),
    [slow("proxy", "proxies.py"), slow("space", "space.py"), slow("algorithm", "algorithm.py"), slow("objective", None)],
)
def test_a_search_runs_by_the_configuration_and_keeps_the_file(name: str, kept: str | None, tmp_path: Path) -> None:
    found = searched(name, tmp_path / "run")
    if kept is not None:
        assert (tmp_path / "run" / kept).read_bytes() == (EXAMPLES / f"{name}.py").read_bytes()
    shown = {"proxy": "logit_spread x naswot", "objective": "2 naswot + 1 jacov + 0.5 flops"}
    assert found["objective"] == shown.get(name, "naswot")
    assert found["algorithm"] == {"algorithm": "restarts", "proxy": "random"}.get(name, "evolution")


def test_the_algorithm_starts_again_when_it_does_not_improve() -> None:
    """Fed with results of one value: after the first, every eighth ends a leg, and a sample follows."""
    made = example("algorithm").Restarts(Recorded(), find("flops"), patience=3)
    for index in range(9):
        made.propose(index, random.Random(index), ())
        made.learn(Reported(index, Recorded.candidate, ((1.0, 0.0),)))
    assert "".join(made.space.asked) == "smmmsmmms"


class Recorded:
    """A space of one candidate that notes how it was asked: (s)ample or (m)utate."""

    candidate: Any = object()

    def __init__(self) -> None:
        self.asked: list[str] = []

    def sample(self, rng: random.Random) -> Any:
        self.asked.append("s")
        return self.candidate

    def mutate(self, parent: Any, rng: random.Random) -> Any:
        assert parent is self.candidate
        self.asked.append("m")
        return self.candidate


def test_the_algorithm_keeps_the_contract() -> None:
    check_algorithm(example("algorithm").Restarts, options={"patience": 3})


def test_the_space_keeps_the_contract() -> None:
    check_choice_space(example("space").SPACE)


def test_the_proxy_keeps_the_contract() -> None:
    assert all(value > 0 for value in check_proxy(example("proxy").logit_spread).values())


def test_the_space_is_a_space_that_the_command_describes() -> None:
    space = own.load(EXAMPLES / "space.py")
    assert space.name == "small_resnets"
    out = run("-m", "uninas.cli", "space", str(EXAMPLES / "space.py"))
    assert "small_resnets" in out
