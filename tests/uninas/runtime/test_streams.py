"""Terminals and pipes that are not UTF-8, that are closed, or that nobody reads: no traceback, and the right exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.search.conftest import ROOT
from uninas import diff, load, to_text
from uninas.cli import COMMANDS
from uninas.runtime.terminal import console, say, unread

PROGRAM = [sys.executable, "-m", "uninas.cli"]
SMALL = "nats_bench_size:8:8:8:8:8"
OTHER = "nats_bench_size:8:8:8:8:16"


def call(*words: str, encoding: str | None = None, **options: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} | ({"PYTHONIOENCODING": encoding} if encoding else {})
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run([*PROGRAM, *words], env=environment, check=False, **given)


def without(*numbers: int) -> Callable[[], None]:
    """What closes some of a new process's standard streams."""

    def close() -> None:
        for number in numbers:
            os.close(number)

    return close


@pytest.mark.parametrize(
    ("words", "status", "latin", "plain"),
    [
        (("show", SMALL), 0, "32×32 px · 10 classes", "32x32 px . 10 classes"),
        (("show", SMALL, "--stage", "1", "--expand"), 0, "conv 3×3  < 1", "conv 3x3  < 1"),
        (("diff", SMALL, OTHER), 1, "B - A", "B - A"),
        (("diff", SMALL, SMALL), 0, "equal: one digest", "equal: one digest"),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, tuple) else None,
)
def test_what_an_encoding_lacks_is_written_in_plain_characters(
    words: tuple[str, ...], status: int, latin: str, plain: str
) -> None:
    for encoding, expected in (("iso-8859-1", latin), ("ascii", plain)):
        made = call(*words, encoding=encoding)
        assert (made.returncode, made.stderr) == (status, b"")
        assert expected in made.stdout.decode(encoding)
        assert "\\u" not in made.stdout.decode(encoding)


def test_how_a_stream_replaces_is_kept_where_it_was_asked_for() -> None:
    assert call("show", SMALL, encoding="ascii:replace").stdout.startswith(b"Architecture ")
    assert b"32?32 px" in call("show", SMALL, encoding="ascii:replace").stdout


def test_every_help_can_be_written_in_ascii() -> None:
    """Click would write UTF-8 to a stream that calls itself ASCII."""
    code = (
        "import sys\n"
        "from uninas.cli import main\n"
        "for words in [[], *([name] for name in sys.argv[1:])]:\n"
        "    try:\n"
        "        main([*words, '--help'])\n"
        "    except SystemExit as left:\n"
        "        assert left.code == 0\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    made = subprocess.run([sys.executable, "-c", code, *COMMANDS], env=environment, capture_output=True, check=False)
    assert (made.returncode, made.stderr) == (0, b"")
    helps = made.stdout.decode("ascii")
    assert helps.count("Usage: uninas") == 1 + len(COMMANDS)
    assert "MBConv x4 dw5" in helps
    assert "\\u" not in helps


def test_a_name_of_a_file_in_no_encoding_is_spelled_out(tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/net\xff.json")
    Path(name).write_text(to_text(load(SMALL)), encoding="utf-8")
    for encoding in ("utf-8", "iso-8859-1", "ascii"):
        made = call("cost", name, encoding=encoding)
        assert (made.returncode, made.stderr) == (0, b"")
        assert rb"net\udcff.json at 32x32" in made.stdout
    assert call("diff", SMALL, name, "--out", str(tmp_path / "diff.svg")).returncode == 0
    assert "net\N{REPLACEMENT CHARACTER}.json" in (tmp_path / "diff.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("numbers", [(1,), (2,), (0, 1, 2)], ids=str)
def test_closed_streams_lead_nowhere(numbers: tuple[int, ...], tmp_path: Path) -> None:
    """And a file that is opened gets none of their numbers: what is printed would be written to it."""
    out = tmp_path / "picture.svg"
    made = call("show", SMALL, "--out", str(out), preexec_fn=without(*numbers))
    assert (made.returncode, made.stderr) == (0, b"")
    assert made.stdout == (b"" if 1 in numbers else f"wrote {out}\n".encode())
    assert out.read_text(encoding="utf-8").endswith("</svg>\n")
    assert call("cost", "no_such_network", preexec_fn=without(*numbers)).returncode == 2
    assert call("diff", SMALL, OTHER, preexec_fn=without(*numbers)).returncode == 1
    assert call("cost", "--help", preexec_fn=without(*numbers)).returncode == 0


def test_processes_that_a_command_starts_have_streams_too() -> None:
    code = (
        "import os, subprocess, sys\n"
        "from uninas.runtime.terminal import ready\n"
        "ready()\n"
        "sys.exit(subprocess.run([sys.executable, '-c', 'import os; [os.fstat(number) for number in range(3)]']).returncode)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, preexec_fn=without(0, 1, 2)).returncode == 0


@pytest.fixture
def nobody() -> Any:
    """A pipe that nobody reads, its end to write to."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def test_networks_differ_also_where_nobody_reads_how(nobody: int) -> None:
    made = call("diff", SMALL, OTHER, stdout=nobody)
    assert (made.returncode, made.stderr) == (1, b"")
    assert call("diff", SMALL, OTHER, "--json", stdout=nobody).returncode == 1
    assert call("diff", SMALL, SMALL, stdout=nobody).returncode == 0


def test_work_goes_on_where_nobody_reads_of_its_progress(nobody: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("cost", "no_such_network", stderr=nobody).returncode == 2
    with os.fdopen(os.dup(nobody), "w", buffering=1, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        progress = console(stderr=True)
        for _ in range(2):
            progress.print("a line")  # rich would leave the process
            say("a line", err=True)


def test_a_broken_pipe_to_anything_but_a_reader_is_a_fault() -> None:
    with pytest.raises(BrokenPipeError), unread():
        raise BrokenPipeError


def test_a_fault_is_no_difference(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 1 would say that the networks differ."""

    def fault(*_: object) -> None:
        raise RuntimeError("of ours")

    monkeypatch.setattr(diff, "diff", fault)
    status, out, err = run("diff", SMALL, OTHER)
    assert (status, out) == (2, "")
    assert err.rstrip().endswith("RuntimeError: of ours")


def test_json_is_the_same_in_every_encoding() -> None:
    made = [json.loads(call("diff", SMALL, OTHER, "--json", encoding=encoding).stdout) for encoding in ("utf-8", "ascii")]
    assert made[0] == made[1]
