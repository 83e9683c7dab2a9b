"""A scorer for benches that needs neither torch nor Ray, the evaluator module of workers in tests, and toy accuracy tables.

What a score is depends on the network's name, the seed and the proxy alone. FAKE_DELAY in the environment is how many
milliseconds a job takes.
"""

import functools
import hashlib
import os
import time
from pathlib import Path

import numpy
import pandas

from search.bench.scoring.job import Job
from search.config.schema import PoolConfig
from search.distributed.ray_pool import RayPool
from search.monitor.progress import View
from search.workers.interrupts import Interrupts
from search.workers.job import Outcome, outcome_of
from search.workers.pool import Pool, SerialPool
from uninas.spaces import nasbench201

__all__ = ["Job", "cells", "evaluate", "fake_pool", "prepare", "toy_score", "write_table"]

FAILS = "zico"  # this proxy fails on every third network
FAKES = "tests.search.bench.fakes"


def toy_score(network: str, label: str, seed: int) -> float:
    """Convolutions counted, with noise that label and seed decide."""
    noise = int(hashlib.sha256(f"{network}{label}{seed}".encode()).hexdigest()[:8], 16) / 2**32
    return network.count("nor_conv_3x3") * 2 + network.count("nor_conv_1x1") + 2 * noise


def prepare(device: str) -> dict[str, str]:
    return {"torch": "none", "device": device, "precision": "toy"}


def evaluate(job: Job, device: str) -> Outcome:
    time.sleep(float(os.environ.get("FAKE_DELAY", "0")) / 1000)
    seed = job.setups["standard"].seed if "standard" in job.setups else 0
    values: dict[str, float | dict[str, str]] = {label: toy_score(job.network, label, seed) for label in job.requests}
    if FAILS in values and job.index % 3 == 0:
        values[FAILS] = {"failed": "too_few_weights: of this network"}
    details = {"vkdnw": {"deciles": [place + job.index / 1000 for place in range(9)]}} if "vkdnw" in values else {}
    return outcome_of(values, {"build": 0.0, "score": 0.0, **dict.fromkeys(values, 0.5)}, details)


def fake_pool(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
    if config.kind == "serial":
        return SerialPool(config.deadline_s, evaluator=FAKES, interruptible=interrupts.interruptible)
    return RayPool(config, evaluator=FAKES, note=view.note, interruptible=interrupts.interruptible)


@functools.cache
def _reachable() -> list[str]:
    return [cell for cell in nasbench201.all_cells() if nasbench201.is_reachable(cell)]


def cells(count: int) -> list[str]:
    """So many reachable cells."""
    known = _reachable()
    return [known[place] for place in numpy.random.default_rng(5).permutation(len(known))[:count]]


def write_table(folder: Path, count: int = 40, **changes: list[object]) -> pandas.DataFrame:
    """Write nb201_accuracies.csv of so many cells into a new folder: the more convolutions, the better. `changes`: columns."""
    names = cells(count)
    convolutions = numpy.array([name.count("nor_conv") for name in names])
    accuracy = 50 + 5 * convolutions + numpy.random.default_rng(1).random(count)
    columns = {"index": numpy.arange(count) * 2, "arch_str": names, "cifar10": accuracy, "cifar100": accuracy - 20}
    table = pandas.DataFrame({**columns, "imagenet16_120": accuracy - 30, **changes})
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "nb201_accuracies.csv", index=False)
    return table
