"""Help is at hand: asking a command for it imports none of the packages that take seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.search.conftest import ROOT
from uninas.cli import COMMANDS

HEAVY = ("torch", "ray", "timm", "torchvision", "mmengine", "omegaconf", "pandas", "sklearn", "scipy", "matplotlib")

CODE = f"""
import sys
import click
from uninas.cli import program

def helped(command, words):
    program.main([*words, "--help"], prog_name="uninas", standalone_mode=False)
    for name, inner in getattr(command, "commands", {{}}).items():
        helped(inner, [*words, name])

helped(program.get_command(click.Context(program), sys.argv[1]), sys.argv[1:])
print("imported:", *[name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_nothing_heavy(name: str) -> None:
    made = subprocess.run([sys.executable, "-c", CODE, name], cwd=ROOT, capture_output=True, text=True)
    assert made.stderr == ""
    assert f"Usage: uninas {name}" in made.stdout
    assert made.stdout.splitlines()[-1] == "imported:"
