"""How good a network searches pick, after how many evaluations, where every network has been trained.

    python -m benchmarks.search_quality --data tables
    python -m benchmarks.search_quality --data tables --seeds 100 --write

A search is told noisy accuracies, and picks the network that it was told the most of; its regret is how much worse that one is
than the best of the table, in points of true accuracy. The algorithms are those of `uninas search`, with their asks, tells and
windows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from benchmarks.page import publish, setting
from benchmarks.search_quality import page
from benchmarks.search_quality.tables import TableSpace, World, nasbench201, nasbench_macro
from search.algorithms import make
from search.ranking.objective import Objective

ACCURACY = Objective("accuracy", (("accuracy",),))
EVALUATIONS = 300
WINDOW = 8


@dataclass(frozen=True)
class Entrant:
    """An algorithm with its options."""

    algorithm: str
    options: Mapping[str, int]

    @property
    def label(self) -> str:
        """How the page calls it."""
        return " ".join([self.algorithm, *(f"{name}={value}" for name, value in self.options.items())])


ENTRANTS = (
    Entrant("random", {}),
    Entrant("walk", {}),
    Entrant("evolution", {"population": 20}),
    Entrant("aging_evolution", {"population": 30, "tournament": 10}),
    Entrant("model", {}),
)


@cache
def worlds(folder: Path) -> tuple[World, ...]:
    """Read the tables, once a process."""
    return (
        nasbench201(folder / "nasbench201", "cifar10"),
        nasbench201(folder / "nasbench201", "imagenet16_120"),
        nasbench_macro(folder / "nasbench_macro"),
    )


@dataclass(frozen=True, eq=False)
class Found:
    """What one search came to: the regret of what it would pick after each evaluation, and its CPU-seconds."""

    regrets: NDArray[np.float64]
    seconds: float


def search(world: World, entrant: Entrant, seed: int, evaluations: int = EVALUATIONS) -> Found:
    """Run one search."""
    started = time.process_time()
    scores = world.scores(seed)
    run = make(entrant.algorithm, TableSpace(world), ACCURACY, seed=seed, window=WINDOW, options=entrant.options)
    asked = []
    for _ in range(evaluations):
        proposal = run.ask()
        asked.append(proposal.candidate.body[1])
        run.tell(proposal.index, {"accuracy": float(scores[asked[-1]])})
    told = scores[asked]
    leads = np.maximum.accumulate(told)
    picks = np.array([int(np.argmax(told[: count + 1] == lead)) for count, lead in enumerate(leads)])
    return Found(world.truth.max() - world.truth[np.array(asked)[picks]], time.process_time() - started)


def _one(folder: Path, job: tuple[int, int, int]) -> Found:
    number, entrant, seed = job
    return search(worlds(folder)[number], ENTRANTS[entrant], seed)


def run_all(folder: Path, seeds: Sequence[int], processes: int) -> list[page.Results]:
    """Run every algorithm with every seed on every table."""
    tables = worlds(folder)  # also makes the files that the processes read
    jobs = [(number, entrant, seed) for number in range(len(tables)) for entrant in range(len(ENTRANTS)) for seed in seeds]
    with ProcessPoolExecutor(processes) as pool:
        found = dict(zip(jobs, track(pool.map(partial(_one, folder), jobs), "searching", total=len(jobs)), strict=True))
    results = []
    for number, world in enumerate(tables):
        searches = {one.label: [found[number, place, seed] for seed in seeds] for place, one in enumerate(ENTRANTS)}
        regrets = {label: np.stack([one.regrets for one in some]) for label, some in searches.items()}
        seconds = {label: float(np.mean([one.seconds for one in some])) for label, some in searches.items()}
        results.append(page.Results(world.name, regrets, seconds, floor(world, seeds)))
    return results


def floor(world: World, seeds: Sequence[int]) -> float:
    """Give the mean regret of who is told of all networks what the searches are told of some, and picks as they do."""
    return float(np.mean([world.truth.max() - world.truth[int(np.argmax(world.scores(seed)))] for seed in seeds]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with nasbench201/ and nasbench_macro/ (CSV tables)")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each algorithm on each table (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="side by side (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="keep the page and its picture under docs/benchmarks")
    options = parser.parse_args()
    results = run_all(options.data, range(options.seeds), options.processes)
    text = page.page(results, WINDOW, f"    python -m benchmarks.search_quality --data tables --seeds {options.seeds} --write")
    publish(f"{text}\n\n{setting()}", "search_quality", write=options.write)
    if options.write:
        page.FILE.write_text(page.picture(results), encoding="utf-8")


if __name__ == "__main__":
    main()
