"""Searches that lose a process of their own Ray, or their guardian, at a random moment: does each end with its journal whole?

    python -m benchmarks.hostile.killed --runs 20 --seed 0 --write

A run is `uninas search configs/search/demo.yaml`, shortened. At a moment drawn from its whole length, from the start of the
process on, one process is killed with SIGKILL. The search must end by itself: as if nothing had happened, or in order, to be
resumed. Then its journal must be that of a search that nobody disturbed, and no process and no folder may be left.
"""

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.progress import track

from benchmarks.page import command, publish, setting, table
from search.journal import journal

ROOT = Path(__file__).parents[2]
SHORT = (
    "evaluations=48",
    "algorithm_options.population=8",
    "baseline=false",
    "finalists.count=1",
    "finalists.seeds=1",
    "pool.workers=2",
)

PARTS = ("raylet", "gcs_server", "ray::DashboardAgent", "ray::RuntimeEnvAgent", "guardian")
"""What is killed: the names of Ray's processes, and the process that cleans up after a search."""

FINE = ("went on", "resumed")
"""How a search may end that loses one: as if nothing had happened, or in order and then resumed."""

BEFORE = "ended before"

LONGEST = 600
"""Seconds after which a search counts as one that waits for ever."""

VOLATILE = ("seconds", "worker", "attempts", "peak_bytes")  # what one seed does not decide


@dataclass(frozen=True)
class Disturbed:
    """What became of a search.

    Attributes:
        part: what was killed; `moment`: seconds after the start; `lines`: of its journal at that moment.
        outcome: "went on", "resumed", or what went wrong.
        said: the last line of a search that ended.
    """

    part: str
    moment: float
    lines: int
    outcome: str
    said: str = ""


def search(folder: Path) -> subprocess.Popen[str]:
    """Begin a search, or resume one whose folder has a journal."""
    demo = ["configs/search/demo.yaml", *SHORT, "--out", str(folder)]
    how = ["--resume", str(folder)] if (folder / "journal.jsonl").exists() else demo
    words = [sys.executable, "-m", "uninas.cli", "search", *how]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")


def stable(folder: Path) -> list[dict[str, Any]]:
    """The journal without what one seed does not decide."""
    found = journal.read(folder / "journal.jsonl")
    return [{key: value for key, value in record.items() if key not in VOLATILE} for record in found]


def family(process: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """Name -> process, of all that a search has started, its guardian included."""
    found = {}
    for one in psutil.Process(process.pid).children(recursive=True):
        try:
            words = one.cmdline()
            found["guardian" if any(word.endswith("guardian.py") for word in words) else one.name()] = one
            found[words[0]] = one
        except (psutil.NoSuchProcess, IndexError):
            continue
    return found


def disturb(part: str, moment: float, folder: Path, expected: list[dict[str, Any]]) -> Disturbed:
    """Run a search, kill that part of it after so many seconds, or as soon as there is one, and see how it ends."""
    process = search(folder)
    begun, seen, target, rays = time.monotonic(), set[psutil.Process](), None, None
    while process.poll() is None and target is None:
        time.sleep(0.05)
        if time.monotonic() - begun >= moment:
            found = family(process)
            seen |= set(found.values())
            target = found.get(part)
            if (guardian := found.get("guardian")) is not None:
                rays = Path(guardian.cmdline()[2])
    moment = time.monotonic() - begun
    lines = journal_lines(folder)
    if target is not None:
        target.kill()
    try:
        out, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        return Disturbed(part, moment, lines, f"no end after {LONGEST} s", last(process.communicate()[0]))
    outcome = BEFORE if target is None else "went on"
    if process.returncode:
        again = search(folder)
        more, _ = again.communicate(timeout=LONGEST)
        outcome = "could not be resumed" if again.returncode else "resumed"
        out = more if again.returncode else out
    if "Traceback" in out:
        outcome = "a traceback"
    elif rays is not None and rays.exists():
        outcome = "a folder was left"
    elif any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in seen):
        outcome = "a process was left"
    elif outcome in (*FINE, BEFORE) and stable(folder) != expected:
        outcome = "another journal"
    return Disturbed(part, moment, lines, outcome, "" if outcome in ("went on", BEFORE) else last(out))


def journal_lines(folder: Path) -> int:
    """How many lines the journal of a run has."""
    path = folder / "journal.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def last(text: str) -> str:
    """The last line."""
    return (text.strip().splitlines() or [""])[-1]


def page(found: list[Disturbed]) -> str:
    """The results for people."""
    fine = sum(one.outcome in FINE for one in found)
    rows = [
        [one.part, f"{one.moment:.1f}", f"{one.lines}", f"{one.outcome}{': ' + one.said if one.said else ''}"] for one in found
    ]
    return "\n".join(
        [
            "# Searches that lose a process",
            "",
            f"{len(found)} searches, each of which lost one process of its own Ray, or its guardian, to a SIGKILL at a random",
            f"moment. {fine} of them ended with the journal of a search that nobody disturbed, and left no process and no",
            "folder.",
            "",
            table(["killed", "after seconds", "lines of its journal", "the search"], rows),
            "",
            setting(),
            "",
            f"    {command()}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="how many searches (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed, and when (default 0)")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/killed.md")
    options = parser.parse_args()
    stream = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as made:
        begun = time.monotonic()
        undisturbed = search(Path(made, "undisturbed"))
        out, _ = undisturbed.communicate()
        length = time.monotonic() - begun
        if undisturbed.returncode:
            sys.exit(out)
        expected = stable(Path(made, "undisturbed"))
        found: list[Disturbed] = []
        for number in track(range(options.runs), "searches", console=Console(stderr=True)):
            tries = (
                disturb(PARTS[number % len(PARTS)], stream.uniform(0, length), Path(made, f"{number}-{again}"), expected)
                for again in itertools.count()
            )
            found.append(next(one for one in tries if one.outcome != BEFORE))  # there was nothing left to kill at that moment
    publish(page(found), "killed", write=options.write)
    if any(one.outcome not in FINE for one in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
