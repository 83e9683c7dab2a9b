"""The bench of real ImageNet networks: rankings within families of one recipe, and their mean over the families.

RUN/networks.csv    which networks, their families and accuracies: chosen once, by counting their operations
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy
import pandas

from search.bench.benchmarks import timm_families
from search.bench.benchmarks.accuracy_table import Population, population_of, read_csv
from search.bench.benchmarks.conduct import Benchmark, Note, conduct
from search.bench.benchmarks.request import BenchRequest, request_for
from search.bench.judging import finish, judge
from search.bench.scoring.job import Request, Setup
from search.bench.scoring.plan import STANDARD, Network, ScoringPlan, chosen_proxies
from search.bench.scoring.run import Scores
from search.bench.scoring.settings import Settings
from search.engine.session import PoolMaker
from search.monitor.progress import View
from search.ranking import correlation
from search.ranking.budget import Held
from search.ranking.correlation import Floats
from search.ranking.objective import SPECTRA, Objective
from search.ranking.ranks import ranks
from search.ranking.reliability import reliability
from uninas.errors import InputError

NETWORKS = "networks.csv"

_COLUMNS = ("index", "network", "accuracy", "size", "family", "tag")

Count = Callable[..., int]


def choose_networks(request: BenchRequest, note: Note, count: Count | None = None) -> pandas.DataFrame:
    """Choose the networks of a new run. `count`: see `search.bench.benchmarks.timm_families.choose`; None for timm's."""
    if count is None:
        from search.bench.scoring import timm_networks  # timm: only where nobody else counts

        count = timm_networks.macs
    found = timm_families.read_results(request.data, note)
    own = request.own
    return timm_families.choose(
        found, families=own["families"], max_macs=own["max_macs"], size=own["size"], note=note, count=count
    )


def networks_of(run: Path, table: Path, note: Note) -> pandas.DataFrame:
    """Read the networks that a run began with, with the accuracies of `table`.

    Raises:
        InputError: a file is missing or wrong, or `table` lacks a network of the run.
    """
    networks = read_csv(run / NETWORKS, _COLUMNS, "the networks of a run")
    networks["tag"] = networks["tag"].fillna("")  # a name without a tag
    found = timm_families.read_results(table, note).set_index("network")["accuracy"]
    missing = [name for name in networks["network"] if name not in found.index]
    if missing:
        raise InputError(f"{table}: expected accuracies of the run's {len(networks)} networks; {len(missing)} lack: {missing[0]}")
    return networks.assign(accuracy=networks["network"].map(found))


def plan_for(settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
    """Say what is scored: every network at its own size, or all at one, each proxy under its own name."""
    options = {} if settings.probes is None else {"probes": settings.probes}
    return ScoringPlan(
        source="timm",
        classes=timm_families.CLASSES,
        networks=[
            Network(int(row["index"]), row["network"], (3, *(settings.size or (int(row["size"]), int(row["size"])))))
            for row in networks.to_dict("records")
        ],
        setups={STANDARD: Setup(settings.batch, settings.seed, settings.repeats)},
        requests={name: Request(name, options if name in SPECTRA else {}) for name in settings.proxies},
    )


def conclude(
    run: Path, settings: Settings, networks: pandas.DataFrame, scores: Scores, *, note: Callable[[str], None]
) -> dict[str, Any]:
    """Judge the scores within each family and over the families, and write scores.csv and results.json."""
    labels = settings.proxies
    tables = []
    for name, members in networks.groupby("family", sort=False):  # population ranks are within the family
        table = judge.score_table(members, scores, labels)
        if len(table) < len(members):
            note(f"{name}: {len(table)} networks of {len(members)} have all scores{'' if len(table) > 1 else '; left out'}")
        if len(table) > 1:
            tables.append(table)
    if not tables:
        raise InputError(f"{run}: expected a family with two networks that have all scores; there is none yet")
    found = []
    for place, table in enumerate(tables):
        drawn = settings.seed + place  # as in the mean over families
        rows = judge.judge(table, scores, labels, top=None, resamples=settings.resamples, seed=drawn, note=note)
        family, tag = table["family"].iloc[0], table["tag"].iloc[0]
        found.append({"family": family.partition(".")[0], "tag": tag, "networks": len(table), "rows": rows})
    names = [(row["proxy"], row["kind"]) for row in found[0]["rows"]]
    table = pandas.concat(tables, ignore_index=True)
    how = {"resamples": settings.resamples, "seed": settings.seed}
    held = [judge.held_of(one, resamples=settings.resamples, seed=settings.seed + place) for place, one in enumerate(tables)]
    over = [over_families(tables, found, name, kind, **how) | at_budget(tables, held, name) for name, kind in names]
    for row in over:
        row |= within_families(tables, scores, judge.objective_of(row["proxy"], labels), **how)
    data = finish.results(settings, table, judge.by_kendall(over), scores, more={"families": found})
    finish.write(run, data, table)
    return data


def over_families(
    tables: Sequence[pandas.DataFrame], families: Sequence[Mapping[str, Any]], name: str, kind: str, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Average a ranking's figures over the families, each counting the same.

    The interval: each family's networks are resampled by themselves, and the mean is taken anew. A family in which a metric does
    not exist (all scores equal) is left out of that metric's mean; `families` says how many are in Kendall's.
    """
    figures: dict[str, Any] = {}
    counted = 0
    for metric, statistic in correlation.METRICS.items():
        values, draws = [], []
        for place, table in enumerate(tables):
            columns = correlation.prepared(metric, table[name].to_numpy(dtype=numpy.float64), table["accuracy"].to_numpy())
            value = float(statistic(*(column[None] for column in columns), seed=seed)[0])
            if math.isfinite(value):
                values.append(value)
                draws.append(correlation.replicates(statistic, columns, resamples=resamples, seed=seed + place))
        if metric == "kendall":
            counted = len(values)
        figures[metric] = mean_of(values, draws)
    rows = [next(row for row in family["rows"] if row["proxy"] == name) for family in families]
    failed: dict[str, int] = {}
    for row in rows:
        for reason, number in row["failed"].items():
            failed[reason] = failed.get(reason, 0) + number
    timed = [(row["seconds"], row["networks"]) for row in rows if row["seconds"] is not None]
    weight = sum(number for _, number in timed)
    return {
        "proxy": name,
        "kind": kind,
        **figures,
        "top": None,
        "p_value": None,
        "networks": sum(row["networks"] for row in rows),
        "families": counted,
        "failed": failed,
        "seconds": math.fsum(seconds * number for seconds, number in timed) / weight if weight else None,
    }


def at_budget(tables: Sequence[pandas.DataFrame], held: Sequence[Held | None], name: str) -> dict[str, Any]:
    """Average a ranking's correlation at equal budget over the families that have one, as `over_families` does."""
    made = [one.values(table[name].to_numpy(dtype=numpy.float64)) for one, table in zip(held, tables, strict=True) if one]
    there = [values for values in made if math.isfinite(values[0])]
    if not made:
        return {}
    return {judge.AT_BUDGET: mean_of([float(values[0]) for values in there], [values[1:] for values in there])}


def within_families(
    tables: Sequence[pandas.DataFrame], scores: Scores, objective: Objective, *, resamples: int, seed: int
) -> dict[str, dict[str, float | None]]:
    """Estimate how far a ranking can be trusted: by the ranks within each family, from 0 to 1, of all families together."""
    parts, networks = list[list[Floats]](), 0
    for table in tables:
        both = judge.under_two_seeds(objective, scores, table["index"])
        networks += len(both[0])
        whole = [all(objective.complete(values) for values in seeds) for seeds in zip(*both, strict=True)]
        kept = [list(itertools.compress(one, whole)) for one in both]
        parts.append([ranks(objective.rank(one)) / (len(one) + 1) for one in kept])
    if not networks:
        return {}
    columns = [numpy.concatenate(seeds) for seeds in zip(*parts, strict=True)]
    return {judge.RELIABILITY: {**reliability(columns, seed=seed, resamples=resamples).as_dict(), "networks": networks}}


def mean_of(values: Sequence[float], draws: Sequence[Floats]) -> dict[str, float | None]:
    """Give the mean over families, with the interval of its resamples; `draws`: each family's resampled values."""
    if not values:
        return {"value": None, "low": None, "high": None}
    table_of_draws = numpy.stack(draws)  # a resample of a small family may leave a metric undefined: it is left out, too
    there = numpy.isfinite(table_of_draws)
    counts = there.sum(axis=0)
    means = numpy.where(there, table_of_draws, 0.0).sum(axis=0)[counts > 0] / counts[counts > 0]
    return correlation.interval(math.fsum(values) / len(values), means).as_dict()


@final
@dataclass(frozen=True)
class _Timm:
    """See `search.bench.benchmarks.conduct.Benchmark`."""

    count: Count | None = None
    name: str = "timm"

    def folder(self, request: BenchRequest) -> str:
        return f"timm-{request.seed}"

    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        if request.top is not None:
            raise InputError("--top: expected not to be given: families have different sizes, each has its own P")
        if request.resume is not None:
            return population_of(networks_of(request.resume, request.data, note), request.resume / NETWORKS, drawn=False)
        networks = choose_networks(request, note, self.count)
        return population_of(networks, request.data, drawn=False, keep={NETWORKS: networks.to_csv(index=False)})

    def settings(self, request: BenchRequest, population: Population, note: Note) -> Settings:
        own = request.own
        return Settings(
            benchmark="timm",
            dataset=request.dataset,
            population=own["families"] or "all",
            population_digest=population.digest,
            proxies=chosen_proxies(request.proxies, thin=False),
            seed=request.seed,
            batch=request.batch,
            repeats=request.repeats,
            probes=request.probes,
            size=None if own["size"] is None else (own["size"], own["size"]),
            resamples=request.resamples or 300,
            extra={"max_macs": own["max_macs"], "min_members": timm_families.MIN_MEMBERS},
        )

    def plan(self, settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
        return plan_for(settings, networks)

    def conclude(
        self, run: Path, settings: Settings, population: Population, networks: pandas.DataFrame, scores: Scores, note: Note
    ) -> dict[str, Any]:
        return conclude(run, settings, networks, scores, note=note)


BENCHMARK: Benchmark = _Timm()


def bench(
    table: Path,
    resume: Path | None = None,
    *,
    view: View,
    pool_maker: PoolMaker | None = None,
    count: Count | None = None,
    **asked: Any,
) -> tuple[Path, dict[str, Any]]:
    """Run this benchmark on the results in `table`, or resume a run. Gives the run folder and what its results.json holds.

    `asked`: pool and other fields of `search.bench.benchmarks.request.BenchRequest`, and families, max_macs, size; `count`: see
    `search.bench.benchmarks.timm_families.choose`. Raises as `conduct`.
    """
    return conduct(_Timm(count), request_for("timm", table, resume, **asked), view=view, pool_maker=pool_maker)
