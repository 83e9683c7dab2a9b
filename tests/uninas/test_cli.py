"""The command line around its commands: help, readers that leave, disks that are full, folders that are no run yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from search.commands.diff import _place
from tests.search.conftest import ROOT
from uninas import Edit, InputError, load, op
from uninas.commands.space import command as space
from uninas.drawing.labels import op_label

PROGRAM = [sys.executable, "-m", "uninas.cli"]


def test_a_group_by_itself_prints_its_help_in_lines() -> None:
    for group in ([], ["bench"]):
        made = subprocess.run([*PROGRAM, *group], cwd=ROOT, capture_output=True, text=True)
        assert made.returncode == 2
        assert made.stdout.startswith("Usage: uninas")
        assert made.stdout.count("\n") > 10
        assert made.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [["cost", "coatnet"], ["show", "mobilenetv3_large_100", "--expand"], ["diff", "coatnet", "coatnet"], ["--help"]],
    ids=str,
)
def test_a_reader_that_has_left_is_no_failure(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    made = subprocess.run([*PROGRAM, *arguments], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert made.returncode == 0
    assert made.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["cost", "coatnet"], ["show", "coatnet"]], ids=str)
def test_a_full_disk_is_told_in_a_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        made = subprocess.run([*PROGRAM, *arguments], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert made.returncode == 2
    assert made.stderr == "uninas: cannot write: No space left on device\n"


def test_a_run_that_has_found_nothing_yet_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("")
    with pytest.raises(InputError, match=r"expected a run's folder with a best\.json \(of a search that has ended\)"):
        load(tmp_path)


def test_options_without_a_space_are_refused() -> None:
    result = CliRunner().invoke(space, ["--size", "7", "--seed", "4"])
    assert isinstance(result.exception, InputError)
    assert "expected a SPACE with --size, --seed" in str(result.exception)


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (Edit("width", 0, part="stem"), "stem"),
        (Edit("entry", 2, part="entry"), "stage 3, transition"),
        (Edit("expansion", part="head"), "head"),
        (Edit("width", 1), "stage 2"),
        (Edit("add_stage", 1), "stage 2"),
        (Edit("deepen", 1, 2), "stage 2, block 3"),
        (Edit("insert", 1, 2, 1), "stage 2, block 3, S2"),
    ],
)
def test_a_journals_edit_is_told_where_it_acts(edit: Edit, place: str) -> None:
    assert _place(edit) == place


def test_attention_that_differs_looks_different() -> None:
    plain = {"head_dim": 32}
    labels = [
        op_label(op("matmul_qk", **values))
        for values in (plain, {**plain, "window": 7}, {**plain, "window": 7, "shift": 3}, {**plain, "over": "channels"})
    ]
    assert labels == ["q · kᵀ", "q · kᵀ, window 7", "q · kᵀ, window 7, shift 3", "q · kᵀ, over channels"]
    assert op_label(op("relative_position_bias")) != op_label(op("relative_position_bias", shared=True))


@pytest.mark.parametrize("module", ["proxies.testing", "search.testing"])
def test_conformance_suites_are_refused_where_assertions_are_left_out(module: str) -> None:
    """They would pass whatever they are given."""
    made = subprocess.run([sys.executable, "-O", "-c", f"import {module}"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 1
    assert made.stderr.splitlines()[-1].startswith(f"ImportError: {module}: expected Python without -O")


@pytest.mark.parametrize("words", [["cost", "coatnet"], ["show", "coatnet", "--expand"], ["diff", "resnet", "vit"]], ids=str)
def test_nothing_depends_on_assertions(words: list[str]) -> None:
    made = [subprocess.run([sys.executable, *flag, *PROGRAM[1:], *words], cwd=ROOT, capture_output=True) for flag in ([], ["-O"])]
    assert (made[0].returncode, made[0].stdout, made[0].stderr) == (made[1].returncode, made[1].stdout, b"")
