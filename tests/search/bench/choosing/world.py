"""Runs as choosing reads them: scores that are a known quality and noise, written without scoring anything."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from search.bench.choosing.referees import NetworkSet, Referee
from search.bench.scoring.records import NetworkScore
from search.bench.scoring.settings import Settings
from search.journal.records import Header

OWN = ("aleph", "vkdnw", "jacov", "expressivity", "trainability", "flops")
SETTINGS = Settings("nasbench201", "cifar10", "reachable", "digest", ("flops",), sample=80)


def scores(count: int = 80, seed: int = 0) -> pandas.DataFrame:
    """Weak scores of the reference, two good ones, a twin, a constant, one that fails."""
    rng = np.random.default_rng(seed)
    quality = rng.standard_normal(count)
    table: dict[str, Any] = {"network": [f"cell {place}" for place in range(count)], "index": np.arange(count) * 3}
    table["accuracy"] = 60 + 8 * quality + rng.standard_normal(count)
    for name in OWN:
        table[name] = quality + 2.5 * rng.standard_normal(count)
    table["aleph"] = np.round(table["aleph"])
    table["synflow"] = np.exp(quality + 0.4 * rng.standard_normal(count))
    table["synflow_log"] = np.log(table["synflow"])
    table["zico"] = quality + 0.5 * rng.standard_normal(count)
    table["snip"] = rng.standard_normal(count)
    table["zen"] = np.zeros(count)
    table["linear_regions"] = table["accuracy"]
    found = pandas.DataFrame(table)
    found.loc[::9, "zico"] = math.nan
    return found


def write_run(folder: Path, table: pandas.DataFrame, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    table.to_csv(folder / "scores.csv", index=False)
    dataclasses.replace(SETTINGS, **changes).write(folder)
    return folder


def write_seconds(run: Path, seconds: dict[str, float], networks: int = 3) -> Path:
    """Give a run a journal in which every network took these CPU-seconds, in that order of scores; the settings name them."""
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps({**settings, "proxies": list(seconds)}))
    records: list[Any] = [Header("digest")]
    for place in range(networks):
        records.append(NetworkScore(place, f"cell {place}", dict.fromkeys(seconds, 1.0), {}, "ok", None, seconds, "scorer-0", 1))
    (run / "journal.jsonl").write_text("".join(f"{json.dumps(record.as_dict())}\n" for record in records))
    return run


def network_set(*tables: pandas.DataFrame, name: str = "toy") -> NetworkSet:
    return NetworkSet(tuple(Referee(f"{name}/{place}", Path(name), SETTINGS, table) for place, table in enumerate(tables)))
