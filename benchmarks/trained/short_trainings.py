"""How little training is enough to rank networks: the ground truth's networks, trained on a part of its images.

    python -m benchmarks.trained.short_trainings --data cifar10 --per-class 500 --out runs/short_trainings
    python -m benchmarks.trained.short_trainings --out runs/short_trainings --write

Each network of docs/results/truth is trained for one epoch by the recipe of the truth, on so many images of a class, and judged
on 2,000 of the held-out images: what `objective: {train: ..}` scores with. A file per number of images, a row per network as it
ends; what has its row is not trained again. `--write` keeps the rows, to be copied back where it goes on, and makes the page.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pandas
import torch
from rich.progress import track

import uninas
import uninas.compile
from benchmarks.page import RESULTS, command, prose, publish, table
from search.ranking.correlation import estimate
from search.training.images import Split, describe, load
from search.training.train import train
from search.truth import results, run, settings

FOLDER = RESULTS / "short_trainings"
TRUTH = RESULTS / "truth"
HELD = 2000  # held-out images that judge, drawn once
SEED = 2  # the truth's own are 0 and 1
COLUMNS = ("architecture", "top1", "loss", "train_loss", "cpu_seconds")


def truth() -> pandas.DataFrame:
    """The networks of the truth: architecture, the mean accuracy of its trainings, and whether it was drawn."""
    rows = pandas.read_csv(TRUTH / results.TABLE)
    return rows.groupby("architecture", sort=False).agg({"accuracy": "mean", "drawn": "first"}).reset_index()


def measure(data: Path, per_class: int, out: Path) -> None:
    """Train those networks that have no row yet."""
    torch.set_num_threads(1)
    config = settings.load(TRUTH / run.CONFIG)
    described, _ = describe(data, pixels=config.images.pixels, per_class=per_class)
    images, held = load(described)
    some = torch.randperm(len(held.labels), generator=torch.Generator().manual_seed(SEED))[:HELD]
    held = Split(held.images[some], held.labels[some])
    known = set(pandas.read_csv(out)["architecture"]) if out.exists() else set()
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    height, width = config.size
    for name in track([name for name in truth()["architecture"] if name not in known], "training"):
        begun = time.process_time()
        torch.manual_seed(SEED)
        module = uninas.compile.build(uninas.load(TRUTH / name), classes=len(described.classes))
        found = train(module, images, held, config.recipe, size=(height, width), seed=SEED, device="cpu").epochs[-1]
        row = (name, f"{found.top1:.2f}", f"{found.loss:.5f}", f"{found.train_loss:.5f}", f"{time.process_time() - begun:.1f}")
        with out.open("a", encoding="utf-8") as file:
            file.write(",".join(row) + "\n")


def page(found: Sequence[tuple[int, pandas.DataFrame]]) -> str:
    """The page in markdown: a row for each number of images."""
    networks = truth()
    rows = []
    for per_class, measured in found:
        both = networks.merge(measured, on="architecture")
        drawn = both[both["drawn"] == "yes"]
        cells = []
        for of in (both, drawn):
            for column, sign in (("top1", 1), ("loss", -1)):
                value = estimate("kendall", list(sign * of[column]), list(of["accuracy"]), seed=0, resamples=1000)
                cells.append(f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]")
        best = both.sort_values("accuracy", ascending=False, ignore_index=True).head(5)
        places = [1 + int((both["loss"] < loss).sum()) for loss in best["loss"]]
        cost = f"{both['cpu_seconds'].median():.0f}"
        rows.append([f"{per_class}", f"{len(both)}", cost, *cells, " ".join(map(str, places))])
    heads = ["images of a class", "networks", "CPU-s", "top-1, all", "loss, all"]
    heads += ["top-1, drawn", "loss, drawn", "places of the five best by loss"]
    return "\n".join(
        [
            "# How little training ranks networks",
            "",
            prose(
                "A score at initialisation hardly ranks the networks of [the ground truth](truth.md), all of one budget. A",
                "training on a part of the images does. Kendall's tau, with 95% intervals over networks, between top-1 (or minus",
                "the loss) on 2,000 held-out images after one epoch on so many images of each of CIFAR-10's ten classes, and",
                "top-1 after one epoch on all 5,000. All: presets among them; drawn: networks drawn from the space alone.",
            ),
            "",
            table(heads, rows),
            "",
            prose(
                "CPU-s: the median of a network, with the judging; rows were measured on several models of processor, so their",
                "times do not compare. A whole training reads ten times as many images as one on 500 of a class. The seed is",
                "none of the truth's.",
            ),
            "",
            f"    {command()}",
            "",
            prose(
                "Rows per network: [short_trainings/](short_trainings). Such a training is a search's objective by",
                "`objective: {train: {images: cifar10, held_out: 500, per_class: 500}}`",
                "([how](../guides/search.md#trained-accuracy-as-the-objective)).",
            ),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, help="train on this folder with train/ and val/ or test/; nothing is trained without"
    )
    parser.add_argument("--per-class", type=int, default=500, help="training images of a class")
    parser.add_argument("--out", type=Path, required=True, help="folder of the rows")
    parser.add_argument("--write", action="store_true", help="keep rows and page under docs/results")
    options = parser.parse_args()
    if options.data is not None:
        measure(options.data, options.per_class, options.out / f"{options.per_class}.csv")
    files = sorted(options.out.glob("[0-9]*.csv"), key=lambda file: int(file.stem))
    publish(page([(int(file.stem), pandas.read_csv(file)) for file in files]), FOLDER.name, write=options.write, folder=RESULTS)
    if options.write:
        FOLDER.mkdir(exist_ok=True)
        for file in files:
            shutil.copyfile(file, FOLDER / file.name)


if __name__ == "__main__":
    main()
