"""Folders of bench runs with data that looks like a measurement: accuracies like NAS-Bench-201's, scores that follow them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from search.bench.judging.papers import ABLATIONS, METRICS
from search.ranking import correlation

SINGLE = {
    "vkdnw_single": 1.2,
    "flops": 1.0,
    "synflow": 1.5,
    "snip": 2.2,
    "grad_norm": 3.0,
    "jacov": 1.1,
    "naswot": 1.2,
    "zen": 9.0,
    "zico": 1.1,
    "ssnr_synflow": 0.9,
    "ssnr_snip": 0.8,
    "lnwot": 1.3,
    "t_cet_synflow": 0.8,
    "t_cet_snip": 0.7,
    "ntk_condition": -2.5,
    "aleph": 1.1,
}
AGGREGATE = {"vkdnw_agg": 0.5, "az_nas": 0.6, "rank_average": 0.55}


def estimate(metric: str, scores: Any, accuracies: Any, *, resamples: int = 15) -> dict[str, float | None]:
    """A metric with a quick bootstrap interval, as results.json holds it."""
    value = getattr(correlation, metric)(scores, accuracies)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(resamples):
        rows = rng.integers(0, len(scores), len(scores))
        draws.append(getattr(correlation, metric)(scores[rows], accuracies[rows]))
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}


def make_run(folder: Path, *, dataset: str = "imagenet16_120", population: str = "reachable", networks: int = 240) -> Path:
    """A run of NAS-Bench-201 with every part that a page shows."""
    rng = np.random.default_rng(7)
    quality = rng.beta(5, 2, networks)
    accuracy = np.where(rng.random(networks) < 0.06, 10 + 20 * rng.random(networks), 20 + 27 * quality)
    table: dict[str, Any] = {
        "network": [f"|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~{i}|" for i in range(networks)],
        "index": np.arange(networks),
        "accuracy": accuracy,
    }
    for name, noise in (SINGLE | AGGREGATE).items():
        signal = np.sign(noise) * (quality - 0.7) * 6 + abs(noise) * rng.standard_normal(networks)
        table[name] = np.exp(2.2 * signal) if name in ("synflow", "grad_norm", "flops") else signal
    table["aleph"] = np.round(10 + 3 * table["aleph"])
    table["lnwot"][:3] = np.nan
    table["vkdnw_decile_1"] = rng.random(networks)
    rows = []
    for name in (*SINGLE, *AGGREGATE):
        scores = np.nan_to_num(table[name], nan=-1e9)
        rows.append(
            {
                "proxy": name,
                "kind": "aggregate" if name in AGGREGATE else "single",
                **{metric: estimate(metric, scores, accuracy) for metric in METRICS},
                "top": correlation.default_top(networks),
                "p_value": 0.000999,
                "networks": networks,
                "failed": {"no layer with a binary code": 3} if name == "lnwot" else {},
                "seconds": None if name in AGGREGATE else abs(SINGLE[name]) ** 2 / 5,
            }
        )
    model = {"value": 0.851, "low": 0.845, "high": 0.857}
    rows.append(
        {
            "proxy": "vkdnw_zcs_graf_m",
            "kind": "model",
            "kendall": model,
            "spearman": None,
            "ndcg": model,
            "top": None,
            "p_value": None,
            "networks": networks,
            "failed": {},
            "seconds": None,
        }
    )
    names = list(SINGLE)
    matrix = np.eye(len(names))
    for row, first in enumerate(names):
        for column in range(row):
            value = correlation.partial_correlation(table[first][:60], table[names[column]][:60], accuracy[:60])
            matrix[row, column] = matrix[column, row] = value
    results = {
        "benchmark": "nasbench201",
        "dataset": dataset,
        "population": population,
        "sample": networks,
        "seed": 0,
        "settings": {"batch": 64, "repeats": 1, "probes": None, "proxies": names, "pictures": None},
        "rows": rows,
        "partial": {"names": names, "matrix": matrix.tolist()},
        "agreement": [
            {"proxy": "naswot", "published": "nwot", "networks": networks, "spearman": {"value": 0.98, "low": 0.97, "high": 0.99}}
        ],
        "environment": {"python": "3.11", "torch": "2.13", "workers": 2},
    }
    return write(folder, results, pandas.DataFrame(table))


def make_timm(folder: Path) -> Path:
    """A run of the timm bench: three families, the means over them on top."""
    rng = np.random.default_rng(3)

    def rows(shift: float) -> list[dict[str, Any]]:
        found = []
        for place, name in enumerate(("params", "flops", "vkdnw_single", "naswot")):
            value = float(np.clip(0.8 - 0.2 * place + shift, -1, 1))
            one = {"value": value, "low": max(-1.0, value - 0.2), "high": min(1.0, value + 0.15)}
            found.append(
                {
                    "proxy": name,
                    "kind": "single",
                    "kendall": one,
                    "spearman": one,
                    "ndcg": one,
                    "top": 5,
                    "p_value": 0.01,
                    "networks": 12,
                    "failed": {},
                    "seconds": 2.0 + place,
                }
            )
        return found

    families = {"regnet": 12, "vit": 10, "resnet": 14}
    table: dict[str, list[Any]] = {"network": [], "family": [], "accuracy": [], "params": [], "naswot": []}
    for family, networks in families.items():
        for member in range(networks):
            table["network"].append(f"{family}_{member}")
            table["family"].append(family)
            table["accuracy"].append(70 + member + rng.random())
            table["params"].append(1e6 * 1.5**member)
            table["naswot"].append(member + 5 * rng.random())
    results = {
        "benchmark": "timm",
        "dataset": "imagenet",
        "population": "regnet|vit|resnet",
        "sample": 36,
        "seed": 0,
        "settings": {"batch": 8, "max_macs": 8e9},
        "rows": rows(0.0),
        "families": [
            {"family": name, "tag": "a1_in1k", "networks": count, "rows": rows(0.1 - 0.15 * place)}
            for place, (name, count) in enumerate(families.items())
        ],
        "environment": {"timm": "1.0"},
    }
    return write(folder, results, pandas.DataFrame(table))


def make_ablation(folder: Path, name: str = "fim_size", dataset: str = "imagenet16_120") -> Path:
    """A run of an ablation whose figures are the paper's, moved by a hundredth."""
    known = ABLATIONS[name]
    rows = []
    for label, figures in known.rows.items():
        row: dict[str, Any] = {"label": label}
        for metric in ("kendall",) if known.by_dataset else METRICS:
            value = figures.get(dataset if known.by_dataset else metric)
            if value is not None:
                row[metric] = {"value": value + 0.01, "low": value - 0.02, "high": value + 0.04}
        rows.append(row)
    results = {
        "benchmark": f"ablation {name}",
        "ablation": name,
        "table": known.table,
        "dataset": dataset,
        "population": "reachable",
        "sample": 500,
        "seed": 1,
        "rows": rows,
    }
    return write(folder, results, None)


def write(folder: Path, results: dict[str, Any], table: pandas.DataFrame | None) -> Path:
    """Write a run folder of these files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    if table is not None:
        table.to_csv(folder / "scores.csv", index=False)
    return folder
