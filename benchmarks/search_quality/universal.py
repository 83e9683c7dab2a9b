"""How good searches of the universal space are: the pick, random search's pick and the start among 400, all judged alike.

    python -m benchmarks.search_quality.universal --out runs/universal
    python -m benchmarks.search_quality.universal demo algorithm=model --seeds 5 --out runs/universal_model

For each seed the configuration is run as it is, with a random search of equal budget beside it. Each picks the best of as many
finalists on the same held-out seeds. Then the picks, the start and 400 candidates, half of them the search's and half random, are
scored on 16 further seeds, the same for all; a network's value is its mean over them. What was scored stays in the folder, and is
not scored again.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.page import command, prose, publish, setting, table
from search.algorithms import derive
from search.config import loading
from search.config.plan import SearchPlan
from search.config.schema import RANDOM
from search.engine import driver
from search.engine.finals.finalists import choose, held_out_seeds, rebuild
from search.engine.phase import Entry
from search.engine.session import JOURNAL, STATUS, make_pool
from search.journal import journal
from search.journal.records import KINDS, Candidate
from search.monitor.progress import PlainView, View
from search.ranking.objective import Objective
from search.spaces.from_config import from_config
from search.workers.interrupts import Interrupts
from search.workers.pool import scored
from uninas.errors import InputError
from uninas.files.reading import read_json

SEEDS = tuple(range(1001, 1011))
"""Fixed before anything was measured; no configuration was tried on them."""

HELD_OUT, NETWORKS = 16, 400
FILE = "held_out.jsonl"
PHASES = ("search", RANDOM)
OVERRIDES = ("baseline=true", "finalists.controls=[]", "finalists.reliability=0")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """What came out under one seed.

    Attributes:
        networks: how many were judged.
        pick, random, start: the ranks of the search's pick, the random search's, and the start; 1 is the best.
        reached: how many random evaluations pick as good a network in the mean, by one score each; None where no number of them
            does.
    """

    networks: int
    pick: int
    random: int
    start: int
    reached: int | None


def held_out(seed: int, count: int) -> list[int]:
    """Seeds that neither a search of that seed nor its finalists have seen."""
    return [derive(seed, "equal footing", number) for number in range(count)]


def searched(config: str, words: Sequence[str], seed: int, folder: Path, view: View) -> None:
    """Run the search of a seed, or what is missing of it.

    Raises:
        InputError: the folder has another search.
    """
    wanted = loading.load(config, [*words, *OVERRIDES, f"seed={seed}"])
    if not folder.exists():
        driver.begin(wanted, folder, view=view, name=folder.name)
        return
    there = loading.load(folder / "config.yaml", stored=True)
    if (loading.digest(there), there.evaluations) != (loading.digest(wanted), wanted.evaluations):
        raise InputError(f"{folder}: expected the search that is asked for; it has another one: give another --out")
    if not (folder / "best.json").is_file():
        driver.resume(folder, view=view)


def entries(folder: Path, plan: SearchPlan) -> dict[str, list[Entry]]:
    """The candidates of the search and of the random search, in the journal's order."""
    found: dict[str, list[Entry]] = {phase: [] for phase in PHASES}
    for record in journal.records(folder / JOURNAL, KINDS):
        if isinstance(record, Candidate) and record.phase in found:
            found[record.phase].append(Entry.of(record, plan.costs, plan.ties))
    return found


def drawn(candidates: Mapping[str, Sequence[Entry]], seed: int, count: int) -> dict[str, list[str]]:
    """The digests of the candidates that are judged, by phase: half of `count` of each, or all that were scored."""
    rng = random.Random(derive(seed, "judged"))
    found = {}
    for phase, of in candidates.items():
        able = [entry.digest for entry in of if entry.scores]
        found[phase] = sorted(rng.sample(able, min(count // 2, len(able))))
    return found


def judge(folder: Path, plan: SearchPlan, texts: Mapping[str, str], seeds: Sequence[int], view: View) -> None:
    """Score every network under every seed that the folder lacks."""
    path = folder / FILE
    known = {(row["digest"], row["seed"]) for row in rows(path)}
    missing = [(digest, seed) for seed in seeds for digest in texts if (digest, seed) not in known]
    if not missing:
        return
    if plan.images is not None:
        plan.images.draw(seeds)
    with Interrupts() as interrupts, path.open("a", encoding="utf-8") as file:
        pool = make_pool(plan.pool, view, interrupts, plan.evaluator)
        try:
            pool.start()
            jobs = (plan.rescore_job(digest, texts[digest], seed) for digest, seed in missing)
            for done in scored(pool, jobs, check=interrupts.check, show=lambda under_way: None):
                digest, seed = missing[done.ticket]
                scores = {name: value for name, value in done.outcome.scores.items() if isinstance(value, float | int)}
                file.write(json.dumps({"digest": digest, "seed": seed, "scores": scores}) + "\n")
                file.flush()
                if done.ticket % 500 == 0:
                    view.note(f"{folder.name}: {done.ticket} of {len(missing)} held-out scores")
        finally:
            pool.close()


def rows(path: Path) -> list[dict[str, Any]]:
    """What was scored so far; a line that a kill cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    whole = lines[:-1]
    if lines[-1]:
        path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    return [json.loads(line) for line in whole]


def random_pick(folder: Path, plan: SearchPlan, space: Any, random: Sequence[Entry], view: View) -> str:
    """Give the digest of what random search picks: the best of its leaders on the held-out seeds of the search's finalists."""
    leaders = [entry.digest for entry in choose(random, plan.objective, plan.finalists)]
    seeds = held_out_seeds(plan.seed, plan.repeats)
    made = rebuild(folder / JOURNAL, space, leaders, RANDOM)
    judge(folder, plan, {digest: space.text(one) for digest, one in made.items()}, seeds, view)
    found = {(row["digest"], row["seed"]): row["scores"] for row in rows(folder / FILE)}
    others = [entry.scores for entry in random if entry.digest not in made]
    ranked = [plan.objective.rank([*(found[digest, seed] for digest in leaders), *others])[: len(leaders)] for seed in seeds]
    return leaders[int(np.argmax(np.mean(ranked, axis=0)))]


def values(objective: Objective, found: Sequence[Mapping[str, Any]], digests: Sequence[str]) -> dict[str, float]:
    """The value of each network: its rank among all under a seed, in the mean over the seeds."""
    by_seed: dict[int, dict[str, Mapping[str, float]]] = {}
    for row in found:
        by_seed.setdefault(row["seed"], {})[row["digest"]] = row["scores"]
    ranked = [objective.rank([scores.get(digest, {}) for digest in digests]) for scores in by_seed.values()]
    return dict(zip(digests, np.mean(ranked, axis=0).tolist(), strict=True))


def reached(told: Floats, worth: Floats, target: float) -> int | None:
    """How many random evaluations pick a network of that worth in the mean.

    The best by what was told of n draws is the i-th of all N with probability (1 - (i - 1)/N)^n - (1 - i/N)^n: of N = 2, with
    n = 1, each with 1/2; with n = 2 the better one with 3/4.

    Args:
        told: N scores by which random search picks.
        worth: N values on held-out seeds.
        target: the value of the pick.

    Returns:
        the smallest number, at most 100 N; None where no more would help.
    """
    ordered = worth[np.argsort(-told, kind="stable")]
    below = 1 - np.arange(len(ordered) + 1) / len(ordered)
    for count in np.unique(np.geomspace(1, 100 * len(ordered), 400).astype(int)):
        chances = below[:-1] ** count - below[1:] ** count
        if float(chances @ ordered) >= target:
            return int(count)
    return None


def standing(folder: Path, plan: SearchPlan, space: Any, view: View, networks: int, seeds: Sequence[int]) -> Standing:
    """Judge a finished run."""
    candidates = entries(folder, plan)
    pick = read_json(folder / STATUS)["best"]["digest"]
    rival = random_pick(folder, plan, space, candidates[RANDOM], view)
    start = space.starts()[0]
    chosen = drawn(candidates, plan.seed, networks)
    made = {start.digest: start}
    for phase, found in zip(PHASES, (pick, rival), strict=True):
        made |= rebuild(folder / JOURNAL, space, dict.fromkeys([found, *chosen[phase]]), phase)
    judge(folder, plan, {digest: space.text(one) for digest, one in made.items()}, seeds, view)
    worth = values(plan.objective, [row for row in rows(folder / FILE) if row["seed"] in seeds], [*made])
    told = {entry.digest: entry.scores for entry in candidates[RANDOM]}
    scores = plan.objective.rank([told[digest] for digest in chosen[RANDOM]])
    place = {digest: 1 + sum(other > worth[digest] for other in worth.values()) for digest in (pick, rival, start.digest)}
    random_worth = np.array([worth[digest] for digest in chosen[RANDOM]])
    needed = reached(np.asarray(scores), random_worth, worth[pick])
    return Standing(len(worth), place[pick], place[rival], place[start.digest], needed)


def page(found: Mapping[int, Standing], plan: SearchPlan, name: str, evaluations: int) -> str:
    """The page of all seeds."""
    standings = list(found.values())
    above = sum(one.pick < one.random for one in standings)
    picks = [one.pick for one in standings]
    needed = [one.reached / evaluations for one in standings if one.reached is not None]
    never = len(standings) - len(needed)
    lines = [
        "# Searches of the universal space, on equal footing",
        "",
        prose(
            f"`{name}`, {len(standings)} seeds that were fixed before, each with {evaluations} evaluations of `{plan.algorithm}`",
            f"and as many of random search, objective {plan.objective.name}.",
            f"Each picks the best of {plan.finalists} finalists on {plan.repeats} held-out seeds.",
            "Then the picks, the start and up to",
            f"{NETWORKS} candidates, half of them random, are scored on {HELD_OUT} seeds that none of them has seen.",
        ),
        "",
        table(
            [
                "seed",
                "networks",
                "rank of the pick",
                "of random search's pick",
                "of the start",
                "random evaluations for the same",
            ],
            [
                [
                    str(seed),
                    str(one.networks),
                    str(one.pick),
                    str(one.random),
                    str(one.start),
                    "none of them" if one.reached is None else f"{one.reached:,}",
                ]
                for seed, one in found.items()
            ],
        ),
        "",
        prose(
            f"Rank of the pick: median {np.median(picks):g}, worst {max(picks)}. It is above random search's pick in {above} of",
            f"{len(standings)}. Random search needs",
            f"{np.median(needed):.1f} times the evaluations for the same value (median of {len(needed)})" if needed else "",
            f"; under {never} of the seeds no number of them does" if never else "",
        ).replace(" ;", ";")
        + ".",
        "",
        f"    {command()}",
        "",
        setting(),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default="demo", help="a search configuration, or the name of a shipped one")
    parser.add_argument("words", nargs="*", help="overrides, key=value")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many of the ten seeds")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/universal.md")
    options = parser.parse_args()
    view, found = PlainView(partial(click.echo, err=True)), dict[int, Standing]()
    for seed in SEEDS[: options.seeds]:
        folder = options.out / f"seed-{seed}"
        searched(options.config, options.words, seed, folder, view)
        config = loading.load(folder / "config.yaml", stored=True)
        plan, space = SearchPlan.resolve(config), from_config(config)
        found[seed] = standing(folder, plan, space, view, NETWORKS, held_out(seed, HELD_OUT))
    publish(page(found, plan, options.config, config.evaluations), "universal", write=options.write)


if __name__ == "__main__":
    main()
