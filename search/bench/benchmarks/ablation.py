"""The papers' ablations, one run each: which variants, under the labels of the papers' tables.

Those tables are `search.bench.judging.papers.ABLATIONS`.

bench("fim_size", folder, pool=..., view=...)       scores networks anew, with variants of one proxy
from_run("subsets", run, out=..., view=...)         only judges what a run of nasbench201 has scored
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas

from search.bench.benchmarks import accuracy_table, nasbench201
from search.bench.judging import finish, judge
from search.bench.judging.papers import ABLATIONS, Ablation
from search.bench.scoring import settings as settings_files
from search.bench.scoring.job import Request
from search.bench.scoring.plan import STANDARD, Plan
from search.bench.scoring.run import Scores, begin, make_pool
from search.bench.scoring.run import resume as take_up
from search.bench.scoring.settings import Settings
from search.config.schema import PoolConfig
from search.engine.session import PoolMaker
from search.monitor.progress import View
from search.ranking import correlation
from search.ranking.objective import OBJECTIVES, Objective
from search.ranking.ranks import lexicographic_ranks
from uninas.errors import InputError

_LARGEST_BATCH = 128
_PAPER_DATASET = "imagenet16_120"  # of every ablation whose table has no column a dataset

COLUMNS: dict[str, tuple[str, ...]] = {
    "V": OBJECTIVES["vkdnw_single"].columns[0],
    "J": ("jacov",),
    "E": ("expressivity",),
    "T": ("trainability",),
    "F": ("flops",),
}
"""Letter of a component of VKDNW_agg -> its column (VKDNW paper, Table IX)."""


def _fim_size(label: str) -> Request:
    """Table VII: one weight of each of the first so many layers."""
    return Request("vkdnw", {"weights": int(label)})


def _weights(label: str) -> Request:
    """Table VIII: a weight's place in its layer, from 0 to 1, or several weights of each of the first 32 layers."""
    kind, _, value = label.partition("=")
    if kind == "per_layer":
        return Request("vkdnw", {"weights": 32, "index": "random", "per_layer": int(value)})
    return Request("vkdnw", {"index": value if value == "random" else float(value)})


def _batch_input(label: str) -> Request:
    """Table V: so many samples, of noise or of pictures."""
    kind, _, count = label.partition(",")
    return Request("vkdnw", samples=int(count), real=kind == "real")


VARIANTS: dict[str, Callable[[str], Request]] = {"fim_size": _fim_size, "weights": _weights, "batch_input": _batch_input}
"""The ablations that score: name -> label -> what is scored. Each variant is ranked by (aleph, variant), as VKDNW_single."""

FROM_RUN = ("subsets", "aleph", "ssnr_log")
"""The ablations that a finished run's scores suffice for."""


def bench(
    name: str,
    folder: Path,
    resume: Path | None = None,
    *,
    pool: PoolConfig,
    view: View,
    dataset: str = "imagenet16_120",
    sample: int | None = None,
    seed: int = 0,
    images: Path | None = None,
    batch: int = 64,
    probes: int | None = None,
    top: int | None = None,
    resamples: int | None = None,
    out: Path | None = None,
    pool_maker: PoolMaker = make_pool,
) -> tuple[Path, dict[str, Any]]:
    """Score the variants of an ablation of `VARIANTS`, judge, write. Gives the run folder and what its results.json holds.

    Args:
        name: a key of `VARIANTS`.
        folder: with nb201_accuracies.csv.
        resume: a run folder; of the arguments below only `sample`, `top` and `resamples` then count.
        batch: of the ablations that do not vary it.
        images: pictures for batch_input; without them its rows of real input are left out, and it is said.
        pool, view, dataset, sample, seed, probes, top, resamples, out, pool_maker: as in
            `search.bench.benchmarks.nasbench201.bench`.

    Raises:
        InputError, KeyboardInterrupt: as there.
    """
    known = _known(name, VARIANTS)
    if images is not None and name != "batch_input":
        raise InputError(f"--images: expected not to be given with {name}, which scores random input alone")
    if resume is None:
        run = out or Path("runs") / f"ablation-{name}-{dataset}-{seed}"
        population = nasbench201.population_for("reachable", dataset, folder)
        labels = tuple(label for label in known.rows if images is not None or not label.startswith("real"))
        settings = nasbench201.settings_for(
            population, dataset=dataset, all_forms=False, proxies=("aleph", *labels), sample=sample, seed=seed,
            batch=_LARGEST_BATCH if name == "batch_input" else batch, repeats=1, probes=probes, images=images, top=top,
            resamples=resamples or 300, note=view.note,
        )  # fmt: skip
        settings = dataclasses.replace(settings, benchmark=f"ablation {name}")
        if len(labels) < len(known.rows):
            view.note("no real input: --images FOLDER was not given; those rows of the paper are left out")
    else:
        run, before = resume, settings_files.read(resume)
        if before.benchmark != f"ablation {name}":
            raise InputError(f"{resume}: expected a run of ablation {name}; got one of {before.benchmark}")
        settings = before.extended(sample=sample, proxies=(), top=top, resamples=resamples)
        population = nasbench201.population_for("reachable", settings.dataset, folder)
        if population.digest != settings.population_digest:
            raise InputError(f"{folder}: expected the table with the networks that began {resume}; these are other networks")
        nasbench201.check_pictures(settings)
    for warning in population.warnings:
        view.note(f"warning: {warning}")
    networks = accuracy_table.sample(population, settings.sample, settings.seed)
    plan = plan_for(name, settings, networks)
    scores = (begin if resume is None else take_up)(run, settings, plan, pool=pool, view=view, pool_maker=pool_maker)
    return run, conclude(name, run, settings, networks, scores)


def _known(name: str, among: Mapping[str, Any] | tuple[str, ...]) -> Ablation:
    if name not in among:
        raise InputError(f"ablation: expected one of {', '.join(among)}; got '{name}'")
    return ABLATIONS[name]


def plan_for(name: str, settings: Settings, networks: pandas.DataFrame) -> Plan:
    """Say what is scored: aleph, and every variant under its label."""
    plan = nasbench201.plan_for(dataclasses.replace(settings, proxies=("aleph",)), networks)
    labels = [label for label in settings.proxies if label != "aleph"]
    variants = {label: VARIANTS[name](label) for label in labels}
    if settings.probes is not None:
        options = {"probes": settings.probes}
        variants = {
            label: dataclasses.replace(variant, options={**variant.options, **options}) for label, variant in variants.items()
        }
    setups = {STANDARD: plan.setups[STANDARD]}
    return dataclasses.replace(plan, setups=setups, requests={"aleph": Request("aleph"), **variants})


def conclude(name: str, run: Path, settings: Settings, networks: pandas.DataFrame, scores: Scores) -> dict[str, Any]:
    """Judge every variant as VKDNW_single, and write scores.csv and results.json."""
    labels = [label for label in settings.proxies if label != "aleph"]
    table = judge.score_table(networks, scores, settings.proxies)
    rows = []
    top = settings.top or correlation.default_top(len(table))
    for label in labels:
        ranks = pandas.Series(lexicographic_ranks(table["aleph"], table[label]))
        if table[label].isna().all():
            ranks[:] = float("nan")  # no network has a score: aleph alone is not this variant
        figures = judge.judged(ranks, table["accuracy"], top=top, resamples=settings.resamples, seed=settings.seed)
        failed = judge.failures(scores, table["index"], (label,))
        seconds = judge.cpu_seconds(scores, table["index"], (label,))
        rows.append(_row(name, label, {**figures, "networks": len(table), "failed": failed, "seconds": seconds}, settings))
    data = finish.results(settings, table, rows, scores, more={"ablation": name, "table": _source(name)})
    finish.write(run, data, table)
    return data


def _row(name: str, label: str, figures: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Put a row together, with the paper's figures where the run is of the paper's dataset and population."""
    known = ABLATIONS[name]
    printed = known.rows.get(label, {})
    if known.by_dataset:
        printed = {"kendall": printed[settings.dataset]} if settings.dataset in printed else {}
    elif settings.dataset != _PAPER_DATASET:
        printed = {}
    if settings.population != ("all_forms" if name == "ssnr_log" else "reachable"):
        printed = {}
    return {"label": label, "proxy": label, "kind": "single", **figures, "paper": dict(printed)}


def _source(name: str) -> str:
    return f"{ABLATIONS[name].paper}, {ABLATIONS[name].table}"


def from_run(
    name: str, run: Path, *, out: Path | None = None, resamples: int | None = None, top: int | None = None
) -> tuple[Path, dict[str, Any]]:
    """Judge an ablation of `FROM_RUN` by the scores of a run of nasbench201, of one dataset; nothing is scored.

    Args:
        name: one of `FROM_RUN`.
        run: the folder of a finished run; its scores.csv is read.
        out: folder to create. Default: <run>-<name>, beside it.
        resamples: of the bootstrap; default: the run's.
        top: P of nDCG; default: the run's.

    Raises:
        InputError: no such run, scores that it lacks, or a folder that exists.
    """
    known = _known(name, FROM_RUN)
    settings = settings_files.read(run)
    if settings.benchmark != "nasbench201":
        raise InputError(f"{run}: expected a run of nasbench201; got one of {settings.benchmark}")
    table = accuracy_table.read_csv(run / finish.SCORES, ("network", "index", "accuracy"), "a table of scores")
    settings = dataclasses.replace(
        settings, benchmark=f"ablation {name}", resamples=resamples or settings.resamples, top=top or settings.top
    )
    wanted = {"subsets": _subsets, "aleph": _with_aleph, "ssnr_log": _alone}[name](known, table)
    draws = {"resamples": settings.resamples, "seed": settings.seed}
    share = settings.top or correlation.default_top(len(table), nasbench201.SIZES[settings.population])
    rows = []
    for label, values in wanted.items():
        if values is None:
            raise InputError(f"{run}: expected the scores that {label} of ablation {name} needs; the run has not all of them")
        if name == "aleph":
            against = table["aleph"].to_numpy(dtype=float)
            figures: dict[str, Any] = {"kendall": correlation.estimate("kendall", values.to_numpy(), against, **draws).as_dict()}
        else:
            figures = judge.judged(values, table["accuracy"], top=share, **draws)
        failed = int(values.isna().sum())
        figures |= {"networks": len(table), "failed": {"no score": failed} if failed else {}, "seconds": None}
        rows.append(_row(name, label, figures, settings))
    folder = out or run.with_name(f"{run.name}-{name}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise InputError(f"{folder}: expected a new folder; it exists: give another --out") from None
    except OSError as error:
        raise InputError(f"{folder}: cannot create the folder: {error.strerror}") from None
    more = {"ablation": name, "table": _source(name), "run": run.name}
    data = finish.results(settings, table, rows, Scores(), more=more)
    settings.write(folder)
    finish.write(folder, data, table)
    return folder, data


def _subsets(known: Ablation, table: pandas.DataFrame) -> dict[str, pandas.Series | None]:
    found: dict[str, pandas.Series | None] = {}
    for label in known.rows:
        objective = Objective(label, tuple(COLUMNS[letter] for letter in label))
        complete = set(objective.proxies) <= set(table.columns)
        found[label] = pandas.Series(objective.rank_table(table)) if complete else None
    return found


def _with_aleph(known: Ablation, table: pandas.DataFrame) -> dict[str, pandas.Series | None]:
    names = {name: table.get(name) for name in known.rows}
    return names if "aleph" in table.columns else dict.fromkeys(names)


def _alone(known: Ablation, table: pandas.DataFrame) -> dict[str, pandas.Series | None]:
    return {name: table.get(name) for name in known.rows}
