"""How the scores since 2023 rank the cells of NAS-Bench-201, beside what their papers print: a page of runs of `uninas bench`.

uninas bench nasbench201 --data DIR --dataset cifar10 --sample 209 --proxies meco,near --out runs/c10
python -m benchmarks.results.newer_scores_page runs/c10 runs/c100 runs/in16 --write
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.page import RESULTS, command, publish
from proxies.recent import RECENT

DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16_120": "ImageNet16-120"}

PRINTED: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "kendall": {"near": (0.70, 0.69, 0.66), "intrain": (0.669, 0.671, 0.675)},
    "spearman": {"meco": (0.894, 0.883, 0.845)},
}
"""Figures of the papers that define the scores, by metric and proxy, in the order of `DATASETS`."""

REMARKS = (
    "Weights are drawn once, inputs are noise, whose labels are random. The papers measure on pictures and cells of their",
    "own.",
    "",
    "- NSC and the entropy need no network: on all 9,445 cells, in 4 CPU-seconds, their Kendall's tau is .645 .641 .607 and .651",
    "  .647 .612. On the 209 of the run on CIFAR-10 they have .02 less on that: these cells are the harder ones.",
    "- MeCo: the authors' code reads the results of all modules, here convolutions, linear layers and norms count. On the first",
    "  100 cells of the run on ImageNet16-120 rectifiers, pools and sums add .014 to Spearman's rho.",
    "- InTrain: the gradients of the whole batch instead of the mean of four parts; on the first 60 cells that takes .002 to",
    "  .005 from Kendall's tau.",
)


def figure(value: Mapping[str, Any]) -> str:
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def place(value: Mapping[str, Any], printed: float, digits: int) -> str:
    half = 0.5 * 10.0**-digits + 1e-9
    if value["low"] > printed + half:
        return "above"
    return "below" if value["high"] < printed - half else "inside"


def rows_of(runs: Mapping[str, Mapping[str, Any]], metric: str) -> list[str]:
    lines = []
    for name in (spec.name for spec in RECENT):
        cells = []
        for number, dataset in enumerate(DATASETS):
            found = next((row for row in runs[dataset]["rows"] if row["proxy"] == name), None) if dataset in runs else None
            printed = PRINTED[metric].get(name)
            cell = "–" if found is None or found[metric]["value"] is None else figure(found[metric])
            if printed is not None and found is not None:
                digits = 3 if any(round(value, 2) != value for value in printed) else 2
                cell += f"; paper {printed[number]:.{digits}f}: {place(found[metric], printed[number], digits)}"
            cells.append(cell)
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of `uninas bench nasbench201`, one a dataset")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/results/newer_scores.md")
    options = parser.parse_args()
    runs = {}
    for folder in options.runs:
        data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        runs[data["dataset"]] = data
    counts = ", ".join(f"{runs[dataset]['sample']} on {label}" for dataset, label in DATASETS.items() if dataset in runs)
    text = ["# The scores since 2023 on NAS-Bench-201", ""]
    text += [
        f"Cells drawn at random among the 9,445 reachable ones: {counts}. Intervals are 95% bootstrap intervals.",
        *REMARKS,
        "",
    ]
    for metric, title in (("kendall", "Kendall's tau"), ("spearman", "Spearman's rho")):
        text += [
            f"## {title}",
            "",
            f"| score | {' | '.join(DATASETS.values())} |",
            "|---|---|---|---|",
            *rows_of(runs, metric),
            "",
        ]
    publish("\n".join([*text, f"    {command()}"]), "newer_scores", write=options.write, folder=RESULTS)


if __name__ == "__main__":
    main()
