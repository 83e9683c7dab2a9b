"""What to do about noise: the same number of evaluations spent on more candidates, on a final round, or on leaders again.

    python -m benchmarks.search_quality.noise --data tables
    python -m benchmarks.search_quality.noise --data tables --seeds 40 --write

NAS-Bench-Macro's 6,561 mean accuracies are the truth. What a search is told has an error drawn anew for each evaluation, so that
a network may be scored as often as one likes. All ways have as many evaluations; each ends with a pick, whose regret counts.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from scipy import stats

from benchmarks.page import prose, publish, setting, table
from benchmarks.search_quality.__main__ import ACCURACY, EVALUATIONS, WINDOW
from benchmarks.search_quality.page import interval
from benchmarks.search_quality.tables import TableSpace, World, nasbench_macro
from search.algorithms import ALGORITHMS, Reported, derive, make
from search.algorithms.candidate import Candidate
from search.engine.finals.finalists import choose, expected
from search.engine.phase import Entry

ERRORS = (0.2, 0.6, 1.5)
"""Standard deviations of what is told, in points; the first is that of a training of the table."""

COUNT, EACH = 8, 3
"""Finalists, and held-out scores of each: the same number of evaluations less for the search itself."""

AGAIN = 0.25
"""Share of the evaluations that score a leader again; from `AFTER` on, that of the best `LEADERS` with the fewest scores."""

AFTER, LEADERS = 30, 5

OPTIONS: Mapping[str, Mapping[str, int]] = {"evolution": {"population": 20}, "model": {}}


@dataclass
class Told:
    """What is told of networks: their worth with an error, each time another."""

    world: World
    error: float
    draw: random.Random
    scores: dict[int, list[float]] = field(default_factory=dict)

    def score(self, row: int) -> float:
        """Score a network once more."""
        found = float(self.world.truth[row]) + self.draw.gauss(0.0, self.error)
        self.scores.setdefault(row, []).append(found)
        return found

    def mean(self, row: int) -> float:
        """The mean of what was told of it."""
        return statistics.fmean(self.scores[row])

    def cautious(self, row: int) -> float:
        """That less its standard error, so that one lucky score does not displace what is proven."""
        return self.mean(row) - self.error / len(self.scores[row]) ** 0.5

    def regret(self, row: int) -> float:
        """How much worse a network is than the best."""
        return float(self.world.truth.max() - self.world.truth[row])


def plain_and_final(world: World, algorithm: str, error: float, seed: int) -> dict[str, float]:
    """A search that scores each candidate once: by its best score, and by final rounds, which take its last evaluations."""
    told = Told(world, error, random.Random(derive(seed, "noise", algorithm)))
    run = make(algorithm, TableSpace(world), ACCURACY, seed=seed, window=WINDOW, options=OPTIONS[algorithm])
    entries: list[Entry] = []
    found: dict[str, float] = {}
    for index in range(EVALUATIONS):
        if index == EVALUATIONS - COUNT * EACH:
            found |= _final_rounds(told, entries, run.estimates(), seed)
        candidate = run.ask().candidate
        value = told.score(candidate.body[1])
        run.tell(index, {"accuracy": value})
        entries.append(Entry(index, candidate.digest, {"accuracy": value}))
    best = max(told.scores, key=told.mean)
    return {"each candidate once, the best score is picked": told.regret(best), **found}


def _final_rounds(told: Told, entries: Sequence[Entry], estimates: Mapping[int, float], seed: int) -> dict[str, float]:
    """Regrets of the best of `COUNT` finalists under held-out seeds, for each way to choose them."""
    ways = {f"final round of {COUNT}, chosen by score": 0}
    if estimates:
        ways[f"final round of {COUNT}, half chosen by the model"] = COUNT // 2
        ways[f"final round of {COUNT}, all chosen by the model"] = COUNT
    found = {}
    for way, by_model in ways.items():
        by_score = choose(entries, ACCURACY, COUNT - by_model)
        chosen = [*by_score, *(expected(entries, by_score, ACCURACY, estimates, by_model) if by_model else ())]
        again = Told(told.world, told.error, random.Random(derive(seed, "held out", way)))
        for entry in chosen:
            for _ in range(EACH):
                again.score(int(entry.digest, 16))
        found[way] = told.regret(max(again.scores, key=again.mean))
    return found


def again_by_evolution(world: World, error: float, seed: int) -> float:
    """Evolution whose survivors are ordered by the means of all their scores."""
    survivors: dict[int, Candidate] = {}
    draw = random.Random(derive(seed, "evolution"))
    space = TableSpace(world)

    def propose(known: Mapping[int, Any]) -> Candidate:
        for _ in range(1000):
            made = space.mutate(draw.choice(list(survivors.values())), draw) if survivors else space.starts()[0]
            if isinstance(made, Candidate) and made.body[1] not in known:
                return made
        return _sampled(space, draw, known)

    def learn(candidate: Candidate, told: Told) -> None:
        survivors[candidate.body[1]] = candidate
        if len(survivors) > OPTIONS["evolution"]["population"]:
            del survivors[min(survivors, key=told.mean)]

    return _again(world, error, seed, propose, learn, lambda: survivors)


def again_by_model(world: World, error: float, seed: int) -> float:
    """The model, which learns from each score of a leader as from another candidate's."""
    space, algorithm = TableSpace(world), ALGORITHMS["model"]
    strategy = algorithm.make(space, ACCURACY, dict(algorithm.options))
    everyone: dict[int, Candidate] = {}
    asked, reported = 0, 0

    def propose(known: Mapping[int, Any]) -> Candidate:
        nonlocal asked
        draw = random.Random(derive(seed, "model", asked))
        for _ in range(1000):
            made = strategy.propose(asked, draw, ())
            if isinstance(made, Candidate) and made.body[1] not in known:
                asked += 1
                return made
        return _sampled(space, draw, known)

    def learn(candidate: Candidate, told: Told) -> None:
        nonlocal reported
        row = candidate.body[1]
        everyone[row] = candidate
        strategy.learn(Reported(reported, candidate, ACCURACY.keys({"accuracy": told.scores[row][-1]})))
        reported += 1

    return _again(world, error, seed, propose, learn, lambda: everyone)


def _sampled(space: TableSpace, draw: random.Random, known: Mapping[int, Any]) -> Candidate:
    while True:
        made = space.sample(draw)
        if isinstance(made, Candidate) and made.body[1] not in known:
            return made


def _again(
    world: World,
    error: float,
    seed: int,
    propose: Callable[[Mapping[int, Any]], Candidate],
    learn: Callable[[Candidate, Told], None],
    eligible: Callable[[], Mapping[int, Candidate]],
) -> float:
    """Spend a share of the evaluations on leaders, and pick by the mean less its error."""
    told, draw = Told(world, error, random.Random(derive(seed, "noise", "again"))), random.Random(derive(seed, "again"))
    for number in range(EVALUATIONS):
        if number >= AFTER and draw.random() < AGAIN:
            leaders = sorted(eligible(), key=lambda row: -told.mean(row))[:LEADERS]
            candidate = eligible()[min(leaders, key=lambda row: (len(told.scores[row]), -told.mean(row)))]
        else:
            candidate = propose(told.scores)
        told.score(candidate.body[1])
        learn(candidate, told)
    return told.regret(max(told.scores, key=told.cautious))


@cache
def _world(folder: Path) -> World:
    return nasbench_macro(folder / "nasbench_macro")


def one(folder: Path, job: tuple[float, int]) -> dict[tuple[str, str], float]:
    """All ways with one error and one seed: regrets by algorithm and way."""
    error, seed = job
    world, again = _world(folder), "a quarter of the evaluations scores leaders again"
    found: dict[tuple[str, str], float] = {}
    for algorithm, repeated in (("evolution", again_by_evolution), ("model", again_by_model)):
        regrets = plain_and_final(world, algorithm, error, seed)
        regrets[again] = repeated(world, error, seed)
        found |= {(algorithm, way): regret for way, regret in regrets.items()}
    return found


def agreement(world: World, error: float) -> float:
    """Spearman's rho of two scores among the quarter of the table that is the best by one of them."""
    first, second = (world.truth + error * np.random.default_rng(seed).standard_normal(len(world.truth)) for seed in (0, 1))
    best = np.argsort(-first)[: len(first) // 4]
    return float(stats.spearmanr(first[best], second[best]).statistic)


def page(found: Mapping[float, Sequence[Mapping[tuple[str, str], float]]], world: World, command: str) -> str:
    """The page in markdown."""
    seeds = len(next(iter(found.values())))
    names = list(next(iter(found.values()))[0])
    rows = []
    for algorithm, way in names:
        cells = []
        for searches in found.values():
            value, low, high = interval(np.array([one[algorithm, way] for one in searches]))
            cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]")
        rows.append([f"`{algorithm}`: {way}", *cells])
    heads = [f"error {error}, two scores agree by {agreement(world, error):.2f}" for error in found]
    return "\n".join(
        [
            "# What to do about noise",
            "",
            prose(
                f"{EVALUATIONS} evaluations each, {seeds} searches of each way with the same seeds, on NAS-Bench-Macro's mean",
                "accuracies, to which every evaluation adds an error of its own (standard deviation in points; the best 200",
                f"networks deviate by {np.sort(world.truth)[-200:].std():.2f}). Two scores agree: Spearman's rho among the",
                "quarter of the table that one of them finds best. Below: regret of the pick in points, with 95% intervals.",
            ),
            "",
            table(["way", *heads], rows),
            "",
            prose(
                f"A final round gives {COUNT * EACH} of the evaluations to {COUNT} finalists, {EACH} held-out scores each, and",
                "picks by those alone. Where leaders are scored again, survivors are ordered by the means of their scores, the",
                "model learns from every score, and the pick has the highest mean less its standard error.",
            ),
            "",
            command,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with nasbench_macro/ (CSV table)")
    parser.add_argument("--seeds", type=int, default=10, help="searches of each way (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="side by side (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="keep the page under docs/benchmarks")
    options = parser.parse_args()
    world = _world(options.data)  # also makes the file that the processes read
    jobs = [(error, seed) for error in ERRORS for seed in range(options.seeds)]
    with ProcessPoolExecutor(options.processes) as pool:
        results = list(track(pool.map(partial(one, options.data), jobs), "searching", total=len(jobs)))
    found = {error: [result for (of, _), result in zip(jobs, results, strict=True) if of == error] for error in ERRORS}
    text = page(found, world, f"    python -m benchmarks.search_quality.noise --data tables --seeds {options.seeds} --write")
    publish(f"{text}\n\n{setting()}", "noise", write=options.write)


if __name__ == "__main__":
    main()
