"""NAS-Bench-201: which of its networks a run scores, how, and what its results are held against.

bench(folder, pool=PoolConfig(kind="serial"), view=view, dataset="cifar10", sample=1500, out=Path("runs/c10"))
bench(folder, Path("runs/c10"), pool=..., view=view, sample=3000)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas

from proxies.table import TABLE
from search.bench.benchmarks import accuracy_table
from search.bench.benchmarks.accuracy_table import PUBLISHED, Population
from search.bench.judging import finish, judge
from search.bench.scoring import pictures
from search.bench.scoring import settings as settings_files
from search.bench.scoring.job import Request, Setup
from search.bench.scoring.plan import STANDARD, Network, Plan, chosen_proxies
from search.bench.scoring.run import PoolMaker, Scores, begin, make_pool, stored
from search.bench.scoring.run import resume as take_up
from search.bench.scoring.settings import Settings
from search.config.schema import PoolConfig
from search.monitor.progress import View
from search.ranking import correlation
from search.ranking.objective import SPECTRA
from uninas.analysis.features import graph_features
from uninas.errors import InputError
from uninas.spaces import nasbench201 as space

SHAPES: dict[str, tuple[int, int]] = {"cifar10": (32, 10), "cifar100": (32, 100), "imagenet16_120": (16, 120)}
"""Dataset -> (side of its square pictures in pixels, classes)."""

SIZES = {"reachable": correlation.FULL, "all_forms": 15625}
"""Population -> its networks, of which nDCG looks at 1,000."""

THIN = Setup(batch=1000, input_shape=(1, 3, 3), network={"channels": 1, "cells": 1})
"""TE-NAS counts linear regions on a narrow network: one channel, one cell a stage, 1,000 samples of 1 x 3 x 3."""

_SETUPS = {"linear_regions": "thin"}  # a proxy's setup, where it is not the standard one

SAMPLES = {name: spec.samples for name, spec in TABLE.items() if spec.samples is not None}
"""Proxy -> how many samples of the batch it gets, where it is not all: those that take several passes, or one a sample."""

_PUBLISHED_PREFIX = {"cifar10": "c10", "imagenet16_120": "in16"}  # nothing was published for CIFAR-100
_PUBLISHED_NAMES = {
    "synflow": "synflow", "snip": "snip", "grad_norm": "grad_norm", "naswot": "nwot", "jacov": "jacov", "zen": "zen",
    "grasp": "grasp", "flops": "flops", "params": "params",
}  # fmt: skip

Note = Callable[[str], None]


def settings_for(
    population: Population,
    *,
    dataset: str,
    all_forms: bool,
    proxies: tuple[str, ...],
    sample: int | None,
    seed: int,
    batch: int,
    repeats: int,
    probes: int | None,
    images: Path | None,
    top: int | None,
    resamples: int,
    note: Note,
) -> Settings:
    """Make the settings of a new run; reads the pictures, where there is a folder of them, once: two batches, as ZiCo takes."""
    batch_of_pictures = None
    side, classes = SHAPES[dataset]
    if images is not None:
        drawn, warnings = pictures.draw(
            images, count=2 * batch, classes=classes, size=(side, side), seed=seed, statistics=pictures.STATISTICS[dataset]
        )
        batch_of_pictures = dataclasses.asdict(drawn)
        for warning in warnings:
            note(f"warning: {warning}")
    return Settings(
        benchmark="nasbench201",
        dataset=dataset,
        population="all_forms" if all_forms else "reachable",
        population_digest=population.digest,
        proxies=proxies,
        sample=sample,
        seed=seed,
        batch=batch,
        repeats=repeats,
        probes=probes,
        pictures=batch_of_pictures,
        top=top,
        resamples=resamples,
        extra={"samples": SAMPLES},
    )


def population_for(settings_population: str, dataset: str, folder: Path) -> Population:
    """Read the networks that a run may score."""
    return accuracy_table.read_nasbench201(folder, dataset, all_forms=settings_population == "all_forms")


def plan_for(settings: Settings, networks: pandas.DataFrame) -> Plan:
    """Say what is scored: `networks` in their order, each proxy under its own name.

    Raises:
        InputError: fewer networks than P of nDCG.
    """
    side, classes = SHAPES[settings.dataset]
    if settings.top is not None and settings.top > len(networks):
        raise InputError(f"--top: expected at most the {len(networks)} networks that are scored; got {settings.top}")
    read = None if settings.pictures is None else pictures.PictureBatch.from_dict(settings.pictures)
    standard = Setup(settings.batch, settings.seed, settings.repeats, pictures=read)
    thin = dataclasses.replace(THIN, seed=settings.seed, repeats=settings.repeats)
    options: dict[str, dict[str, Any]] = {}
    if settings.probes is not None:
        options = {name: {"probes": settings.probes} for name in SPECTRA}
    samples = (settings.extra or {}).get("samples", SAMPLES)
    return Plan(
        source="nasbench201",
        classes=classes,
        networks=[Network(int(row.index_), row.network, (3, side, side)) for row in _rows(networks)],
        setups={STANDARD: standard, "thin": thin},
        requests={
            name: Request(name, options.get(name, {}), _SETUPS.get(name, STANDARD), samples.get(name))
            for name in settings.proxies
        },
    )


def _rows(networks: pandas.DataFrame) -> Any:
    return networks.rename(columns={"index": "index_"}).itertuples()


def graph_table(networks: Iterable[str], dataset: str) -> dict[str, list[float]]:
    """Describe the networks' graphs (`uninas.analysis.features`): one column a feature, in the order of the networks."""
    side, classes = SHAPES[dataset]
    described = [graph_features(space.architecture(name, classes=classes, input_size=(side, side))) for name in networks]
    return {name: [features[name] for features in described] for name in described[0]}


def published_scores(folder: Path, dataset: str) -> tuple[pandas.DataFrame, dict[str, str]] | None:
    """Read FOLDER/nb201_zero_cost_scores_9445.csv, where it is: the table, and our labels' columns in it.

    Raises:
        InputError: it is there and is no such table.
    """
    path = (folder if folder.is_dir() else folder.parent) / PUBLISHED
    prefix = _PUBLISHED_PREFIX.get(dataset)
    if prefix is None or not path.is_file():
        return None
    return accuracy_table.read_csv(path, ("index",), "a table of scores"), {
        ours: f"{prefix}_{theirs}" for ours, theirs in _PUBLISHED_NAMES.items()
    }


def bench(
    folder: Path,
    resume: Path | None = None,
    *,
    pool: PoolConfig,
    view: View,
    dataset: str = "cifar10",
    proxies: str | None = None,
    sample: int | None = None,
    all_forms: bool = False,
    seed: int = 0,
    images: Path | None = None,
    batch: int = 64,
    repeats: int = 1,
    probes: int | None = None,
    top: int | None = None,
    resamples: int | None = None,
    out: Path | None = None,
    retry: bool = False,
    again: str | None = None,
    as_is: bool = False,
    pool_maker: PoolMaker = make_pool,
) -> tuple[Path, dict[str, Any]]:
    """Do the whole benchmark, or take one up: score, judge, write. Gives the run folder and what its results.json holds.

    Args:
        folder: with nb201_accuracies.csv.
        resume: a run folder; of the arguments below only `proxies`, `sample`, `top` and `resamples` then count.
        pool, view, pool_maker: who scores, and what a person sees of it.
        dataset, sample, all_forms, seed, batch, repeats, probes, top: see `search.bench.scoring.settings.Settings`.
        proxies: names separated by commas, None for all (on a resume: none more).
        images: a folder of pictures for a real batch.
        resamples: of the bootstrap, default 300.
        out: run folder to create.
        retry: with `resume`: score again what failed.
        again: with `resume`: names of raw scores to compute anew, separated by commas, after their definition changed.
        as_is: with `resume`: score nothing, judge what there is, also of a run that is still going.

    Raises:
        InputError: of the table, the pictures, the options, the pool or the disk.
        KeyboardInterrupt: see `search.bench.scoring.run.begin`.
    """
    if resume is None:
        population = population_for("all_forms" if all_forms else "reachable", dataset, folder)
        settings = settings_for(
            population, dataset=dataset, all_forms=all_forms, proxies=chosen_proxies(proxies), sample=sample, seed=seed,
            batch=batch, repeats=repeats, probes=probes, images=images, top=top, resamples=resamples or 300, note=view.note,
        )  # fmt: skip
        run = out or Path("runs") / f"nasbench201-{dataset}-{seed}"
    else:
        before = settings_files.read(resume)
        if before.benchmark != "nasbench201":
            raise InputError(f"{resume}: expected a run of nasbench201; got one of {before.benchmark}")
        redone = () if again is None else chosen_proxies(again, "--again")
        more = (*redone, *(() if proxies is None else chosen_proxies(proxies)))
        settings = before.extended(sample=sample, proxies=more, top=top, resamples=resamples)
        population, run = population_for(settings.population, settings.dataset, folder), resume
        if population.digest != settings.population_digest:
            raise InputError(f"{folder}: expected the table with the networks that began {resume}; these are other networks")
    if resume is None and (retry or as_is or again):
        raise InputError("--again, --retry-failed, --as-is: expected --resume RUN beside them; got none")
    for warning in population.warnings:
        view.note(f"warning: {warning}")
    networks = accuracy_table.sample(population, settings.sample, settings.seed)
    plan = plan_for(settings, networks)
    published = published_scores(folder, settings.dataset)  # read now: a fault in it is not to be found after hours of scoring
    if resume is None:
        scores = begin(run, settings, plan, pool=pool, view=view, pool_maker=pool_maker)
    elif as_is:
        scores = stored(run, view)
    else:
        check_pictures(settings)
        scores = take_up(run, settings, plan, pool=pool, view=view, pool_maker=pool_maker, retry=retry, again=redone)
    return run, conclude(run, settings, networks, scores, published, note=view.note)


def check_pictures(settings: Settings) -> None:
    """Read the pictures of a run that is to go on. Raises InputError where they are not there, or are others."""
    if settings.pictures is not None:
        pictures.read(pictures.PictureBatch.from_dict(settings.pictures))


def heaviest(run: Path) -> tuple[Plan, Network]:
    """Give the plan of a run, and the cell with the most MACs of the space: 3x3 convolutions on all edges.

    Raises:
        InputError: no run of nasbench201.
    """
    settings = settings_files.read(run)
    if settings.benchmark != "nasbench201":
        raise InputError(f"{run}: expected a run of nasbench201; got one of {settings.benchmark}")
    cell = space.cell_text(["nor_conv_3x3"] * len(space.EDGES))
    plan = plan_for(dataclasses.replace(settings, top=None), pandas.DataFrame({"index": [0], "network": [cell]}))
    return plan, plan.networks[0]


def conclude(
    run: Path,
    settings: Settings,
    networks: pandas.DataFrame,
    scores: Scores,
    published: tuple[pandas.DataFrame, dict[str, str]] | None,
    *,
    note: Note,
) -> dict[str, Any]:
    """Judge the scores, and write scores.csv and results.json."""
    labels = settings.proxies
    table = judge.score_table(networks, scores, labels)
    if len(table) < len(scores.values):
        note(f"judging the {len(table)} networks of {len(scores.values)} that have all scores")
    resamples, seed = settings.resamples, settings.seed
    top = settings.top or correlation.default_top(len(table), SIZES[settings.population])
    rows = judge.judge(table, scores, labels, top=top, resamples=resamples, seed=seed, note=note)
    names = [row["proxy"] for row in rows]
    graphs = graph_table(table["network"], settings.dataset) if len(table) >= judge.MODEL_NETWORKS else {}
    models = judge.judge_models(table, labels, graphs, resamples=resamples, seed=seed, note=note)
    rows = judge.by_kendall([*rows, *models])
    agreement = judge.agreement(table, *published, resamples=resamples, seed=seed) if published else []
    data = finish.results(settings, table, rows, scores, partial=judge.partial(table, names), agreement=agreement)
    finish.write(run, data, table)
    return data
