"""What a shell offers, asked as bash does it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.search.conftest import ROOT
from uninas.cli import COMMANDS
from uninas.networks.presets import PRESETS


def offered(words: str, cwd: Path = ROOT) -> list[str]:
    """Give what is offered for the last word, files aside."""
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1), "_UNINAS_COMPLETE": "bash_complete"}
    environment = {**os.environ, **asked, "PYTHONPATH": str(ROOT)}
    made = subprocess.run(
        [sys.executable, "-m", "uninas.cli"], cwd=cwd, env=environment, capture_output=True, text=True, check=True
    )
    assert made.stderr == ""
    return [line.removeprefix("plain,") for line in made.stdout.splitlines() if line.startswith("plain,")]


def test_commands_are_offered() -> None:
    assert offered("uninas ") == list(COMMANDS)
    assert offered("uninas se") == ["search"]
    assert "choose" in offered("uninas bench ")


@pytest.mark.parametrize("words", ["cost", "show", "score", "diff", "compare", "train", "evaluate", "export", "diff resnet"])
def test_presets_are_offered_where_a_network_is_named(words: str) -> None:
    assert set(PRESETS) <= set(offered(f"uninas {words} "))
    assert offered(f"uninas {words} convn") == ["convnext_tiny"]


@pytest.mark.parametrize(("command", "name"), [("search", "demo"), ("sweep", "demo"), ("truth", "cifar10")])
def test_configurations_are_offered_as_the_first_word(command: str, name: str) -> None:
    assert offered(f"uninas {command} {name[:3]}") == [name]
    assert offered(f"uninas {command} {name} ") == []


def test_run_folders_are_offered_where_one_is_named(tmp_path: Path) -> None:
    for run in ("runs/demo-0", "runs/sweep-demo/000-0", "runs/pictures"):
        (tmp_path / run).mkdir(parents=True)
    (tmp_path / "runs/demo-0/journal.jsonl").touch()
    (tmp_path / "runs/sweep-demo/sweep.json").touch()
    (tmp_path / "runs/sweep-demo/000-0/config.yaml").touch()
    found = ["runs/demo-0", "runs/sweep-demo", "runs/sweep-demo/000-0"]
    for words in ("watch", "report", "refine", "search --resume", "sweep --resume", "truth --resume", "train --resume"):
        assert offered(f"uninas {words} ru", tmp_path) == found, words
    assert offered("uninas show runs/de", tmp_path) == ["runs/demo-0"]


def test_files_are_left_to_the_shell() -> None:
    environment = {**os.environ, "COMP_WORDS": "uninas cost xyz", "COMP_CWORD": "2", "_UNINAS_COMPLETE": "bash_complete"}
    made = subprocess.run(
        [sys.executable, "-m", "uninas.cli"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert made.stdout == "file,xyz\n"


def test_completing_imports_nothing_heavy() -> None:
    code = (
        "import os, sys; os.environ.update(COMP_WORDS='uninas score c', COMP_CWORD='2', _UNINAS_COMPLETE='bash_complete')\n"
        "from uninas.cli import program\n"
        "try: program.main([], prog_name='uninas')\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'ray', 'numpy', 'omegaconf', 'rich'} & set(sys.modules)))"
    )
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout.splitlines()[-1] == "[]"
    assert "plain,coatnet" in made.stdout
