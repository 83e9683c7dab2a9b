"""Searches by short trainings that begin with the presets of their budget: what they find, and what it is worth trained whole.

python -m benchmarks.trained.held_out cifar10 cifar10_split
cp -r docs/results/search_by_training runs/search_by_training
uninas search --resume runs/search_by_training/model-0
python -m benchmarks.trained.whole_trainings runs/search_by_training --data cifar10
python -m benchmarks.trained.search_by_training runs/search_by_training --write

A folder for each run, named by its algorithm and seed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.page import RESULTS, command, prose, publish, table
from benchmarks.trained import whole_trainings
from search.engine.finals.finalists import Standing
from search.report.data import Entry, Run, read_run

FOLDER = RESULTS / "search_by_training"
KEPT = ("config.yaml", "journal.jsonl", "run.json", "best.json")
SCORE = "top1"


def groups(run: Run) -> list[tuple[str, list[Entry]]]:
    """The candidates in the order of the search: the starts each, the samples together, then what the model chose by tens."""
    entries = [entry for entry in run.entries if SCORE in entry.scores]
    algorithm = run.config.algorithm
    starts = [] if algorithm == "random" else [entry for entry in entries if entry.parent is None]
    samples = {"random": len(entries), "model": run.config.algorithm_options.get("initial", 0)}.get(algorithm, len(starts))
    found = [(f"start: {name}", [entry]) for name, entry in zip(run.config.space.fitted, starts, strict=False)]
    found.append(("random edits of starts", [one for one in entries[len(starts) :] if one.index < samples]))
    chosen = [entry for entry in entries[len(starts) :] if entry.index >= samples]
    for first in range(0, len(chosen), 10):
        part = chosen[first : first + 10]
        found.append((f"by {algorithm}, {part[0].index} to {part[-1].index}", part))
    return [(name, some) for name, some in found if some]


def held_out(run: Run) -> list[str]:
    """Finalists and controls under seeds that the search has not seen, once they have been trained; then the verdict."""
    if not run.finalists:
        return ["Held-out seeds are to come.", ""]
    found: list[tuple[str, Standing]] = [(f"candidate {one.entry.index}", one) for one in run.finalists]
    found += [(f"**{one.name}**", one) for one in run.controls]
    rows = [
        [name, f"{one.place}", f"{one.mean[SCORE]:.2f}", " ".join(f"{value.scores[SCORE]:.1f}" for value in one.rescores)]
        for name, one in sorted(found, key=lambda pair: pair[1].place)
    ]
    said = [f"{text[0].upper()}{text[1:]}." for text in run.verdict]
    heads = ["network", "rank", "mean top-1, %", "under each held-out seed"]
    return [
        "Trained again with seeds that the search has not seen:",
        "",
        table(heads, rows),
        "",
        *([prose(*said), ""] if said else []),
    ]


def one_run(name: str, run: Run) -> list[str]:
    """The section of a run."""
    rows = []
    for group, entries in groups(run):
        scores = [entry.scores[SCORE] for entry in entries]
        rows.append([group, f"{len(scores)}", f"{statistics.mean(scores):.1f}", f"{max(scores):.1f}"])
    best = max(run.entries, key=lambda entry: entry.scores.get(SCORE, 0.0))
    left = run.config.evaluations - len(run.entries)
    return [
        f"## {name}",
        "",
        prose(
            f"`algorithm: {run.config.algorithm}`,",
            *(f"`{name}: {value}`," for name, value in run.config.algorithm_options.items()),
            f"`seed: {run.config.seed}`,",
            f"{len(run.entries)} of {run.config.evaluations} candidates so far." if left else f"{len(run.entries)} candidates.",
        ),
        "",
        table(["candidates", "networks", "mean top-1, %", "best"], rows),
        "",
        f"By the seed of the search candidate {best.index} is the best with {best.scores[SCORE]:.1f}%; luck is part of that.",
        "",
        *held_out(run),
    ]


def trained_whole(folder: Path) -> list[str]:
    """Picks and presets by the ground truth's recipe, and their rank among its networks; nothing where no pick was trained."""
    wanted = whole_trainings.networks(folder)
    rows = whole_trainings.known(folder, wanted)
    truth = whole_trainings.truth()
    presets = set(truth.index[truth["drawn"] == "no"])
    if not (set(rows["digest"]) - presets):
        return []
    shared = sorted(set.intersection(*(set(some["seed"]) for _, some in rows.groupby("digest"))))
    if whole_trainings.FIRST not in shared:
        return []
    rows, found = rows[rows["seed"].isin(shared)], []
    for name, architecture in wanted.items():
        mine = rows[rows["digest"] == architecture.digest].sort_values("seed")
        if len(mine):
            cost, mean = whole_trainings.cost_of(architecture), mine["top1"].mean()
            first = float(mine["top1"].iloc[0])
            above = int((truth.drop(architecture.digest, errors="ignore")["accuracy"] > first).sum())
            each = " ".join(f"{value:.2f}" for value in mine["top1"])
            shown = name if architecture.digest not in presets else f"**{name}**"
            found.append((mean, [shown, f"{mean:.2f}", each, f"{above}", f"{cost.params:,}", f"{cost.macs:,}"]))
    heads = ["network", "mean top-1, %", "by seed", "of the truth above it, seed 0", "params", "MACs"]
    return [
        "## Trained whole",
        "",
        prose(
            "The pick of each search and the presets, by the recipe and the images of [the ground truth](truth.md): one epoch on",
            f"all 50,000, judged on the 10,000 test images, which no search has seen; with seeds {', '.join(map(str, shared))}.",
            f"The truth has {len(truth)} networks, presets among them; with them it is compared under seed {shared[0]}, which",
            "all have.",
        ),
        "",
        table(heads, [row for _, row in sorted(found, key=lambda pair: -pair[0])]),
        "",
        "Rows per training: [search_by_training/whole.csv](search_by_training/whole.csv), and the truth's own table.",
        "",
    ]


def page(folder: Path, runs: Sequence[Path]) -> str:
    """The page in markdown."""
    read = {path.name: read_run(path) for path in runs}
    config = next(iter(read.values())).config
    budget = config.budget
    parts = [one_run(name, run) for name, run in read.items()]
    return "\n".join(
        [
            "# Searches by short trainings",
            "",
            prose(
                f"A candidate's score is its top-1 after one epoch on {config.training.per_class} images of each of CIFAR-10's",
                "classes, judged on 500 others of each class's training images; the test images are not touched. A search",
                f"begins with the presets fitted to the budget ({budget.params:,} parameters, {budget.macs:,} MACs at",
                f"{config.size[0]} pixels).",
            ),
            "",
            *trained_whole(folder),
            *(line for part in parts for line in part),
            "    python -m benchmarks.trained.held_out cifar10 cifar10_split",
            "    cp -r docs/results/search_by_training runs/search_by_training",
            *(f"    uninas search --resume runs/search_by_training/{name}" for name in read),
            "    python -m benchmarks.trained.whole_trainings runs/search_by_training --data cifar10",
            f"    {command()}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of runs")
    parser.add_argument("--write", action="store_true", help="keep the page and the runs' journals under docs/results")
    options = parser.parse_args()
    runs = sorted(path.parent for path in options.folder.glob("*/journal.jsonl"))
    publish(page(options.folder, runs), FOLDER.name, write=options.write, folder=RESULTS)
    if options.write and options.folder.resolve() != FOLDER:
        for run in runs:
            (FOLDER / run.name).mkdir(parents=True, exist_ok=True)
            for name in KEPT:
                if (run / name).exists():
                    shutil.copyfile(run / name, FOLDER / run.name / name)
        if (options.folder / whole_trainings.FILE).exists():
            shutil.copyfile(options.folder / whole_trainings.FILE, FOLDER / whole_trainings.FILE)


if __name__ == "__main__":
    main()
