"""Faults put into the code, one at a time: does the quick suite catch each, does the whole one?

    python -m benchmarks.mutants --journal mutants.jsonl --write

A fault (benchmarks/mutants.toml) makes one place of the code wrong, in a copy of the checkout. The tests of that place are run as
`make test` runs them (without those marked slow), then, where none failed, all of them. `--before FOLDER` puts the same
faults into a checkout of version 0.1.0, whose tests have no tiers. It takes an hour: what is judged stands in `--journal`, a line
for each fault, and is not judged again; remove a fault's line when its tests have changed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page import command, publish, setting, table

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".venv", ".git", "runs", ".*_cache", "__pycache__")
FAULTS = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        what: the fault in words.
        file: where it is put; `before` where that file was in version 0.1.0.
        right, wrong: text that stands there once, and what it becomes; `right_before` and `wrong_before` where it was another
            text in version 0.1.0.
        tests: folders or files with the tests of that place; `tests_before` in version 0.1.0.
    """

    what: str
    file: str
    before: str
    right: str
    wrong: str
    tests: str
    tests_before: str
    right_before: str = ""
    wrong_before: str = ""


def caught(tree: Path, tests: str, *, quick: bool) -> bool:
    """Run tests in `tree`; whether one failed. Raises RuntimeError where they could not be run."""
    chosen = ["-m", "not slow"] if quick else []
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *chosen, *tests.split()]
    done = subprocess.run(command, cwd=tree, env=environment(tree), capture_output=True, encoding="utf-8", check=False)
    if done.returncode not in (0, 1, 5):
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 1


def environment(tree: Path) -> dict[str, str]:
    """The environment in which the packages of `tree` are imported."""
    return {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}


def judged(mutant: Mutant, tree: Path, *, before: bool) -> tuple[str, float]:
    """Put a fault into `tree`, run its tests, take it out again: what caught it, and after how many seconds."""
    path = tree / (mutant.before if before else mutant.file)
    right, wrong = mutant.right, mutant.wrong
    if before and mutant.right_before:
        right, wrong = mutant.right_before, mutant.wrong_before
    text = path.read_text(encoding="utf-8")
    if text.count(right) != 1:
        raise RuntimeError(f"{path}: expected '{right}' once, got it {text.count(right)} times")
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    clock = time.monotonic()
    try:
        if before:
            found = "the suite" if caught(tree, mutant.tests_before, quick=False) else "nothing"
        elif caught(tree, mutant.tests, quick=True):
            found = "make test"
        else:
            found = "make test-all" if caught(tree, mutant.tests, quick=False) else "nothing"
    finally:
        path.write_text(text, encoding="utf-8")
    return found, time.monotonic() - clock


def _read(journal: Path | None) -> dict[str, dict[str, tuple[str, float]]]:
    """What is judged already: by fault and checkout, what caught it and after how many seconds."""
    if journal is None or not journal.exists():
        return {}
    entries = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return {entry.pop("what"): {name: (by, spent) for name, (by, spent) in entry.items()} for entry in entries}


def main(words: Sequence[str] | None = None) -> None:
    """Judge every mutant; exit 1 where one got through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="a checkout of version 0.1.0 that gets the same faults")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="JSON lines of what is judged already; it grows")
    parser.add_argument("--only", metavar="WORDS", default="", help="only the faults whose description has these words")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/mutants.md")
    options = parser.parse_args(words)
    mutants = [Mutant(**entry) for entry in tomllib.loads(FAULTS.read_text(encoding="utf-8"))["mutant"]]
    chosen = [mutant for mutant in mutants if options.only in mutant.what]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        trees = {}
        for name, source in (("before", options.before), ("now", ROOT)):
            if source is not None:
                trees[name] = Path(folder) / name
                shutil.copytree(source, trees[name], ignore=LEFT_OUT)
        known = _read(options.journal)
        for mutant in chosen:
            found = known.get(mutant.what) or {n: judged(mutant, tree, before=n == "before") for n, tree in trees.items()}
            rows.append([mutant.what, f"`{mutant.file}`", *(found[name][0] for name in trees)])
            print(mutant.what, *(f"{name}: {by} ({spent:.0f} s)" for name, (by, spent) in found.items()), sep="; ", flush=True)
            if options.journal is not None and mutant.what not in known:
                with options.journal.open("a", encoding="utf-8") as journal:
                    journal.write(json.dumps({"what": mutant.what, **found}) + "\n")
    missed = [row[0] for row in rows if row[-1] == "nothing"]
    print(f"{len(rows) - len(missed)} of {len(rows)} caught")
    counts = [f"{len(rows) - len(missed)} of {len(rows)} are caught"]
    if options.before:
        counts += [f"{sum(row[2] != 'nothing' for row in rows)} by the tests of version 0.1.0"]
    titles = ["fault", "file", *(["version 0.1.0: caught by"] if options.before else []), "caught by"]
    text = [
        "# Faults put into the code",
        "",
        f"`{command()}`. {setting()}",
        "",
        "Each fault makes one place of the code wrong, in a copy of the checkout; the tests of that place are then run as",
        "`make test` runs them and, where none fails, as `make test-all` does. " + ", ".join(counts) + ".",
        "",
        table(titles, rows),
    ]
    publish("\n".join(text), "mutants", write=options.write)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
