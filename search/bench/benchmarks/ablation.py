"""The papers' ablations, one run each: which variants, under the labels of the papers' tables.

Those tables are `search.bench.judging.papers.ABLATIONS`.

bench("fim_size", folder, pool=..., view=...)       scores networks anew, with variants of one proxy
from_run("subsets", run, out=..., view=...)         only judges what a run of nasbench201 has scored
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas

from search.bench.benchmarks import nasbench201
from search.bench.benchmarks.accuracy_table import Population, check_numbers, read_csv
from search.bench.benchmarks.conduct import Note, conduct
from search.bench.benchmarks.request import BenchRequest, request_for
from search.bench.judging import finish, judge
from search.bench.judging.papers import ABLATIONS, Ablation
from search.bench.scoring import settings as settings_files
from search.bench.scoring.job import Request
from search.bench.scoring.plan import STANDARD, ScoringPlan
from search.bench.scoring.run import Scores
from search.bench.scoring.settings import Settings
from search.engine.session import PoolMaker
from search.monitor.progress import View
from search.ranking import correlation
from search.ranking.objective import OBJECTIVES, Objective
from search.ranking.ranks import lexicographic_ranks
from uninas.errors import InputError

_LARGEST_BATCH = 128
_PAPER_DATASET = "imagenet16_120"  # of every ablation whose table has no column per dataset

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
    """Table V: so many samples, of noise or of images."""
    kind, _, count = label.partition(",")
    return Request("vkdnw", samples=int(count), real=kind == "real")


VARIANTS: dict[str, Callable[[str], Request]] = {"fim_size": _fim_size, "weights": _weights, "batch_input": _batch_input}
"""The ablations that score: name -> label -> what is scored. Each variant is ranked by (aleph, variant), as VKDNW_single."""

FROM_RUN = ("subsets", "aleph", "ssnr_log")
"""The ablations that a finished run's scores suffice for."""


def _known(name: str, among: Mapping[str, Any] | tuple[str, ...]) -> Ablation:
    if name not in among:
        raise InputError(f"ablation: expected one of {', '.join(among)}; got '{name}'")
    return ABLATIONS[name]


def plan_for(name: str, settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
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


@final
@dataclass(frozen=True)
class _Variants:
    """An ablation of `VARIANTS` as a benchmark (`search.bench.benchmarks.conduct.Benchmark`): cells of NAS-Bench-201."""

    ablation: str

    @property
    def name(self) -> str:
        return f"ablation {self.ablation}"

    def folder(self, request: BenchRequest) -> str:
        return f"ablation-{self.ablation}-{request.dataset}-{request.seed}"

    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        if request.images is not None and self.ablation != "batch_input":
            raise InputError(f"--images: expected not to be given with {self.ablation}, which scores random input alone")
        return nasbench201.population_for(request, settings)

    def settings(self, request: BenchRequest, population: Population, note: Note) -> Settings:
        known = ABLATIONS[self.ablation].rows
        labels = tuple(label for label in known if request.images is not None or not label.startswith("real"))
        if len(labels) < len(known):
            note("no real input: --images FOLDER was not given; those rows of the paper are left out")
        if self.ablation == "batch_input":
            request = dataclasses.replace(request, batch=_LARGEST_BATCH)
        settings = nasbench201.settings_for(request, population, ("aleph", *labels), note)
        return dataclasses.replace(settings, benchmark=self.name)

    def plan(self, settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
        return plan_for(self.ablation, settings, networks)

    def conclude(
        self, run: Path, settings: Settings, population: Population, networks: pandas.DataFrame, scores: Scores, note: Note
    ) -> dict[str, Any]:
        return conclude(self.ablation, run, settings, networks, scores)


def bench(
    name: str,
    folder: Path,
    resume: Path | None = None,
    *,
    view: View,
    pool_maker: PoolMaker | None = None,
    dataset: str = _PAPER_DATASET,
    **asked: Any,
) -> tuple[Path, dict[str, Any]]:
    """Score the variants of an ablation, judge, write. Gives the run folder and what its results.json holds.

    Args:
        name: a key of `VARIANTS`.
        folder: with nb201_accuracies.csv.
        resume: a run folder.
        dataset: whose accuracies judge.
        asked: pool and other fields of `search.bench.benchmarks.request.BenchRequest`; `batch` is of the ablations that do not
            vary it, and without `images` batch_input leaves out its rows of real input, and says so.
        view, pool_maker: as of `conduct`.

    Raises:
        InputError, KeyboardInterrupt: as `conduct`.
    """
    _known(name, VARIANTS)
    request = request_for("nasbench201", folder, resume, dataset=dataset, **asked)
    return conduct(_Variants(name), request, view=view, pool_maker=pool_maker)


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
    settings = settings_files.read_settings(run)
    if settings.benchmark != "nasbench201":
        raise InputError(f"{run}: expected a run of nasbench201; got one of {settings.benchmark}")
    table = read_csv(run / finish.SCORES, ("network", "index", "accuracy"), "a table of scores")
    check_numbers(run / finish.SCORES, table, ("index", "accuracy", *known.rows, *sum(COLUMNS.values(), ())))
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
