"""A configuration is resolved once, and goes no further than it has to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from click.testing import CliRunner

import search.report
from search.commands.search import command
from search.config import loading
from search.config.plan import SearchPlan
from search.config.schema import SearchConfig
from search.workers.job import Timing
from tests.search.conftest import ROOT

OURS = tuple(str(ROOT / package) for package in ("search", "uninas", "proxies"))
TINY = """
space: {preset: coatnet, widths: [16, 32, 32, 32], depths: [1, 1, 1, 1], random_edits: 4}
objective: vkdnw_agg
evaluations: 2
size: 32
classes: 10
batch: 2
pool: {kind: serial}
finalists: {count: 1, seeds: 1}
"""


def held(frame: FrameType) -> bool:
    """Whether a function that is being called has a configuration: as an argument, in a closure, or within its object."""
    given = list(frame.f_locals.values())
    own = getattr(frame.f_locals.get("self"), "__dict__", {})
    return any(isinstance(value, SearchConfig) for value in [*given, *own.values()])


@contextmanager
def traced() -> Iterator[set[CodeType]]:
    """Collect our functions that get a configuration."""
    found: set[CodeType] = set()

    def look(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code not in found and frame.f_code.co_filename.startswith(OURS) and held(frame):
            found.add(frame.f_code)

    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(None)


def test_from_the_command_to_the_scorer_a_configuration_passes_through_few_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search.report, "write_report", lambda folder: folder / "report.html")
    with traced() as found:
        done = CliRunner().invoke(command, ["tiny.yaml"], catch_exceptions=False)
    assert done.exit_code == 0
    names = sorted(code.co_qualname for code in found)
    assert {"begin", "SearchPlan.resolve", "check"} <= set(names)
    assert len(names) <= 15, names


def test_a_plan_has_what_the_configuration_leaves_out() -> None:
    plan = SearchPlan.resolve(loading.parse(TINY, ["algorithm=evolution"]))
    assert (plan.window, plan.random_window, plan.objectives, plan.costs, plan.timing) == (128, 128, (), (), None)
    assert plan.objective.name == "vkdnw_agg"
    given = SearchPlan.resolve(loading.parse(TINY, ["algorithm=pareto", "window=3", "budget.latency_ms=7", "latency.runs=5"]))
    assert (given.window, given.random_window) == (3, 3)
    assert given.objectives == ("score", "params", "macs")
    assert given.costs == ("params", "macs", "latency_ms")
    assert given.timing == Timing(batch=1, runs=5, warmup=3, precision="float32", limit_ms=7)
    job = given.search_job("d", "text")
    assert (job.digest, job.architecture, job.seed, job.size, job.timing) == ("d", "text", 0, (32, 32), given.timing)
    assert job.options == {"vkdnw": {"smoothing": 0.05}}
    again = given.rescore_job("d", "text", 99)
    assert (again.seed, again.timing) == (99, None)


def test_a_plan_keeps_the_configuration_as_text() -> None:
    config = loading.parse(TINY)
    assert loading.parse(SearchPlan.resolve(config).text) == config
    assert SearchPlan.resolve(config).digest == loading.digest(config)
