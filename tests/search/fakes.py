"""A toy space and a toy scorer with every vice: slow, crashing, hanging, raising, giving NaN. Also the evaluator module
of workers in tests: `prepare` and `evaluate` at the end. It imports neither torch nor Ray.

A toy network is a list of digits; an edit changes one to three of them. `Behaviour` travels to the worker within the job's text.
"""

import json
import os
import random
import resource
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.algorithms.candidate import Candidate
from search.testing import DigitSpace, digit_scores
from search.workers.job import Job, Outcome, outcome_of, too_slow

PLACES, BASE = 6, 10


@dataclass(frozen=True)
class ToySpace(DigitSpace):
    """The space of the shipped checks; `behaviour` says what its scorer does, see `evaluate`."""

    behaviour: Mapping[str, Any] | None = None

    def text(self, candidate: Candidate) -> str:
        return json.dumps({"digits": candidate.body, "behaviour": self.behaviour or {}})


toy_scores = digit_scores


def toy_latency(digits: Sequence[int]) -> float:
    """Milliseconds, grown with the larger digits."""
    return 1.0 + sum(digit * digit for digit in digits) / 10


def prepare(device: str) -> dict[str, str]:
    return {"torch": "none", "device": device, "precision": "toy"}


def evaluate(job: Job, device: str) -> Outcome:
    """Score a toy network, misbehaving first as the job's text says. A digest is hit where it starts with a given prefix.

    delay: mean milliseconds, uneven by digest and worker. raise, nan, incomplete (no vkdnw), hang, die, eat: prefixes; eat takes
    memory until there is no more, and then plays the system's killer. die_once: prefixes whose first evaluation kills the worker,
    remembered by a file in the folder `memory`. jitter: milliseconds, no two measured latencies are the same. slow_device:
    prefixes whose latency another device measured.
    """
    network = json.loads(job.architecture)
    behaviour = network["behaviour"]

    def hit(vice: str) -> bool:
        return any(job.digest.startswith(prefix) for prefix in behaviour.get(vice, ()))

    if "delay" in behaviour:
        time.sleep(behaviour["delay"] / 1000 * random.Random(f"{job.digest}{os.getpid()}").expovariate(1.0))
    if hit("raise"):
        raise ValueError("this network cannot be scored")
    if hit("hang"):
        while True:
            time.sleep(0.01)
    if hit("eat"):
        _eat()
    if hit("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if hit("die_once"):
        mark = Path(behaviour["memory"]) / job.digest
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    latency_ms, model = None, "toy: quick"
    if job.timing is not None:
        latency_ms = toy_latency(network["digits"]) + random.uniform(0, behaviour.get("jitter", 0.0))
        model = "toy: slow" if hit("slow_device") else model
        if job.timing.limit_ms is not None and latency_ms > job.timing.limit_ms:
            return too_slow(latency_ms, model, job.timing.limit_ms, {"build": 0.0})
    scores = toy_scores(network["digits"], job.seed)
    wanted: dict[str, Any] = {name: float("nan") if hit("nan") else scores[name] for name in job.proxies}
    if hit("incomplete"):
        wanted["vkdnw"] = {"failed": "too_few_rows: of this network"}
    outcome = outcome_of(wanted, {"build": 0.0, "score": 0.0}, whole=True)
    return outcome if latency_ms is None else replace(outcome, latency_ms=latency_ms, device=model)


def _eat() -> None:
    """Fill half a gigabyte more than there is leave for, then die as under the system's out-of-memory killer."""
    resource.setrlimit(resource.RLIMIT_DATA, (256 << 20, resource.RLIM_INFINITY))
    eaten = []
    try:
        while True:
            eaten.append(bytearray(16 << 20))
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)
