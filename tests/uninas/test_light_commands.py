"""The program in a process of its own: its exit status, and what light commands do not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.uninas.test_bad_input import deep, refused
from tests.uninas.test_text import document
from uninas import parse

ROOT = Path(__file__).parents[2]


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
