"""What a long search costs after it has run: to replay it for a resume, to report it, to look at it once.

    python -m benchmarks.simulated.long_search --candidates 100000
    python -m benchmarks.simulated.long_search --candidates 100000 --before 0ba8c06 --write

The run is real but for its scores, which are drawn from each network's digest. Each command runs in a process of its own; with
`--before` the program of that commit runs beside this one's, on the same run, which it has made: newer programs read older runs.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.page import FOLDER, prose, publish, setting, table
from search.config import loading
from search.config.schema import PoolConfig
from search.engine import driver
from search.monitor.progress import View, view_for
from search.workers.interrupts import Interrupts
from search.workers.job import Job, Outcome
from search.workers.pool import Done

ROOT = FOLDER.parents[1]

CONFIG = """
space: {preset: coatnet, widths: [32, 64, 96, 96], depths: [1, 1, 2, 1], random_edits: 6}
algorithm: evolution
algorithm_options: {population: 128}
objective: vkdnw_agg
window: 64
size: 32
classes: 10
batch: 4
budget: {params: 900000, macs: 40000000, layers: 60}
finalists: {count: 3, seeds: 3, controls: [start]}
pool: {kind: serial}
"""

COMMANDS = {
    "replay, as a resume does": ("search", "--resume", "RUN"),
    "report": ("report", "RUN", "--out", "PAGE"),
    "watch --once": ("watch", "RUN", "--once"),
}


class Drawn:
    """A pool that knows every score at once: it draws it from digest and seed."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Job]] = []

    def start(self) -> dict[str, str]:
        """There is no device."""
        return {"torch": "none", "device": "none", "precision": "float32"}

    def free(self) -> int:
        """One at a time."""
        return 1 - len(self._waiting)

    def workers(self) -> int:
        """One."""
        return 1

    def submit(self, ticket: int, job: Any) -> None:
        """Take a job."""
        self._waiting.append((ticket, job))

    def poll(self, seconds: float) -> list[Done]:
        """Give what was taken."""
        found = [Done(ticket, self._scored(job), "drawn", attempts=1) for ticket, job in self._waiting]
        self._waiting.clear()
        return found

    @staticmethod
    def _scored(job: Job) -> Outcome:
        draw = random.Random(f"{job.digest}{job.seed}")
        scores = {name: round(draw.uniform(0, 10), 4) for name in job.proxies} | {"aleph": float(draw.randrange(30, 40))}
        return Outcome(scores, None, {"build": 0.01, "score": 0.4})

    def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class Cost:
    """What a command took: CPU-seconds of the process, and its peak of resident memory in bytes."""

    seconds: float
    peak: int


def make(folder: Path, candidates: int) -> None:
    """Make the run."""
    config = loading.parse(CONFIG, [f"evaluations={candidates}"])

    def pool(_: PoolConfig, __: View, ___: Interrupts) -> Any:
        return Drawn()

    driver.begin(config, folder, view=view_for(Console(stderr=True)), pool_maker=pool)


def cost_of(words: Sequence[str], program: Path) -> Cost:
    """Run a command of `uninas` from a checkout."""
    code = f"import sys; sys.argv = ['uninas', *{list(words)!r}]; from uninas.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=program, env=_environment(program), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"uninas {' '.join(words)}: exit status {process.returncode}")
    scale = 1 if sys.platform == "darwin" else 1024
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * scale)


def _environment(program: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(program), "OMP_NUM_THREADS": "1"}


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Give the folder of a commit's files."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x", "-C", folder], input=archive, check=True)
        yield Path(folder)


def measure(run: Path, programs: Sequence[Path]) -> dict[str, list[Cost]]:
    """The cost of each command by each program, one after the other."""
    found = {}
    for name, words in COMMANDS.items():
        given = [str(run) if word == "RUN" else str(run.parent / "page.html") if word == "PAGE" else word for word in words]
        found[name] = [cost_of(given, program) for program in programs]
    return found


def page(found: dict[str, list[Cost]], candidates: int, before: str | None, command: str) -> str:
    """The page in markdown."""
    rows = []
    for name, costs in found.items():
        seconds = [f"{cost.seconds:.1f}" for cost in costs]
        peaks = [f"{cost.peak / 1e6:.0f}" for cost in costs]
        ratio = [f"{costs[-1].seconds / costs[0].seconds:.2f}"] if before else []
        rows.append([name, *seconds, *ratio, *peaks])
    of = [f" at {before}", " now"] if before else [""]
    heads = ["command", *(f"CPU-s{one}" for one in of), *(["ratio"] if before else []), *(f"peak, MB{one}" for one in of)]
    return "\n".join(
        [
            "# A long search, afterwards",
            "",
            prose(
                f"A run of {candidates:,} candidates of a CoAtNet at 32 pixels, evolution by VKDNW_agg; its scores are drawn,",
                "all else is real. Each command in a process of its own, loading included.",
            ),
            "",
            table(heads, rows),
            "",
            command,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=20_000, help="of the run (default: %(default)s)")
    parser.add_argument("--before", metavar="REVISION", help="also measure the program of this commit")
    parser.add_argument("--make", type=Path, metavar="RUN", help="make the run, and no more")
    parser.add_argument("--write", action="store_true", help="keep the page under docs/benchmarks")
    options = parser.parse_args()
    if options.make is not None:
        make(options.make, options.candidates)
        return
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        if options.before is None:
            make(run, options.candidates)
            found = measure(run, [ROOT])
        else:
            with checkout(options.before) as before:
                words = ["--candidates", str(options.candidates), "--make", str(run)]
                subprocess.run([sys.executable, __file__, *words], check=True, cwd=before, env=_environment(before))
                found = measure(run, [before, ROOT])
    words = f"--candidates {options.candidates}" + (f" --before {options.before}" if options.before else "")
    command = f"    python -m benchmarks.simulated.long_search {words} --write"
    publish(f"{page(found, options.candidates, options.before, command)}\n\n{setting()}", "long_search", write=options.write)


if __name__ == "__main__":
    main()
