"""A search by short trainings that begins with the presets of its budget: what it finds, as far as it has come.

python -m benchmarks.trained.held_out cifar10 cifar10_split
cp -r docs/results/search_by_training runs/search_by_training
uninas search --resume runs/search_by_training
python -m benchmarks.trained.search_by_training runs/search_by_training --write
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from pathlib import Path

from benchmarks.page import RESULTS, command, prose, publish, table
from search.engine.finals.finalists import Standing
from search.report.data import Entry, Run, read_run

FOLDER = RESULTS / "search_by_training"
KEPT = ("config.yaml", "journal.jsonl", "run.json", "best.json")
SCORE = "top1"


def groups(run: Run) -> list[tuple[str, list[Entry]]]:
    """The candidates in the order of the search: the starts each, the samples together, then what the model chose by tens."""
    entries = [entry for entry in run.entries if SCORE in entry.scores]
    starts = [entry for entry in entries if entry.parent is None]
    initial = int(run.config.algorithm_options["initial"])
    found = [(f"start: {name}", [entry]) for name, entry in zip(run.config.space.fitted, starts, strict=True)]
    found.append(("random edits of starts", [one for one in entries if one.parent is not None and one.index < initial]))
    chosen = [entry for entry in entries if entry.index >= initial]
    for first in range(0, len(chosen), 10):
        part = chosen[first : first + 10]
        found.append((f"by the model, {part[0].index} to {part[-1].index}", part))
    return found


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


def page(run: Run) -> str:
    """The page in markdown."""
    config = run.config
    rows = []
    for name, entries in groups(run):
        scores = [entry.scores[SCORE] for entry in entries]
        rows.append([name, f"{len(scores)}", f"{statistics.mean(scores):.1f}", f"{max(scores):.1f}"])
    best = max(run.entries, key=lambda entry: entry.scores.get(SCORE, 0.0))
    left = config.evaluations - len(run.entries)
    budget, looked_at = config.budget, config.algorithm_options["looked_at"]
    return "\n".join(
        [
            "# A search by short trainings",
            "",
            prose(
                f"A candidate's score is its top-1 after one epoch on {config.training.per_class} images of each of CIFAR-10's",
                "classes, judged on 500 others of each class's training images; the test images are not touched. The search",
                f"begins with the presets fitted to the budget ({budget.params:,} parameters, {budget.macs:,} MACs at",
                f"{config.size[0]} pixels), and looks at {looked_at} edits by its model for each that it trains.",
                f"{len(run.entries)} of {config.evaluations} candidates so far." if left else "",
            ),
            "",
            table(["candidates", "networks", "mean top-1, %", "best"], rows),
            "",
            f"By the seed of the search candidate {best.index} is the best with {best.scores[SCORE]:.1f}%; luck is part of that.",
            "",
            *held_out(run),
            "    python -m benchmarks.trained.held_out cifar10 cifar10_split",
            "    cp -r docs/results/search_by_training runs/search_by_training",
            "    uninas search --resume runs/search_by_training",
            f"    {command()}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--write", action="store_true", help="keep the page and the run's journal under docs/results")
    options = parser.parse_args()
    publish(page(read_run(options.run)), FOLDER.name, write=options.write, folder=RESULTS)
    if options.write and options.run.resolve() != FOLDER:
        FOLDER.mkdir(exist_ok=True)
        for name in KEPT:
            shutil.copyfile(options.run / name, FOLDER / name)


if __name__ == "__main__":
    main()
