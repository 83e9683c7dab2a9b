"""What a command leaves to others of a machine that they share: torch's threads wait asleep, not in a spin."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.search.conftest import ROOT

CODE = """
from uninas import cli
try:
    cli.main(["--version"])
finally:
    import torch
"""


def shown(**asked: str) -> str:
    """How often a thread looks before it sleeps, as OpenMP says when torch loads it in a command."""
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", **asked}
    made = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True)
    found = re.search(r"GOMP_SPINCOUNT = '(.*)'", made.stderr)
    if found is None:
        pytest.skip("torch was built with another OpenMP than GNU's")
    return found[1]


def test_threads_of_a_command_wait_asleep() -> None:
    """A thread that waits in a spin keeps a core from another process: 57 CPU-seconds for 7 beside a search on all cores."""
    assert shown() == "0"


def test_another_wait_policy_that_was_asked_for_is_kept() -> None:
    assert shown(GOMP_SPINCOUNT="1000") == "1000"
