"""An evaluator without torch whose scores are the sums of the real batch that its worker holds, and a folder of such images."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

from search.config.schema import PoolConfig
from search.monitor.progress import View
from search.workers import real_batches
from search.workers.interrupts import Interrupts
from search.workers.job import Job, Outcome, outcome_of
from search.workers.pool import Pool, SerialPool


def paint(folder: Path, classes: int = 2, each: int = 8, size: tuple[int, int] = (10, 10)) -> Path:
    """Images of random colours, one folder per class."""
    rng = random.Random(0)
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(each):
            image = Image.new("RGB", size)
            image.putdata([(rng.randrange(256), rng.randrange(256), rng.randrange(256)) for _ in range(size[0] * size[1])])
            image.save(folder / f"class{label}" / f"{number}.png")
    return folder


def prepare(device: str) -> dict[str, str]:
    return {"torch": "none", "device": device, "precision": "pictured"}


def evaluate(job: Job, device: str) -> Outcome:
    inputs, labels = real_batches.images(job.images or "")
    own = random.Random(job.digest).random()
    scores = {name: float(inputs.sum()) * own + float(labels.sum()) for name in job.proxies}
    return outcome_of(scores, {"build": 0.0, "score": 0.0})


def pictured_pool(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
    """A pool for `begin` and `resume`, whose workers are this file."""
    if config.kind == "serial":
        return SerialPool(evaluator=__name__, interruptible=interrupts.interruptible)
    from search.distributed.ray_pool import RayPool

    return RayPool(config, evaluator=__name__, note=view.note, interruptible=interrupts.interruptible)
