"""Run a benchmark, or resume one: read its networks, score them, judge the scores, write what was found.

request = request_for("nasbench201", Path("tables"), pool=PoolConfig(kind="serial"), sample=1500, out=Path("runs/c10"))
run, results = conduct(nasbench201.BENCHMARK, request, view=view)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy
import pandas

from search.bench.benchmarks.accuracy_table import Population
from search.bench.benchmarks.request import BenchRequest
from search.bench.judging import finish
from search.bench.scoring import settings as settings_files
from search.bench.scoring.plan import ScoringPlan, chosen_proxies
from search.bench.scoring.run import Scores, begin, check_new, make_pool, resume, stored
from search.bench.scoring.second_seed import with_second_seed
from search.bench.scoring.settings import Settings
from search.engine.session import PoolMaker
from search.monitor.progress import View
from search.workers import pictures
from uninas.errors import InputError
from uninas.files.writing import write_text

Note = Callable[[str], None]


class Benchmark(Protocol):
    """Networks whose trained accuracies are known: which a run scores, how, and what its scores are compared with."""

    @property
    def name(self) -> str:
        """What a run's settings call it."""

    def folder(self, request: BenchRequest) -> str:
        """Name the folder under runs/ that a run gets by default."""

    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        """Read the networks that a run may score: of a new run, or, by its settings, those that a run began with.

        Raises:
            InputError: of the table, or of an option that this benchmark does not take.
        """

    def settings(self, request: BenchRequest, population: Population, note: Note) -> Settings:
        """Decide the settings of a new run.

        Raises:
            InputError: of an option, or of the images.
        """

    def plan(self, settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
        """Say what is scored: `networks` in their order, each by every score under its label."""

    def conclude(
        self, run: Path, settings: Settings, population: Population, networks: pandas.DataFrame, scores: Scores, note: Note
    ) -> dict[str, Any]:
        """Judge the scores of `networks`, and write scores.csv and results.json; gives what the latter holds."""


def conduct(
    benchmark: Benchmark, request: BenchRequest, *, view: View, pool_maker: PoolMaker | None = None
) -> tuple[Path, dict[str, Any]]:
    """Do what is asked. Gives the run folder and what its results.json holds.

    Args:
        benchmark: whose networks.
        request: what is asked.
        view: what a person sees of it.
        pool_maker: makes what scores; None for `search.bench.scoring.run.make_pool`.

    Raises:
        InputError: of the table, the images, the options, the pool or the disk.
        KeyboardInterrupt: see `search.bench.scoring.run.begin`.
    """
    if request.resume is None and (request.retry or request.as_is or request.again or request.accept_changes):
        raise InputError("--again, --retry-failed, --as-is, --accept-changes: expected --resume RUN beside them; got none")
    maker = make_pool if pool_maker is None else pool_maker
    if request.resume is None:
        run = request.out or Path("runs") / benchmark.folder(request)
        check_new(run)  # before the table is read, which may take minutes
        population = benchmark.population(request, None, view.note)
        settings = replace(benchmark.settings(request, population, view.note), reliability=request.reliability)
    else:
        run, settings = request.resume, _continued(benchmark, request, request.resume)
        population = benchmark.population(request, settings, view.note)
        if population.digest != settings.population_digest:
            raise InputError(f"{population.source}: expected the networks that began {run}; these are other networks")
    for warning in population.warnings:
        view.note(f"warning: {warning}")
    networks = population.draw(settings.sample, settings.seed)
    plan = benchmark.plan(settings, networks)
    if settings.reliability is not None:
        plan = with_second_seed(plan, _twice(settings.reliability, networks, settings.seed, drawn=population.drawn))
    if request.resume is None:

        def keep() -> None:
            for name, text in population.keep.items():
                write_text(run / name, text)

        scores = begin(run, settings, plan, pool=request.pool, view=view, pool_maker=maker, also=keep)
    elif request.as_is:
        scores = stored(run)
    else:
        if settings.pictures is not None:
            pictures.read_batch(pictures.PictureBatch.from_dict(settings.pictures))  # missing or changed ones end it here
        again = _again(request)
        scores = resume(
            run,
            settings,
            plan,
            pool=request.pool,
            view=view,
            pool_maker=maker,
            retry=request.retry,
            again=again,
            accept_changes=request.accept_changes,
        )
    results = benchmark.conclude(run, settings, population, networks, scores, view.note)
    if settings.reliability is not None:
        finish.write_second(run, networks, scores, settings.proxies)
    return run, results


def _twice(count: int, networks: pandas.DataFrame, seed: int, *, drawn: bool) -> list[int]:
    """Choose what is scored under a second seed: the first of a sample; of networks that are in no random order, a sample."""
    if count > len(networks):
        raise InputError(f"--reliability: expected at most the {len(networks)} networks that are scored; got {count}")
    order = range(len(networks)) if drawn else numpy.random.default_rng(seed).permutation(len(networks))
    return [int(networks["index"].iloc[place]) for place in order[:count]]


def _continued(benchmark: Benchmark, request: BenchRequest, run: Path) -> Settings:
    """Give the settings of a resumed run: its own, with the networks, proxies and judgement that are asked for now."""
    before = settings_files.read_settings(run)
    if before.benchmark != benchmark.name:
        raise InputError(f"{run}: expected a run of {benchmark.name}; got one of {before.benchmark}")
    more = () if request.proxies is None else chosen_proxies(request.proxies)
    return before.extended(
        sample=request.sample,
        proxies=(*_again(request), *more),
        top=request.top,
        resamples=request.resamples,
        reliability=request.reliability,
    )


def _again(request: BenchRequest) -> tuple[str, ...]:
    return () if request.again is None else chosen_proxies(request.again, "--again")
