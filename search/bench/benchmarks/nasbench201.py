"""NAS-Bench-201: its networks and accuracies, what a run scores of them, and what its results are compared with.

bench(folder, pool=PoolConfig(kind="serial"), view=view, dataset="cifar10", sample=1500, out=Path("runs/c10"))
bench(folder, Path("runs/c10"), pool=..., view=view, sample=3000)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas

from search.bench.benchmarks.accuracy_table import (
    Population,
    Published,
    check_numbers,
    check_percent,
    check_rows,
    doubts_of_unit,
    population_of,
    read_csv,
)
from search.bench.benchmarks.conduct import Benchmark, Note, conduct
from search.bench.benchmarks.images import real_batch
from search.bench.benchmarks.request import BenchRequest, request_for
from search.bench.judging import finish, judge
from search.bench.scoring import settings as settings_files
from search.bench.scoring.job import Request, Setup
from search.bench.scoring.plan import SAMPLES, STANDARD, Network, ScoringPlan, chosen_proxies
from search.bench.scoring.run import Scores
from search.bench.scoring.settings import Settings
from search.engine.session import PoolMaker
from search.monitor.progress import View
from search.ranking import correlation
from search.ranking.objective import SPECTRA
from search.workers import pictures
from uninas.analysis.features import graph_features
from uninas.errors import InputError
from uninas.spaces import nasbench201 as space

ACCURACIES = "nb201_accuracies.csv"
PUBLISHED = "nb201_zero_cost_scores_9445.csv"

SHAPES: dict[str, tuple[int, int]] = {"cifar10": (32, 10), "cifar100": (32, 100), "imagenet16_120": (16, 120)}
"""Dataset -> (side of its square images in pixels, classes)."""

SIZES = {"reachable": correlation.FULL, "all_forms": 15625}
"""Population -> its networks, of which nDCG looks at 1,000."""

THIN = Setup(batch=1000, input_shape=(1, 3, 3), network={"channels": 1, "cells": 1})
"""TE-NAS counts linear regions on a narrow network: one channel, one cell a stage, 1,000 samples of 1 x 3 x 3."""

_SETUPS = {"linear_regions": "thin"}  # a proxy's setup, where it is not the standard one

_PUBLISHED_PREFIX = {"cifar10": "c10", "imagenet16_120": "in16"}  # nothing was published for CIFAR-100
_PUBLISHED_NAMES = {
    name: {"naswot": "nwot"}.get(name, name)
    for name in ("synflow", "snip", "grad_norm", "naswot", "jacov", "zen", "grasp", "flops", "params")
}

_COLUMNS = ("index", "arch_str", *SHAPES)


def read_accuracies(folder: Path, dataset: str, *, all_forms: bool = False) -> Population:
    """Read FOLDER/nb201_accuracies.csv.

    Args:
        folder: the folder, or the file itself.
        dataset: a key of `SHAPES`.
        all_forms: every architecture, in stored form, instead of the reachable ones (`space.is_reachable`).

    Raises:
        InputError: no such file, no table, missing columns, an empty table, names that are no cell, an index or architecture
            that occurs twice, accuracies that are missing, no number or outside 0 .. 100: the count, and the first line.
    """
    if dataset not in SHAPES:
        raise InputError(f"--dataset: expected one of {', '.join(SHAPES)}; got '{dataset}'")
    path = folder / ACCURACIES if folder.is_dir() else folder
    table = read_csv(path, _COLUMNS)
    check_rows(path, table, ~table["arch_str"].map(_is_cell), "arch_str", "a cell such as |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
    index = pandas.to_numeric(table["index"], errors="coerce")
    check_rows(path, table, index.isna() | (index % 1 != 0) | ~index.between(0, 2**53), "index", "a whole number")
    check_rows(path, table, index.duplicated(), "index", "each index once")
    check_rows(path, table, table["arch_str"].duplicated(), "arch_str", "each architecture once")
    accuracy = pandas.to_numeric(table[dataset], errors="coerce")
    check_rows(path, table, ~accuracy.between(0, 100), dataset, "an accuracy in percent, 0 to 100")
    check_percent(path, dataset, accuracy)
    warnings = doubts_of_unit(path, dataset, accuracy, 100 / SHAPES[dataset][1])
    networks = pandas.DataFrame({"index": index.astype("int64"), "network": table["arch_str"], "accuracy": accuracy})
    if not all_forms:
        reachable = networks["network"].map(space.is_reachable)
        warnings += _doubts(path, table, reachable)
        networks = networks[reachable]
    if networks.empty:
        raise InputError(f"{path}: expected at least one reachable architecture among {len(table)}; got none")
    return population_of(networks, path, warnings=tuple(warnings))


def _is_cell(text: object) -> bool:
    try:
        space.parse_cell(str(text))
    except InputError:
        return False
    return True


def _doubts(path: Path, table: pandas.DataFrame, reachable: pandas.Series) -> list[str]:
    """Compare with a column `reachable`, where the table has one: the rule decides, differences are reported."""
    if "reachable" not in table.columns:
        return []
    different = int((pandas.to_numeric(table["reachable"], errors="coerce").fillna(-1) != reachable.astype(int)).sum())
    return [f"{path}: {different} values of column reachable differ from the rule, which decides"] if different else []


def published_scores(folder: Path, dataset: str) -> Published | None:
    """Read FOLDER/nb201_zero_cost_scores_9445.csv, if it exists.

    Raises:
        InputError: it is there and is no such table.
    """
    path = (folder if folder.is_dir() else folder.parent) / PUBLISHED
    prefix = _PUBLISHED_PREFIX.get(dataset)
    if prefix is None or not path.is_file():
        return None
    columns = {ours: f"{prefix}_{theirs}" for ours, theirs in _PUBLISHED_NAMES.items()}
    table = read_csv(path, ("index",), "a table of scores")
    check_numbers(path, table, ("index", *columns.values()))
    check_rows(path, table, table["index"].isna() | table["index"].duplicated(), "index", "each index once")
    return Published(table, columns)


def settings_for(request: BenchRequest, population: Population, proxies: tuple[str, ...], note: Note) -> Settings:
    """Make the settings of a new run; reads the images, if there is a folder of them, once: two batches, as ZiCo takes.

    Raises:
        InputError: of the images.
    """
    side, classes = SHAPES[request.dataset]
    return Settings(
        benchmark="nasbench201",
        dataset=request.dataset,
        population="all_forms" if request.own["all_forms"] else "reachable",
        population_digest=population.digest,
        proxies=proxies,
        sample=request.sample,
        seed=request.seed,
        batch=request.batch,
        repeats=request.repeats,
        probes=request.probes,
        pictures=real_batch(request, classes=classes, size=(side, side), note=note),
        top=request.top,
        resamples=request.resamples or 300,
        extra={"samples": SAMPLES},
    )


def population_for(request: BenchRequest, settings: Settings | None) -> Population:
    """Read the networks of a new run, or by its settings those of one that there is. Raises as `read_accuracies`."""
    if settings is None:
        return read_accuracies(request.data, request.dataset, all_forms=request.own["all_forms"])
    return read_accuracies(request.data, settings.dataset, all_forms=settings.population == "all_forms")


def plan_for(settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
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
    return ScoringPlan(
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
    """Describe the networks' graphs (`uninas.analysis.features`): one column per feature, in the order of the networks."""
    side, classes = SHAPES[dataset]
    described = [graph_features(space.architecture(name, classes=classes, input_size=(side, side))) for name in networks]
    return {name: [features[name] for features in described] for name in described[0]}


def conclude(
    run: Path, settings: Settings, networks: pandas.DataFrame, scores: Scores, published: Published | None, *, note: Note
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
    agreement = []
    if published is not None:
        agreement = judge.agreement(table, published.table, published.columns, resamples=resamples, seed=seed)
    data = finish.results(settings, table, rows, scores, partial=judge.partial(table, names), agreement=agreement)
    finish.write(run, data, table)
    return data


def heaviest(run: Path) -> tuple[ScoringPlan, Network]:
    """Give the plan of a run, and the cell with the most MACs of the space: 3x3 convolutions on all edges.

    Raises:
        InputError: no run of nasbench201.
    """
    settings = settings_files.read_settings(run)
    if settings.benchmark != "nasbench201":
        raise InputError(f"{run}: expected a run of nasbench201; got one of {settings.benchmark}")
    cell = space.cell_text(["nor_conv_3x3"] * len(space.EDGES))
    plan = plan_for(dataclasses.replace(settings, top=None), pandas.DataFrame({"index": [0], "network": [cell]}))
    return plan, plan.networks[0]


@final
@dataclass(frozen=True)
class _NASBench201:
    """See `search.bench.benchmarks.conduct.Benchmark`."""

    name: str = "nasbench201"

    def folder(self, request: BenchRequest) -> str:
        return f"nasbench201-{request.dataset}-{request.seed}"

    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        dataset = request.dataset if settings is None else settings.dataset
        population = population_for(request, settings)
        # Read now: a fault in the published scores is not to be found after hours of scoring.
        return dataclasses.replace(population, published=published_scores(request.data, dataset))

    def settings(self, request: BenchRequest, population: Population, note: Note) -> Settings:
        return settings_for(request, population, chosen_proxies(request.proxies), note)

    def plan(self, settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
        return plan_for(settings, networks)

    def conclude(
        self, run: Path, settings: Settings, population: Population, networks: pandas.DataFrame, scores: Scores, note: Note
    ) -> dict[str, Any]:
        return conclude(run, settings, networks, scores, population.published, note=note)


BENCHMARK: Benchmark = _NASBench201()


def bench(
    folder: Path, resume: Path | None = None, *, view: View, pool_maker: PoolMaker | None = None, **asked: Any
) -> tuple[Path, dict[str, Any]]:
    """Run this benchmark on the tables in `folder`, or resume a run. Gives the run folder and what its results.json holds.

    `asked`: pool and other fields of `search.bench.benchmarks.request.BenchRequest`, and all_forms. Raises as `conduct`.
    """
    return conduct(BENCHMARK, request_for("nasbench201", folder, resume, **asked), view=view, pool_maker=pool_maker)
