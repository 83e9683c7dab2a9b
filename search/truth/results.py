"""What a ground truth gives: its table, which `uninas bench table` reads, and how much of it is noise.

RUN/accuracy.csv    one row per training: architecture, accuracy, seed, family, and what it cost
RUN/truth.json      the recipe, the images, how far two seeds agree, accuracies by family, what failed

Two seeds of one network differ by luck: initial weights, order, augmentation. Where the networks differ by much more, the table
ranks them; the figures for that are Kendall's tau between the seeds and the ratio of the two deviations.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.ranking.correlation import estimate
from search.training.images import ImageFolder
from search.truth.networks import Network
from search.truth.records import Training
from search.truth.settings import TruthConfig
from uninas.files.tables import write_csv
from uninas.files.writing import write_json

__all__ = ["LEAST_KENDALL", "LEAST_RATIO", "Trainings", "noise", "rows", "summary", "write"]

TABLE, SUMMARY, NETWORKS = "accuracy.csv", "truth.json", "networks"
FORMAT, VERSION = "uninas-truth", 1
LEAST_KENDALL, LEAST_RATIO = 0.6, 3.0
"""A recipe ranks networks where two seeds agree so well, and the networks deviate so many times as much as their seeds."""

Trainings = Mapping[tuple[str, int], Training]
"""By network and seed."""


def rows(networks: Sequence[Network], trainings: Trainings) -> list[dict[str, Any]]:
    """Give the table: a row per training that gave an accuracy, in the order of the networks."""
    found = []
    for network in networks:
        for seed in sorted(seed for name, seed in trainings if name == network.name):
            training = trainings[network.name, seed]
            if training.top1 is None:
                continue
            found.append(
                {
                    "architecture": f"{NETWORKS}/{network.name}.json",
                    "accuracy": round(training.top1, 4),
                    "seed": seed,
                    "family": network.family,
                    "drawn": "yes" if network.drawn else "no",
                    "params": network.cost.params,
                    "macs": network.cost.macs,
                    "layers": network.cost.layers,
                    "loss": training.loss,
                    "cpu_seconds": training.seconds.get("cpu"),
                    "digest": network.architecture.digest,
                }
            )
    return found


def noise(networks: Sequence[Network], trainings: Trainings) -> dict[str, Any] | None:
    """Say how far the first two seeds of the repeated networks agree; None for fewer than three of them.

    Presets do not count: they differ more than what is drawn, and would flatter the recipe.

    Returns:
        networks, Kendall's tau of the seeds with its interval, the deviations between networks (of their means) and between the
        seeds of one, in points; their ratio; whether the recipe ranks.
    """
    pairs = []
    for network in networks:
        if not network.drawn:
            continue
        ends = [trainings[network.name, seed].top1 for seed in (0, 1) if (network.name, seed) in trainings]
        both = [top1 for top1 in ends if top1 is not None]
        if len(both) == 2:
            pairs.append(both)
    if len(pairs) < 3:
        return None
    kendall = estimate("kendall", [one for one, _ in pairs], [other for _, other in pairs], seed=0)
    between = statistics.stdev(statistics.fmean(pair) for pair in pairs)
    within = statistics.fmean((one - other) ** 2 / 2 for one, other in pairs) ** 0.5
    ratio = between / within if within else None
    return {
        "networks": len(pairs),
        "kendall": kendall.as_dict(),
        "between_networks": between,
        "between_seeds": within,
        "ratio": ratio,
        "ranks": kendall.value >= LEAST_KENDALL and (ratio is None or ratio >= LEAST_RATIO),
    }


def summary(config: TruthConfig, images: ImageFolder, networks: Sequence[Network], trainings: Trainings) -> dict[str, Any]:
    """Give what truth.json holds."""
    accuracies: dict[str, list[float]] = {}
    for network in networks:
        ends = [one.top1 for (name, _), one in trainings.items() if name == network.name and one.top1 is not None]
        if ends:
            accuracies.setdefault(network.family if network.drawn else "presets", []).append(statistics.fmean(ends))
    return {
        "format": FORMAT,
        "version": VERSION,
        "recipe": config.recipe.as_dict(),
        "size": config.size,
        "images": {"classes": len(images.classes), "pixels": images.pixels, "digest": images.digest},
        "networks": len(networks),
        "trained": len({name for name, _ in trainings}),
        "trainings": len(trainings),
        "noise": noise(networks, trainings),
        "families": {
            name: {
                "networks": len(values),
                "mean": statistics.fmean(values),
                "deviation": statistics.stdev(values) if len(values) > 1 else None,
                "best": max(values),
            }
            for name, values in accuracies.items()
        },
        "failed": {one.network: one.reason for one in trainings.values() if one.status != "ok"},
    }


def write(folder: Path, config: TruthConfig, images: ImageFolder, networks: Sequence[Network], trainings: Trainings) -> None:
    """Write both files; also while trainings are left, so that what is there can be used."""
    write_csv(folder / TABLE, rows(networks, trainings))
    write_json(folder / SUMMARY, summary(config, images, networks, trainings))
