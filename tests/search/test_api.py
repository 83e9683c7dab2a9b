"""Searches from Python: a run from a path and nothing else, a run folder as an object, names that an editor completes."""

from __future__ import annotations

import ast
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import search
import uninas
from search.monitor.progress import PlainView
from search.workers.interrupts import Interrupts
from tests.search.conftest import ROOT, records, run_toy
from tests.search.fakes import ToySpace
from uninas.errors import InputError

GOLDEN = ROOT / "tests" / "golden" / "written_by_0_1_0"
TINY = """
space: {preset: coatnet, widths: [16, 32, 32, 32], depths: [1, 1, 1, 1], random_edits: 4}
objective: flops
evaluations: 2
size: 32
classes: 10
batch: 2
finalists: {count: 1, seeds: 1, controls: []}
"""


def test_a_fresh_interpreter_needs_a_path_and_nothing_else(tmp_path: Path) -> None:
    """The configuration says nothing of a pool, so Ray is started on this machine, and ended."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    code = "import search; run = search.run('tiny.yaml'); print(run.folder, run.status, run.best.digest, len(run.table()))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    best = json.loads((tmp_path / "runs" / "tiny-0" / "run.json").read_text())["best"]
    assert done.stdout.split() == ["runs/tiny-0", "complete", best["digest"], "2"]
    assert "search 2/2" in done.stderr  # its progress


def test_a_run_is_made_with_overrides_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    lines: list[str] = []
    view = PlainView(lines.append)
    run = search.run(tmp_path / "tiny.yaml", ["pool.kind=serial", "evaluations=1"], out=tmp_path / "run", view=view)
    assert (run.folder, run.status, len(run.table())) == (tmp_path / "run", "complete", 1)
    assert any(line.startswith("search 1/1") for line in lines)
    assert len(run.resume(evaluations=3, view=view).table()) == 3
    assert search.open(tmp_path / "run") == run
    assert Interrupts  # both ran in the main thread, whose handlers are given back


def test_a_run_folder_of_before_is_an_object() -> None:
    run = search.open(GOLDEN / "pareto")
    best = json.loads((GOLDEN / "pareto" / "run.json").read_text())["best"]
    assert run.best.digest == best["digest"]
    assert run.best == run.finalists[0] == uninas.load(GOLDEN / "pareto")
    assert len(run.finalists) == len(run.info["finalists"])
    assert repr(run) == f"<search.Run {GOLDEN / 'pareto'}: complete, {run.info['counts']['search']['done']} candidates>"
    assert "latency_ms" not in search.open(GOLDEN / "walk").table()


def test_the_table_has_a_row_for_every_candidate(tmp_path: Path) -> None:
    run_toy(tmp_path / "run", "evaluations=30", "baseline=true", space=ToySpace(behaviour={"nan": ["0", "1"]}))
    table = search.open(tmp_path / "run").table()
    lines = [record for record in records(tmp_path / "run") if record["kind"] == "candidate"]
    assert len(table) == len(lines) == 60
    assert list(table.columns[:6]) == ["phase", "index", "digest", "parent", "status", "cause"]
    assert list(table.columns[-2:]) == ["seconds", "worker"]
    failed = table["status"] == "failed"
    assert failed.any()
    assert set(table.loc[failed, "cause"]) == {"not_finite"}
    assert table.loc[~failed, "cause"].isna().all()
    for line, row in zip(lines, table.to_dict("records"), strict=True):
        assert (row["digest"], row["params"], row["worker"]) == (line["digest"], line["cost"]["params"], line["worker"])
        score = line["scores"]["flops"]
        assert row["flops"] == score if isinstance(score, float) else math.isnan(row["flops"])


def test_what_is_no_run_or_not_finished_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a run folder \(made by uninas search\); it has no config\.yaml"):
        search.open(tmp_path)
    run_toy(tmp_path / "run", "evaluations=20")
    (tmp_path / "run" / "best.json").unlink()
    (tmp_path / "run" / "run.json").unlink()
    run = search.open(tmp_path / "run")
    assert (run.status, run.info) == ("starting", {})
    with pytest.raises(InputError, match=r"expected a complete search, which has a best\.json; this one is starting"):
        _ = run.best


def test_names_are_completed_typed_and_there() -> None:
    assert set(search.__all__) <= set(dir(search))
    assert all(getattr(search, name) is not None for name in search.__all__)
    with pytest.raises(AttributeError, match="module 'search' has no attribute 'nothing'"):
        _ = search.nothing
    tree = ast.parse((ROOT / "search" / "__init__.py").read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == search._HOMES
    assert (ROOT / "search" / "py.typed").is_file()
