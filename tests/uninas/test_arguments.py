"""The program on whatever a user may type: arguments, exit status, and what it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.uninas.examples import around, graph_of
from tests.uninas.test_bad_input import deep, printed, refused
from tests.uninas.test_text import document
from uninas import PRESETS, cost, load, parse, preset, to_text

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "size", ["", "0", "0x5", "5x0", "-3", "224x", "x224", "2x2x2", "1e3", "999999", "99999", "٣", "224 x 224"]
)
def test_sizes_that_are_none(size: str, run: Any) -> None:
    assert "expected" in refused(run("cost", "resnet", "--size", size))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["cost"], "ARCH"),
        (["cost", "resnet", "--classes", "-1"], "-1"),
        (["cost", "resnet", "--classes", "many"], "many"),
        (["cost", "resnet", "--colour"], "--colour"),
        (["cost", "resnet", "vit"], "vit"),
        (["costs", "resnet"], "costs"),
        (["--colour"], "--colour"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(arguments: list[str], named: str, run: Any) -> None:
    assert named in refused(run(*arguments))


def test_json_is_one_object_and_nothing_else(run: Any, tmp_path: Path) -> None:
    for name in PRESETS:
        status, out, err = run("cost", name, "--json")
        assert (status, err) == (0, "")
        assert out.count("\n") == 1
        assert json.loads(out) == printed(cost(preset(name)))
    path = tmp_path / "net.json"
    path.write_text(to_text(around(graph_of("%1 = softmax %0", "return %1"), size=(4, 4))), encoding="utf-8")
    status, out, _ = run("cost", str(path), "--size", "33x65", "--classes", "0", "--json")
    assert status == 0
    assert json.loads(out) == printed(cost(load(path), (33, 65), 0))
    status, out, _ = run("cost", str(path), "--json")
    assert json.loads(out)["attention_tokens"] == 0


def test_cost_for_people_prints_the_figures_and_warnings(run: Any, tmp_path: Path) -> None:
    status, out, err = run("cost", "coatnet")
    assert status == 0
    assert err == ""
    assert "26,871,124" in out
    assert "4,213,122,048" in out
    assert "8.43 G" in out, "2 x MACs, as papers print it"
    path = tmp_path / "net.json"
    path.write_text(to_text(around(graph_of("%1 = softmax %0", "return %1"), size=(4, 4))), encoding="utf-8")
    status, out, err = run("cost", str(path))
    assert status == 0
    assert err == "warning: stage 1, block 1, sub-block 1, %1 softmax: softmax over one entry is constant\n"


def test_without_arguments_the_program_explains_itself(run: Any) -> None:
    status, out, err = run("--help")
    assert status == 0
    assert "cost" in out
    assert "search" in out
    assert err == ""


def program(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "uninas.cli", *arguments], env=environment, capture_output=True, text=True, **options
    )


def test_the_real_program_exits_as_promised(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text('{"format": ' + deep(200_000), encoding="utf-8")
    made = program("cost", str(tmp_path / "net.json"))
    refused((made.returncode, made.stdout, made.stderr))
    made = program("cost", "resnet", "--json")
    assert made.returncode == 0
    assert json.loads(made.stdout)["params"] == 24_817_416


_IMPORTED = """
import sys
from uninas.cli import main
try:
    main({arguments})
except SystemExit as left:
    assert not left.code, left.code
heavy = [name for name in ("torch", "ray", "numpy", "omegaconf", "timm", "matplotlib") if name in sys.modules]
assert not heavy, heavy
"""
LIGHT = [["--help"], ["cost", "--help"], ["cost", "coatnet"], ["show", "coatnet"], ["show", "--help"]]


@pytest.mark.parametrize("arguments", LIGHT, ids=str)
def test_light_commands_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    source = _IMPORTED.format(arguments=arguments)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = subprocess.run([sys.executable, "-c", source], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert made.stdout


def test_the_space_itself_imports_nothing_heavy() -> None:
    source = (
        "import sys, uninas\n"
        "edit = uninas.mutate(uninas.preset('coatnet'), __import__('random').Random(0))\n"
        "heavy = [n for n in ('torch', 'numpy', 'ray', 'click') if n in sys.modules]\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def test_parse_accepts_what_it_printed() -> None:
    """The fixtures above are damaged copies of texts that are fine before the damage."""
    assert parse(json.dumps(document())).classes == 3
