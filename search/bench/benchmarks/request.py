"""What is asked of a bench: one value, made by the command and passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.bench.benchmarks.table import BENCHMARKS
from search.config.schema import PoolConfig


@dataclass(frozen=True)
class BenchRequest:
    """A benchmark to run, or a run to resume.

    Attributes:
        data: the table of trained accuracies: a folder or a file, as the benchmark says.
        pool: who scores.
        dataset: whose accuracies judge.
        batch: samples that a score is computed on.
        proxies: names separated by commas; None for all, and on a resume for no more than the run has.
        sample: how many networks, drawn by `seed`; None for all, and on a resume for as many as the run has.
        seed: decides the sample, inputs and initial weights.
        images: folder of images, one folder per class, for a real batch; None for random input.
        repeats: initialisations that a score is averaged over.
        probes: random probes per sample for VKDNW; None for the exact Fisher matrix.
        top: P of nDCG; None for the default of the sample's size.
        resamples: of the bootstrap; None for 300, and on a resume for the run's.
        out: run folder to create; None for the benchmark's default.
        reliability: how many networks to score under a second seed too; None for none, or on a resume the run's.
        own: options that this benchmark alone has, by name.
        resume: run folder to resume; of the above only `data`, `pool`, `proxies`, `sample`, `top`, `resamples` and `reliability`
            then count.
        retry: with `resume`: score again what failed.
        again: with `resume`: names of raw scores to compute anew, separated by commas, after their definition changed.
        accept_changes: with `resume`: score the rest although the scoring code has changed since.
        as_is: with `resume`: score nothing and judge what there is, also of a run in progress.
    """

    data: Path
    pool: PoolConfig
    dataset: str
    batch: int
    proxies: str | None = None
    sample: int | None = None
    seed: int = 0
    images: Path | None = None
    repeats: int = 1
    probes: int | None = None
    top: int | None = None
    resamples: int | None = None
    out: Path | None = None
    reliability: int | None = None
    own: Mapping[str, Any] = field(default_factory=dict)
    resume: Path | None = None
    retry: bool = False
    again: str | None = None
    accept_changes: bool = False
    as_is: bool = False


def request_for(name: str, data: Path, resume: Path | None = None, **asked: Any) -> BenchRequest:
    """Ask for a benchmark of `BENCHMARKS`: what is not given has the benchmark's default.

    Raises:
        TypeError: an option that the benchmark does not have.
    """
    entry = BENCHMARKS[name]
    own = {option.name: asked.pop(option.name, option.default) for option in entry.own}
    return BenchRequest(data=data, resume=resume, own=own, **{"dataset": entry.datasets[0], "batch": entry.batch, **asked})
