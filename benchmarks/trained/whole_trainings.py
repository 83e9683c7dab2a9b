"""What searches by short trainings found, and the presets, trained whole: by the recipe, images and seeds of the ground truth.

    python -m benchmarks.trained.whole_trainings runs/search_by_training --data cifar10

Each pick (RUN/best.json of every run in the folder) and each preset of the truth is trained with so many seeds and judged on the
test images, which no search has seen. A row per training in whole.csv, as it ends; what has its row there, or in the truth's own
table, is not trained again. `benchmarks.trained.search_by_training` puts them on its page.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas
import torch
from rich.progress import track

import uninas
from benchmarks.page import RESULTS
from search.training.evaluate import Job, evaluate
from search.training.images import describe
from search.truth import results, run, settings
from uninas.graph import Architecture

TRUTH = RESULTS / "truth"
FILE = "whole.csv"
FIRST = 0  # the seed that every network of the truth was trained with
COLUMNS = ("network", "digest", "seed", "top1", "cpu_seconds")


def runs_of(folder: Path) -> list[Path]:
    """The finished runs of a folder, by name."""
    return sorted(found.parent for found in folder.glob("*/best.json"))


def networks(folder: Path) -> dict[str, Architecture]:
    """What is trained, by name: the picks of the runs, then the presets of the truth."""
    presets = settings.load(TRUTH / run.CONFIG).presets
    files = {one.name: one / "best.json" for one in runs_of(folder)}
    files |= {name: TRUTH / results.NETWORKS / f"{name}.json" for name in presets}
    return {name: uninas.canonicalise(uninas.load(file)) for name, file in files.items()}


def truth() -> pandas.DataFrame:
    """The networks of the ground truth by digest: their accuracy with the seed that all have, and whether they were drawn."""
    rows = pandas.read_csv(TRUTH / results.TABLE)
    return rows[rows["seed"] == FIRST].set_index("digest")[["accuracy", "drawn"]]


def cost_of(architecture: Architecture) -> uninas.Cost:
    """Its cost at the truth's input size."""
    height, width = settings.load(TRUTH / run.CONFIG).size
    return uninas.cost(architecture, (height, width))


def known(folder: Path, wanted: Mapping[str, Architecture]) -> pandas.DataFrame:
    """The trainings there are of these networks, as rows of `COLUMNS`: of whole.csv, and of the truth."""
    names = {architecture.digest: name for name, architecture in wanted.items()}
    truth = pandas.read_csv(TRUTH / results.TABLE).rename(columns={"accuracy": "top1"})
    truth["network"] = truth["digest"].map(names)
    found = [truth.dropna(subset="network")[list(COLUMNS)]]
    if (folder / FILE).exists():
        whole = pandas.read_csv(folder / FILE)
        found.append(whole[whole["digest"].isin(names)])
    return pandas.concat(found, ignore_index=True)


def left(folder: Path, wanted: Mapping[str, Architecture], seeds: Sequence[int]) -> list[tuple[str, int]]:
    """The trainings that are still to be made: all networks by the first seed, then by the next."""
    rows = known(folder, wanted)
    there = set(zip(rows["digest"], rows["seed"], strict=True))
    return [(name, seed) for seed in seeds for name, one in wanted.items() if (one.digest, seed) not in there]


def measure(folder: Path, data: Path, seeds: Sequence[int]) -> None:
    """Train what has no row yet."""
    torch.set_num_threads(1)
    config, wanted = settings.load(TRUTH / run.CONFIG), networks(folder)
    images, _ = describe(data, pixels=config.images.pixels, per_class=config.images.per_class)
    size = (config.size[0], config.size[1])
    path = folder / FILE
    if not path.exists():
        path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    for name, seed in track(left(folder, wanted, seeds), "training"):
        outcome = evaluate(Job(name, uninas.to_text(wanted[name]), size, images, config.recipe, seed), "cpu")
        if outcome.reason is not None:
            raise SystemExit(f"{name} (seed {seed}): {outcome.reason}")
        row = (name, wanted[name].digest, seed, f"{outcome.scores['top1']:.2f}", f"{outcome.seconds['cpu']:.1f}")
        with path.open("a", encoding="utf-8") as file:
            file.write(",".join(map(str, row)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of finished runs")
    parser.add_argument("--data", type=Path, required=True, help="folder of the truth's images: train/, and test/ or val/")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each network")
    options = parser.parse_args()
    measure(options.folder, options.data, range(options.seeds))


if __name__ == "__main__":
    main()
