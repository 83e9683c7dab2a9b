"""The ground truth of the universal space: a page, a picture, and what is needed to go on with the run or to judge by it.

uninas truth cifar10 --data cifar10 --out runs/truth
python -m benchmarks.results.truth_page runs/truth --write
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas
from matplotlib.figure import Figure

from benchmarks.page import RESULTS, command, prose, publish, table
from search.report.svg import render_svg
from search.report.theme import AMBER, BLUE, RULE, TEAL
from search.truth import results, run, settings
from search.truth.families import FAMILIES
from uninas.files.reading import read_json
from uninas.files.writing import write_json

FOLDER = RESULTS / "truth"
BEST = 10  # networks with a row of their own


def means(rows: pandas.DataFrame) -> pandas.DataFrame:
    """One row per network: the mean of its trainings, the best first."""
    kept = {"family": "first", "drawn": "first", "params": "first", "macs": "first", "layers": "first"}
    found = rows.groupby("architecture", sort=False).agg({"accuracy": "mean", **kept}).reset_index()
    found["name"] = [Path(path).stem for path in found["architecture"]]
    return found.sort_values("accuracy", ascending=False, ignore_index=True)


def pairs_of(rows: pandas.DataFrame) -> pandas.DataFrame:
    """The accuracies of the first two seeds, a row per network that has both."""
    wide = rows.pivot_table(index="architecture", columns="seed", values="accuracy")
    return wide[[0, 1]].dropna() if {0, 1} <= {*wide.columns} else wide.iloc[:0]


def beaten(rows: pandas.DataFrame) -> str:
    """How often a drawn network is better than the best preset: with the first seed, which all were trained with."""
    first = rows[rows["seed"] == rows["seed"].min()]
    drawn, presets = (first[first["drawn"] == word]["accuracy"] for word in ("yes", "no"))
    if drawn.empty or presets.empty:
        return ""
    best, count = presets.max(), int((drawn > presets.max()).sum())
    return (
        f"With the seed that all share the best preset has {best:.2f}%; of the drawn networks {count} of {len(drawn)} have more."
    )


def picture(networks: pandas.DataFrame, pairs: pandas.DataFrame) -> str:
    """Accuracies by family, the presets among them; the two seeds of each repeated network."""

    def plot(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1.7, 1])
        for place, family in enumerate(FAMILIES):
            own = networks[networks["family"] == family]
            drawn, hand_made = own[own["drawn"] == "yes"], own[own["drawn"] == "no"]
            spread = [place + 0.12 * ((number % 5) - 2) / 2 for number in range(len(drawn))]
            left.plot(spread, drawn["accuracy"], "o", color=BLUE, markersize=4, alpha=0.75)
            left.plot([place] * len(hand_made), hand_made["accuracy"], "D", color=AMBER, markersize=6)
            for name, accuracy in zip(hand_made["name"], hand_made["accuracy"], strict=True):
                left.annotate(name, (place, accuracy), xytext=(9, -3), textcoords="offset points", color=AMBER)
            if len(drawn):
                left.plot([place - 0.3, place + 0.3], [drawn["accuracy"].median()] * 2, color=TEAL, linewidth=1.6)
        left.set_xticks(range(len(FAMILIES)), FAMILIES)
        left.set_ylabel("top-1, %")
        left.set_title("Accuracy by family: drawn networks, their median, presets")
        if len(pairs):
            ends = [pairs.to_numpy().min() - 1, pairs.to_numpy().max() + 1]
            right.plot(ends, ends, color=RULE, linewidth=1)
            right.plot(pairs[0], pairs[1], "o", color=BLUE, markersize=4)
        right.set_xlabel("top-1 with seed 0, %")
        right.set_ylabel("with seed 1, %")
        right.set_title("Two trainings of a network")

    return render_svg("truth", "Trained accuracies of the ground truth", 3.6, plot, alone=True)


def page(config: settings.TruthConfig, summary: Mapping[str, Any], rows: pandas.DataFrame, sessions: Sequence[Any]) -> str:
    """The page in markdown."""
    networks, noise, recipe, budget, size = means(rows), summary["noise"], config.recipe, config.budget, config.size[0]
    assert budget.params is not None
    assert budget.macs is not None
    drawn = networks[networks["drawn"] == "yes"]
    environments = sorted({f"torch {one['environment']['torch']}, {one['environment']['device']}" for one in sessions})
    families = [
        [
            family,
            str(len(own)),
            f"{own['accuracy'].mean():.2f}",
            f"{own['accuracy'].std():.2f}" if len(own) > 1 else "–",
            f"{own['accuracy'].max():.2f}",
        ]
        for family in FAMILIES
        if len(own := drawn[drawn["family"] == family])
    ]
    shown = networks[(networks["drawn"] == "no") | (networks.index < BEST)]
    places = {name: place for place, name in enumerate(networks["name"], 1)}
    lines = [
        "# A ground truth of the universal space",
        "",
        prose(
            f"{len(drawn)} networks drawn from the whole space and {len(networks) - len(drawn)} presets, all with",
            f"{config.fill * budget.params / 1e3:,.0f} to {budget.params / 1e3:,.0f} thousand parameters and",
            f"{config.fill * budget.macs / 1e6:.1f} to {budget.macs / 1e6:.1f} M MACs at {size} x {size} pixels, trained",
            "alike on CIFAR-10 and judged on its 10,000 test images.",
            f"{len(rows)} trainings, {rows['cpu_seconds'].sum() / 3600:.1f} CPU-hours.",
            f"So far: {config.networks} are to be drawn." if len(drawn) < config.networks else "",
        ),
        "",
        "![Accuracies by family, and two seeds of each repeated network](truth.svg)",
        "",
        "## How far it can be trusted",
        "",
    ]
    if noise is None:
        lines += ["Too few networks were trained with two seeds so far."]
    else:
        kendall = noise["kendall"]
        verdict = "holds both" if noise["ranks"] else "DOES NOT hold both: the recipe is too short to rank these networks"
        lines += [
            prose(
                f"{noise['networks']} drawn networks were trained with two seeds. Kendall's tau between the seeds is",
                f"{kendall['value']:.2f} [{kendall['low']:.2f}, {kendall['high']:.2f}]; networks deviate by",
                f"{noise['between_networks']:.2f} points, seeds of one network by {noise['between_seeds']:.2f}:",
                f"{noise['ratio']:.1f} times. Asked for were a tau of {results.LEAST_KENDALL} and {results.LEAST_RATIO:g} times:",
                f"it {verdict}.",
            ),
        ]
    lines += [
        "",
        "## By family",
        "",
        prose(
            "Drawn networks. Convolution: blocks mix pixels by convolution alone; gate: by convolution with a product of two",
            "branches; mixer: by pooling, or not at all (`search.truth.families`).",
        ),
        "",
        table(["family", "networks", "top-1, %", "deviation", "best"], families),
        "",
        "## The best, and the presets",
        "",
        "Presets have the widths and depths that fill the budget best (`uninas.networks.fitted`).",
        "",
        table(
            ["network", "rank", "family", "top-1, %", "params", "MACs", "layers"],
            [
                [
                    f"[{row['name']}](truth/{row['architecture']})" if row["drawn"] == "yes" else f"**{row['name']}**",
                    f"{places[row['name']]}",
                    row["family"],
                    f"{row['accuracy']:.2f}",
                    f"{row['params']:,}",
                    f"{row['macs']:,}",
                    f"{row['layers']}",
                ]
                for row in shown.to_dict("records")
            ],
        ),
        "",
        beaten(rows),
        "",
        "## The recipe",
        "",
        prose(
            f"All {summary['images']['classes']} x 5,000 training images at {config.images.pixels} pixels, resized to {size};",
            f"{recipe.epochs} epoch{'s' * (recipe.epochs > 1)} in batches of {recipe.batch}; AdamW, peak rate {recipe.rate:g}",
            f"(linear up in {recipe.warmup:.0%} of the steps, cosine down), weight decay {recipe.weight_decay:g}; random shifts",
            f"by up to {recipe.shift} pixels and flips; float32, channels last, one thread. A network for 64 pixels has",
            "ImageNet's stem of stride 2 and so 32 x 32 positions behind it: it costs what one of stride 1 would at 32 pixels,",
            "and is of the space of `configs/search/demo.yaml`.",
            f"Median {statistics.median(rows['cpu_seconds']):.0f} CPU-seconds a training.",
        ),
        "",
        "## Files, and how it goes on",
        "",
        "[truth/](truth) is the run: the table `accuracy.csv`, `networks/` (architecture files), the journal, the configuration.",
        "",
        "    uninas bench table docs/results/truth/accuracy.csv --family family       # which score ranks them",
        "    uninas truth cifar10 --data cifar10 networks=16 --out runs/truth         # the pilot",
        "    uninas truth --resume runs/truth networks=128                            # and on",
        f"    {command()}",
        "",
        f"Trained with {'; '.join(environments)}.",
    ]
    return "\n".join(lines)


def keep(source: Path, folder: Path) -> None:
    """Copy the run, without where its images were."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name in (run.CONFIG, run.LIST, run.JOURNAL, run.STATUS, results.TABLE, results.SUMMARY):
        shutil.copyfile(source / name, folder / name)
    shutil.copytree(source / results.NETWORKS, folder / results.NETWORKS)
    write_json(folder / run.IMAGES, {**read_json(source / run.IMAGES), "folder": "cifar10"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--write", action="store_true", help="keep page, picture and run under docs/results")
    options = parser.parse_args()
    folder: Path = options.run
    config = settings.load(folder / run.CONFIG)
    rows = pandas.read_csv(folder / results.TABLE)
    sessions = json.loads((folder / run.STATUS).read_text(encoding="utf-8"))["sessions"]
    publish(page(config, run.results_of(folder), rows, sessions), "truth", write=options.write, folder=RESULTS)
    if options.write:
        (RESULTS / "truth.svg").write_text(picture(means(rows), pairs_of(rows)), encoding="utf-8")
        keep(folder, FOLDER)


if __name__ == "__main__":
    main()
