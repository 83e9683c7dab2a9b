"""An evaluator without torch: scores drawn from the digest and the seed, of the network that the job's text really holds."""

from __future__ import annotations

import random

import uninas
from search.config.schema import PoolConfig
from search.monitor.progress import View
from search.workers.interrupts import Interrupts
from search.workers.job import Job, Outcome, outcome_of
from search.workers.pool import Pool, SerialPool


def prepare(device: str) -> dict[str, str]:
    return {"torch": "none", "device": device, "precision": "counted"}


def evaluate(job: Job, device: str) -> Outcome:
    network = uninas.parse(job.architecture)
    assert (network.digest, network.classes) == (job.digest, job.classes)
    noise = random.Random(f"{job.digest}{job.seed}")
    scores = {name: uninas.cost(network, job.size).params * (1 + noise.random()) for name in job.proxies}
    return outcome_of(scores, {"build": 0.0, "score": 0.0})


def counted_pool(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
    """A pool for `begin` and `resume` whose worker is this file."""
    return SerialPool(evaluator=__name__, interruptible=interrupts.interruptible)
