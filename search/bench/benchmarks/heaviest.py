"""Which network of a run the cost of a score is measured on: the one with the most MACs, which a run has to wait for."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path

import pandas

from search.bench.benchmarks import nasbench201
from search.bench.benchmarks.of_space import PointsReferee
from search.bench.benchmarks.request import request_for
from search.bench.benchmarks.table import BENCHMARKS
from search.bench.judging.finish import SCORES
from search.bench.scoring import settings as settings_files
from search.bench.scoring.plan import Network, ScoringPlan
from search.config.schema import PoolConfig
from uninas.errors import InputError

__all__ = ["heaviest"]

_SIZES = ("flops", "params")
"""Scores that say how heavy a network is; the first that a run has does."""


def heaviest(run: Path, data: Path | None, note: Callable[[str], None]) -> tuple[ScoringPlan, Network]:
    """Give the plan of a run, and its network with the most MACs, or parameters where MACs were not scored; of NAS-Bench-201 the
    cell with 3x3 convolutions on all edges, which a sample need not have.

    Args:
        run: folder of a finished run.
        data: the table of the run; only where its networks are more than points of a space.
        note: receives what is wrong with the table.

    Raises:
        InputError: no run, no scores yet, or the table is missing or another.
    """
    settings = dataclasses.replace(settings_files.read_settings(run), top=None)
    if settings.benchmark == nasbench201.BENCHMARK.name:
        return nasbench201.heaviest(run)
    if settings.benchmark not in BENCHMARKS:
        raise InputError(f"{run}: expected a run of {', '.join(BENCHMARKS)}; got one of {settings.benchmark}")
    benchmark = importlib.import_module(BENCHMARKS[settings.benchmark].module).BENCHMARK
    try:
        scores = pandas.read_csv(run / SCORES)
    except (OSError, ValueError) as error:
        raise InputError(f"{run / SCORES}: expected the scores of a finished run; {error}") from None
    size = next((name for name in _SIZES if name in scores.columns), None)
    index = int(scores["index"].iloc[0] if size is None else scores.loc[scores[size].idxmax(), "index"])
    if data is not None:
        request = request_for(settings.benchmark, data, run, pool=PoolConfig(kind="serial"))
        population = benchmark.population(request, settings, note)
        if population.digest != settings.population_digest:
            raise InputError(f"{population.source}: expected the networks that began {run}; these are other networks")
        networks = population.table[population.table["index"] == index]
    elif isinstance(benchmark, PointsReferee):
        networks = scores.loc[scores["index"] == index, ["index", "network", "accuracy"]]
    else:
        raise InputError(f"{run}: expected --data beside it, the table that the run was made of: it defines the networks")
    plan = benchmark.plan(settings, networks)
    return plan, plan.networks[0]
