"""Worked examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.search.conftest import ROOT

SOURCES = sorted(path for path in (ROOT / "uninas").rglob("*.py") if "    >>> " in path.read_text(encoding="utf-8"))
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES]
HARD = {"uninas.labelling", "uninas.canonical", "uninas.compile.plan", "uninas.edits.channels", "uninas.analysis.trainable"}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    tried = doctest.testmod(importlib.import_module(name))
    assert tried.attempted > 0
    assert tried.failed == 0


def test_every_hard_algorithm_has_an_example() -> None:
    assert set(MODULES) >= HARD
