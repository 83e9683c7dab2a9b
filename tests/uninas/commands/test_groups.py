"""A word that is no command is answered in one line with those there are and the nearest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.search.conftest import ROOT


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serch", "demo"], "expected a command of uninas (cost, show, "),
        (["serch", "demo"], "got 'serch', nearest is 'search'"),
        (["run"], "got 'run', nearest is 'runs'"),
        (["qqq"], "report, doctor, runs); got 'qqq'\n"),
        (["bench", "chose"], "expected a command of uninas bench (ablation, "),
        (["bench", "chose"], "got 'chose', nearest is 'choose'"),
        (["--sizes"], "No such option '--sizes'"),
    ],
    ids=str,
)
def test_an_unknown_command_is_answered_with_the_nearest(words: list[str], said: str) -> None:
    made = subprocess.run([sys.executable, "-m", "uninas.cli", *words], cwd=ROOT, capture_output=True, text=True)
    assert (made.returncode, made.stdout, made.stderr.count("\n")) == (2, "", 1)
    assert said in made.stderr
