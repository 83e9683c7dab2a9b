"""The bench of real ImageNet networks: rankings within families of one recipe, and their mean over the families.

RUN/networks.csv    which networks, their families and accuracies: chosen once, by counting their operations
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial as bound
from pathlib import Path
from typing import Any

import numpy
import pandas

from proxies.table import TABLE
from search.bench.benchmarks import timm_families
from search.bench.benchmarks.accuracy_table import population_of, read_csv
from search.bench.judging import finish, judge
from search.bench.scoring import settings as settings_files
from search.bench.scoring.job import Request, Setup
from search.bench.scoring.plan import STANDARD, Network, Plan, chosen_proxies
from search.bench.scoring.run import PoolMaker, Scores, begin, check_new, make_pool, stored
from search.bench.scoring.run import resume as take_up
from search.bench.scoring.settings import Settings
from search.config.schema import PoolConfig
from search.monitor.progress import View
from search.ranking import correlation
from search.ranking.objective import SPECTRA
from uninas.errors import InputError
from uninas.runtime.files import write_text

NETWORKS = "networks.csv"
LEFT_OUT = tuple(name for name, spec in TABLE.items() if "timm" in spec.left_out)
"""Not scored unless asked for by name: what needs a thin variant of a network, which a foreign network does not have."""

_COLUMNS = ("index", "network", "accuracy", "size", "family", "tag")


def bench(
    table: Path,
    resume: Path | None = None,
    *,
    pool: PoolConfig,
    view: View,
    proxies: str | None = None,
    families: str | None = None,
    max_macs: float = 8e9,
    batch: int = 8,
    size: int | None = None,
    seed: int = 0,
    repeats: int = 1,
    probes: int | None = None,
    resamples: int | None = None,
    out: Path | None = None,
    retry: bool = False,
    again: str | None = None,
    as_is: bool = False,
    pool_maker: PoolMaker = make_pool,
    count: Callable[..., int] | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Do the whole benchmark, or take one up: score, judge, write. Gives the run folder and what its results.json holds.

    Args:
        table: a CSV with columns model, img_size, top1.
        resume: a run folder; of the arguments below only `proxies` and `resamples` then count.
        pool, view, pool_maker: who scores, and what a person sees of it.
        proxies: names separated by commas, None for all but `LEFT_OUT` (on a resume: none more).
        families, max_macs, size, count: see `search.bench.benchmarks.timm_families.choose`.
        batch, seed, repeats, probes: see `search.bench.scoring.settings.Settings`.
        resamples: of the bootstrap, default 300.
        out: run folder to create.
        retry, again, as_is: with `resume`, as `search.bench.benchmarks.nasbench201.bench`.

    Raises:
        InputError: of the table, the options, the pool or the disk.
        KeyboardInterrupt: see `search.bench.scoring.run.begin`.
    """
    if resume is None and (retry or as_is or again):
        raise InputError("--again, --retry-failed, --as-is: expected --resume RUN beside them; got none")
    if resume is None:
        run = out or Path("runs") / f"timm-{seed}"
        check_new(run)  # before the networks are counted, which takes minutes
        names = tuple(name for name in chosen_proxies(proxies) if proxies is not None or name not in LEFT_OUT)
        networks = _chosen(table, families, max_macs, size, view, count)
        settings = Settings(
            benchmark="timm", dataset="imagenet", population=families or "all", population_digest=population_of(networks).digest,
            proxies=names, seed=seed, batch=batch, repeats=repeats, probes=probes, size=None if size is None else (size, size),
            resamples=resamples or 300, extra={"max_macs": max_macs, "min_members": timm_families.MIN_MEMBERS},
        )  # fmt: skip
    else:
        run, before = resume, settings_files.read(resume)
        if before.benchmark != "timm":
            raise InputError(f"{resume}: expected a run of timm; got one of {before.benchmark}")
        redone = () if again is None else chosen_proxies(again, "--again")
        more = (*redone, *(() if proxies is None else chosen_proxies(proxies)))
        settings = before.extended(sample=None, proxies=more, top=None, resamples=resamples)
        networks = _networks_of(run, table, view)
        if population_of(networks).digest != settings.population_digest:
            raise InputError(f"{run / NETWORKS}: expected the networks that began the run; they were changed since")
    plan = plan_for(settings, networks)
    if resume is None:
        keep = bound(write_text, run / NETWORKS, networks.to_csv(index=False))
        scores = begin(run, settings, plan, pool=pool, view=view, pool_maker=pool_maker, also=keep)
    elif as_is:
        scores = stored(run, view)
    else:
        scores = take_up(run, settings, plan, pool=pool, view=view, pool_maker=pool_maker, retry=retry, again=redone)
    return run, conclude(run, settings, networks, scores, note=view.note)


def _chosen(
    table: Path, families: str | None, max_macs: float, size: int | None, view: View, count: Callable[..., int] | None
) -> pandas.DataFrame:
    if count is None:
        from search.bench.scoring import timm_networks  # timm: only where nobody else counts

        count = timm_networks.macs
    found = timm_families.read_results(table, view.note)
    return timm_families.choose(found, families=families, max_macs=max_macs, size=size, note=view.note, count=count)


def _networks_of(run: Path, table: Path, view: View) -> pandas.DataFrame:
    """Read the networks that a run began with, with the accuracies of `table`."""
    networks = read_csv(run / NETWORKS, _COLUMNS, "the networks of a run")
    networks["tag"] = networks["tag"].fillna("")  # a name without a tag
    found = timm_families.read_results(table, view.note).set_index("network")["accuracy"]
    missing = [name for name in networks["network"] if name not in found.index]
    if missing:
        raise InputError(f"{table}: expected accuracies of the run's {len(networks)} networks; {len(missing)} lack: {missing[0]}")
    return networks.assign(accuracy=networks["network"].map(found))


def plan_for(settings: Settings, networks: pandas.DataFrame) -> Plan:
    """Say what is scored: every network at its own size, or all at one, each proxy under its own name."""
    options = {} if settings.probes is None else {"probes": settings.probes}
    return Plan(
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
    over = [over_families(tables, found, name, kind, resamples=settings.resamples, seed=settings.seed) for name, kind in names]
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
        if not values:
            figures[metric] = {"value": None, "low": None, "high": None}
            continue
        table_of_draws = numpy.stack(draws)  # a resample of a small family may leave a metric undefined: it is left out, too
        there = numpy.isfinite(table_of_draws)
        counts = there.sum(axis=0)
        means = numpy.where(there, table_of_draws, 0.0).sum(axis=0)[counts > 0] / counts[counts > 0]
        figures[metric] = correlation.interval(math.fsum(values) / len(values), means).as_dict()
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
