"""Run folders for the tests of the report: the real driver and the real space, with scores made up from digests.

So a folder has exactly the files that a search writes, and no torch is needed to make it.
"""

import dataclasses
import random
import shutil
from pathlib import Path

from search.config import loading
from search.config.schema import PoolConfig
from search.engine import driver
from search.monitor.progress import PlainView, View
from search.workers.interrupts import Interrupts
from search.workers.job import Job, Outcome, outcome_of, too_slow
from search.workers.pool import Done, Pool

CONFIG = """
space: {preset: coatnet, widths: [32, 64, 96, 96], depths: [1, 1, 2, 1], random_edits: 6}
algorithm: evolution
algorithm_options: {population: 12}
objective: vkdnw_agg
evaluations: 40
window: 4
size: 32
classes: 10
batch: 4
budget: {params: 900000, macs: 40000000, layers: 60}
finalists: {count: 3, seeds: 3}
pool: {kind: serial}
baseline: true
"""


DEVICES = ("cpu: paper <and> pencil", "cpu: abacus")


class FakePool:
    """Scores at once, by a rule of digest and seed; every `fail_every`-th digest fails, and `stop_after` jobs Ctrl-C comes."""

    def __init__(
        self, fail_every: int = 0, stop_after: int | None = None, reason: str = "out of memory", devices: int = 1
    ) -> None:
        self.fail_every = fail_every
        self.devices = devices
        self.stop_after = stop_after
        self.reason = reason
        self.waiting: list[tuple[int, Job]] = []
        self.done = 0

    def start(self) -> dict[str, str]:
        return {"torch": "9.9", "device": DEVICES[0], "precision": "float32"}

    def free(self) -> int:
        return 1 - len(self.waiting)

    def workers(self) -> int:
        return 1

    def submit(self, ticket: int, job: Job) -> None:
        self.waiting.append((ticket, job))

    def poll(self, timeout_s: float) -> list[Done]:
        if not self.waiting:
            return []
        if self.stop_after is not None and self.done >= self.stop_after:
            raise KeyboardInterrupt
        ticket, job = self.waiting.pop()
        self.done += 1
        return [Done(ticket, self.outcome(job), f"worker-{self.done % 2}")]

    def outcome(self, job: Job) -> Outcome:
        if self.fail_every and int(job.digest[:8], 16) % self.fail_every == 0:
            return Outcome({}, self.reason, {"build": 0.01})
        base, noise = random.Random(job.digest), random.Random(f"{job.digest}{job.seed}")
        latency, device = None, DEVICES[int(job.digest[8:], 16) % self.devices]
        if job.timing is not None:
            latency = round(2 + 8 * base.random(), 3)
            if job.timing.limit_ms is not None and latency > job.timing.limit_ms:
                return too_slow(latency, device, job.timing.limit_ms, {"build": 0.01, "latency": 0.1})
        values: dict[str, float] = {}
        for name in job.proxies:
            values[name] = 10 * base.random() + noise.random()
        if "vkdnw" in values:
            values["vkdnw"] = min(values["vkdnw"] / 5, 2.19)
        if "aleph" in values:
            values["aleph"] = float(round(30 + values["aleph"]))
        outcome = outcome_of(values, {"build": 0.01 + noise.random() / 100, "score": 0.2 + noise.random()})
        if latency is None:
            return outcome
        return dataclasses.replace(outcome, latency_ms=latency, device=device, seconds={**outcome.seconds, "latency": 0.1})

    def close(self) -> None:
        self.waiting.clear()


def make_run(
    folder: Path,
    *overrides: str,
    fail_every: int = 0,
    stop_after: int | None = None,
    reason: str = "out of memory",
    text: str = CONFIG,
    devices: int = 1,
) -> Path:
    """Make a run folder; with `stop_after` an interrupted one."""

    def pool_maker(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
        return FakePool(fail_every, stop_after, reason, devices)

    view = PlainView(lambda text: None, clock=lambda: 0.0)
    try:
        driver.begin(loading.parse(text, overrides), folder, view=view, pool_maker=pool_maker)
    except KeyboardInterrupt:
        assert stop_after is not None
    return folder


def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of a run to be changed; the shared one stays as it is."""
    return Path(shutil.copytree(run, tmp_path / "copy"))
