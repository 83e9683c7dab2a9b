"""The bench of anybody's table of trained networks: rankings of all of them, and within the families that the table names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import pandas

from search.bench.benchmarks.accuracy_table import Population, population_of
from search.bench.benchmarks.conduct import Benchmark, Note
from search.bench.benchmarks.images import real_batch
from search.bench.benchmarks.own_table import Columns, read_table
from search.bench.benchmarks.request import BenchRequest
from search.bench.judging import finish, judge
from search.bench.scoring.job import Request, Setup
from search.bench.scoring.plan import SAMPLES, STANDARD, Network, ScoringPlan, chosen_proxies
from search.bench.scoring.run import Scores
from search.bench.scoring.settings import Settings
from search.ranking.objective import SPECTRA
from search.workers import pictures
from uninas.errors import InputError

MIN_MEMBERS = 5
"""Fewer networks of a family are not ranked among themselves: their tau would say nothing."""

_BUILT_FROM = ["source", "definition", "channels", "height", "width"]
"""Columns of the population that are no score, and no matter of scores.csv."""


@final
@dataclass(frozen=True)
class _OwnNetworks:
    """See `search.bench.benchmarks.conduct.Benchmark`."""

    name: str = "table"

    def folder(self, request: BenchRequest) -> str:
        return f"table-{request.data.stem}-{request.seed}"

    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        asked = request.own if settings is None else (settings.extra or {})["asked"]
        found = read_table(request.data, Columns(**asked))
        if len(found.networks) < 2:
            raise InputError(f"{request.data}: expected at least 2 networks to rank; got {len(found.networks)}")
        made = population_of(found.networks.assign(classes=found.classes), request.data, warnings=found.warnings)
        definitions = "\n".join([made.digest, *found.networks["definition"]])  # a file may change under its name
        return replace(made, digest=hashlib.sha256(definitions.encode()).hexdigest())

    def settings(self, request: BenchRequest, population: Population, note: Note) -> Settings:
        return Settings(
            benchmark=self.name,
            dataset=request.data.stem,
            population="table",
            population_digest=population.digest,
            proxies=chosen_proxies(request.proxies, thin=False),
            sample=request.sample,
            seed=request.seed,
            batch=request.batch,
            repeats=request.repeats,
            probes=request.probes,
            top=request.top,
            resamples=request.resamples or 300,
            pictures=_real_batch(request, population.table, note),
            extra={"asked": dict(request.own), "samples": SAMPLES, "min_members": MIN_MEMBERS},
        )

    def plan(self, settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
        if settings.top is not None and settings.top > len(networks):
            raise InputError(f"--top: expected at most the {len(networks)} networks that are scored; got {settings.top}")
        samples = (settings.extra or {})["samples"]
        options = {} if settings.probes is None else {"probes": settings.probes}
        read = None if settings.pictures is None else pictures.PictureBatch.from_dict(settings.pictures)
        return ScoringPlan(
            source="architecture",
            classes=int(networks["classes"].iloc[0]),
            networks=[
                Network(
                    int(row["index"]),
                    row["network"],
                    (int(row["channels"]), int(row["height"]), int(row["width"])),
                    row["source"],
                    row["definition"],
                )
                for row in networks.to_dict("records")
            ],
            setups={STANDARD: Setup(settings.batch, settings.seed, settings.repeats, pictures=read)},
            requests={
                name: Request(name, options if name in SPECTRA else {}, samples=samples.get(name)) for name in settings.proxies
            },
        )

    def conclude(
        self, run: Path, settings: Settings, population: Population, networks: pandas.DataFrame, scores: Scores, note: Note
    ) -> dict[str, Any]:
        how: dict[str, Any] = {"resamples": settings.resamples, "seed": settings.seed, "note": note}
        named = networks.drop(columns=[*_BUILT_FROM, "classes"])
        table = judge.score_table(named, scores, settings.proxies)
        if len(table) < len(scores.values):
            note(f"judging the {len(table)} networks of {len(scores.values)} that have all scores")
        rows = judge.judge(table, scores, settings.proxies, top=settings.top, **how)
        families, small = [], []
        for name, members in named.groupby("family", sort=False) if "family" in named else ():
            within = judge.score_table(members, scores, settings.proxies)  # population ranks are within the family
            if len(within) < MIN_MEMBERS:
                small.append(str(name))
                continue
            judged = judge.judge(within, scores, settings.proxies, top=None, **how)
            families.append({"family": str(name), "tag": "", "networks": len(within), "rows": judged})
        if small:
            note(f"not ranked among themselves, fewer than {MIN_MEMBERS}: {', '.join(small)}")
        partial = judge.partial(table, [row["proxy"] for row in rows])
        data = finish.results(settings, table, rows, scores, partial=partial, more={"families": families})
        finish.write(run, data, table)
        return data


def _real_batch(request: BenchRequest, networks: pandas.DataFrame, note: Note) -> dict[str, Any] | None:
    """Draw the images of a run, of the size that all its networks read.

    Raises:
        InputError: of the images, or networks that read different sizes.
    """
    sizes = networks[["height", "width"]].drop_duplicates()
    if request.images is not None and len(sizes) > 1:
        found = " and ".join(f"{height}x{width}" for height, width in sizes.head(2).itertuples(index=False))
        raise InputError(f"--images: expected networks that read one size; got {found}: --size N gives all networks one")
    height, width = (int(side) for side in sizes.iloc[0])
    return real_batch(request, classes=int(networks["classes"].iloc[0]), size=(height, width), note=note)


BENCHMARK: Benchmark = _OwnNetworks()
