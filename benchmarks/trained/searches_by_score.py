"""What searches by zero-cost scores found, trained: is a network that scores higher a better one, where a search made it so?

    uninas search docs/results/searches_by_score/demo.yaml --out runs/by_score/demo
    python -m benchmarks.trained.searches_by_score runs/by_score --data cifar10 --write

The finalists of every run in the folder, the best of its random search, and the presets of the ground truth are trained for one
epoch on 500 images of a class and judged on 500 others of train/, as `configs/search/trained.yaml` trains its candidates. A row
per network, as it ends; what has its row is not trained again.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas
import torch
from rich.progress import track

import uninas
from benchmarks.page import RESULTS, prose, publish, setting, table
from benchmarks.trained.whole_trainings import TRUTH
from search.config import loading
from search.config.schema import SearchConfig
from search.training.evaluate import Job, evaluate
from search.training.images import describe
from search.truth import results, run, settings
from uninas.files.reading import read_json

CONFIGS = "searches_by_score"
FILE = "trained.csv"
PRESETS, RANDOM = "presets", "random search"
COLUMNS = ("run", "network", "digest", "what", "top1", "cpu_seconds")
SEED = 0


def networks(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """What is trained: the run, the network's name, its file; presets first."""
    for name in settings.load(TRUTH / run.CONFIG).presets:
        yield PRESETS, name, TRUTH / results.NETWORKS / f"{name}.json"
    for found in sorted(folder.glob("*/best.json")):
        for file in sorted((found.parent / "finalists").glob("[0-9]*.json")):
            yield found.parent.name, file.stem, file
        best = found.parent / "controls" / "random.json"
        if best.is_file():
            yield found.parent.name, RANDOM, best


def what(config: SearchConfig) -> str:
    """Say in words by what a run searched, and from where."""
    options = "".join(f", {name} {value}" for name, value in config.algorithm_options.items())
    start = config.space.preset or ", ".join(config.space.fitted)
    return f"{config.objective}: {config.algorithm}{options}, {config.evaluations} candidates from {start}, batch {config.batch}"


def measure(folder: Path, data: Path) -> None:
    """Train what has no row yet."""
    torch.set_num_threads(1)
    how = loading.load("trained").training
    images, _ = describe(data, pixels=how.pixels, per_class=how.per_class, held_out=how.held_out)
    size = settings.load(TRUTH / run.CONFIG).size
    path = folder / FILE
    known = {*zip(*(pandas.read_csv(path)[name] for name in ("run", "network")), strict=True)} if path.exists() else set()
    if not path.exists():
        pandas.DataFrame(columns=COLUMNS).to_csv(path, index=False)
    left = [one for one in networks(folder) if one[:2] not in known]
    for place, name, file in track(left, "training"):
        network = uninas.canonicalise(uninas.load(file))
        outcome = evaluate(Job(name, uninas.to_text(network), (size[0], size[1]), images, how.recipe, SEED))
        if outcome.reason is not None:
            raise SystemExit(f"{place}, {name}: {outcome.reason}")
        said = "" if place == PRESETS else what(loading.load(folder / place / "config.yaml", stored=True))
        row = (place, name, network.digest, said, f"{outcome.scores['top1']:.2f}", f"{outcome.seconds['cpu']:.1f}")
        pandas.DataFrame([row], columns=COLUMNS).to_csv(path, mode="a", header=False, index=False)


def keep(folder: Path, out: Path) -> None:
    """Keep the rows and the configurations, these without the place of a batch's images."""
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_text((folder / FILE).read_text(encoding="utf-8"), encoding="utf-8")
    for found in sorted(folder.glob("*/best.json")):
        config = loading.load(found.parent / "config.yaml", stored=True)
        images = None if config.images is None else Path(config.images).name
        text = loading.to_yaml(dataclasses.replace(config, images=images))
        (out / f"{found.parent.name}.yaml").write_text(text, encoding="utf-8")


def verdicts(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """What run.json says by score, by run."""
    found = {place.parent.name: read_json(place) for place in sorted(folder.glob("*/run.json"))}
    return {name: data["verdict"] for name, data in found.items() if "verdict" in data}


def page(rows: pandas.DataFrame, said: Mapping[str, Mapping[str, Any]]) -> str:
    """The page."""
    presets = rows[rows["run"] == PRESETS].sort_values("top1", ascending=False)
    lines = []
    for name, of in rows[rows["run"] != PRESETS].groupby("run", sort=False):
        finalists = of[of["network"] != RANDOM]["top1"]
        rival = of[of["network"] == RANDOM]["top1"]
        rank = f"{said[str(name)]['place']} of {said[str(name)]['networks']}" if name in said else "–"
        cells = [f"{finalists.iloc[0]:.1f}", f"{finalists.mean():.1f}", f"{rival.iloc[0]:.1f}" if len(rival) else "–"]
        lines.append([str(of["what"].iloc[0]), rank, *cells])
    return "\n".join(
        [
            "# What searches by scores found, trained",
            "",
            prose(
                "Searches by zero-cost scores within the budget of [the ground truth](truth.md). Their finalists, ranked on",
                "held-out seeds, are trained for one epoch on 500 images of each of CIFAR-10's classes, and judged on",
                "500 others of the training images, as [a search by short trainings](search_by_training.md) trains its",
                "candidates; one seed. By score the pick stands among finalists and controls: presets fitted to the budget,",
                "and where the run had them its start and the best of a random search.",
            ),
            "",
            table(
                ["search", "rank of the pick by score", "the pick, %", "mean of the finalists, %", "random search's pick, %"],
                lines,
            ),
            "",
            prose(
                "Presets by the same training:",
                ", ".join(f"{row.network} {row.top1:.1f}%" for row in presets.itertuples()) + ".",
                _firsts(rows, said),
            ),
            "",
            f"Rows per network, and the configurations: [{CONFIGS}/]({CONFIGS}).",
            "",
            *(
                f"    uninas search docs/results/{CONFIGS}/{name}.yaml --out runs/by_score/{name}"
                for name in dict.fromkeys(rows["run"])
                if name != PRESETS
            ),
            "    python -m benchmarks.trained.searches_by_score runs/by_score --data cifar10 --write",
            "",
            setting(torch=torch.__version__),
        ]
    )


def _firsts(rows: pandas.DataFrame, said: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what picks are worth that are the best of their finalists and controls by score."""
    picks = rows[(rows["run"] != PRESETS) & (rows["network"] == "01")].set_index("run")["top1"]
    first = picks[[name for name in picks.index if name in said and said[name]["place"] == 1]]
    if first.empty:
        return "No pick has rank 1 by its score."
    trained = ", ".join(f"{value:.1f}%" for value in sorted(first, reverse=True))
    return f"Picks that by their score are ahead of all that they stand among: {trained}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of finished runs")
    parser.add_argument("--data", type=Path, help="folder with train/; nothing is trained without")
    parser.add_argument("--write", action="store_true", help="keep page and rows under docs/results")
    options = parser.parse_args()
    if options.data is not None:
        measure(options.folder, options.data)
    rows = pandas.read_csv(options.folder / FILE, keep_default_na=False)
    publish(page(rows, verdicts(options.folder)), "searches_by_score", write=options.write, folder=RESULTS)
    if options.write:
        keep(options.folder, RESULTS / CONFIGS)


if __name__ == "__main__":
    main()
