"""What niches and crossover do to the survivors of an evolution: how many kinds of network are left, how far sizes spread, how
good the best is.

    python -m benchmarks.diversity --write
    python -m benchmarks.diversity --seeds 1 --evaluations 40

Real searches of the demo's space (`configs/search/demo.yaml`), serial, without Ray; only the objective is another, which needs no
Fisher spectrum. The best of each search is placed among all candidates of all searches of its seed, so that one scale serves all.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.page import command, publish, setting, table
from search.algorithms import AskTell
from search.algorithms.candidate import Candidate
from search.algorithms.evolution import Evolution
from search.config import loading
from search.config.schema import SearchConfig
from search.ranking.objective import Objective, find
from search.spaces.from_config import from_config
from search.spaces.graph_space import GraphSpace
from search.workers.evaluate import evaluate, prepare
from search.workers.job import Job, numbers

CONFIG, OBJECTIVE, POPULATION = "configs/search/demo.yaml", "uninas_agg", 16
VARIANTS: dict[str, dict[str, Any]] = {
    "evolution": {},
    "niche: 2": {"max_per_niche": 2},
    "niche: 2, crossover: 0.3": {"max_per_niche": 2, "crossover": 0.3},
}
"""What the page calls a variant -> options of evolution."""

Scored = tuple[list[Candidate], list[Mapping[str, float]]]
"""The survivors, and the raw scores of every candidate in ask order."""


def search(settings: SearchConfig, space: GraphSpace, objective: Objective, options: dict[str, Any], seed: int) -> Scored:
    """One evolution."""
    strategy = Evolution(space, objective, population=POPULATION, **options)
    run = AskTell(strategy, objective, seed=seed, phase="search", window=1)
    scores: list[Mapping[str, float]] = []
    for index in range(settings.evaluations):
        candidate = run.ask().candidate
        size = (settings.size[0], settings.size[1])
        job = Job(candidate.digest, space.text(candidate), size, settings.classes, settings.batch, 1, seed, objective.proxies)
        scores.append(numbers(evaluate(job).scores))
        run.tell(index, scores[-1])
    run.ask()  # sees the last result
    return strategy.survivors, scores


def spread(values: list[int]) -> float:
    """The factor between the second lowest and the second highest tenth."""
    tenths = statistics.quantiles(values, n=10)
    return tenths[-1] / tenths[0]


def describe(space: GraphSpace, survivors: list[Candidate]) -> dict[str, float]:
    """How various they are."""
    graphs = [g for c in survivors for stage in c.body.stages for block in stage.blocks for g in block.subblocks if g is not None]
    return {
        "families": len({space.family(candidate) for candidate in survivors}),
        "distinct sub-blocks, %": 100 * len(set(graphs)) / len(graphs),
        "params, p90 / p10": spread([candidate.cost["params"] for candidate in survivors]),
        "MACs, p90 / p10": spread([candidate.cost["macs"] for candidate in survivors]),
        "survivors": len(survivors),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="searches of each variant (default 5)")
    parser.add_argument("--evaluations", type=int, default=80, help="candidates of each search (default 80)")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/diversity.md")
    options = parser.parse_args()
    settings = loading.load(CONFIG, [f"objective={OBJECTIVE}", f"evaluations={options.evaluations}"])
    space, objective = from_config(settings), find(OBJECTIVE)
    prepare()
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for seed in range(options.seeds):
        found = {name: search(settings, space, objective, more, seed) for name, more in VARIANTS.items()}
        values = objective.rank([scores for _, everybody in found.values() for scores in everybody])
        for place, (name, (survivors, _)) in enumerate(found.items()):
            own = values[place * options.evaluations : (place + 1) * options.evaluations]
            best = 100 * float((values > own.max()).mean())
            rows[name].append({**describe(space, survivors), "best, % of all above": best})
        print(f"seed {seed} done", flush=True)
    figures = list(rows["evolution"][0])
    body = []
    for name, runs in rows.items():
        cells = []
        for figure in figures:
            each = [run[figure] for run in runs]
            cells.append(f"{statistics.mean(each):.1f} ({min(each):.1f} to {max(each):.1f})")
        body.append([name, *cells])
    text = "\n".join(
        [
            "# Diversity of an evolution's survivors",
            "",
            f"Evolution of {options.evaluations} candidates in the space of `{CONFIG}`, population "
            f"{POPULATION}, `{OBJECTIVE}`, scored for real, seeds 0 to {options.seeds - 1}: mean (least "
            "to greatest). Families as in `uninas.analysis.family`; of all sub-blocks of the survivors, how many differ; "
            "spread of sizes; "
            "how many of all candidates of all variants of a seed rank above the variant's best.",
            "",
            table(["", *figures], body),
            "",
            setting(),
            "",
            f"    {command()}",
        ]
    )
    publish(text, "diversity", write=options.write)


if __name__ == "__main__":
    main()
