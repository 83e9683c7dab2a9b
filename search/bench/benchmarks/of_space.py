"""A referee whose networks are points of a published space: it says where its table is, and how a row names a network.

REFEREE = SpaceReferee("nasbench_macro", SPACE, ("architecture",), named, {"cifar10": Trained("mean_acc", 10, 32)}, file=...)

A network is called SPACE:TEXT, as every command that takes an architecture calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas

from search.bench.benchmarks.accuracy_table import (
    Population,
    check_percent,
    check_rows,
    doubts_of_unit,
    population_of,
    read_csv,
)
from search.bench.benchmarks.conduct import Note
from search.bench.benchmarks.images import real_batch
from search.bench.benchmarks.request import BenchRequest
from search.bench.judging import finish, judge
from search.bench.scoring.job import Request, Setup
from search.bench.scoring.plan import SAMPLES, STANDARD, Network, ScoringPlan, chosen_proxies
from search.bench.scoring.run import Scores
from search.bench.scoring.settings import Settings
from search.ranking.objective import SPECTRA
from search.workers import pictures
from uninas.errors import InputError
from uninas.spaces import ChoiceSpace


@dataclass(frozen=True)
class Trained:
    """What the networks were trained on: the column of its accuracies in percent, its classes, and pixels of a side."""

    column: str
    classes: int
    side: int


def vit_datasets(side: int) -> dict[str, Trained]:
    """Give the data sets of Auto-Prox's networks (Wei et al., AAAI 2024), trained plainly (base) and with distillation (kd).

    Args:
        side: pixels of a side of their inputs.
    """
    classes = {"c100": 100, "flower": 102, "chaoyang": 4}
    names = [
        f"{data}_{how}" for how in ("kd", "base") for data in classes
    ]  # the plain accuracies hardly differ: kd is the default
    return {name: Trained(f"{name}_acc", classes[name.partition("_")[0]], side) for name in names}


@final
@dataclass(frozen=True)
class SpaceReferee:
    """See `search.bench.benchmarks.conduct.Benchmark`.

    Attributes:
        name: of the benchmark, and of its population.
        space: the networks.
        columns: of the table, that name a network together.
        text: a row's network as the space writes it, from the cells of `columns` as text.
        expected: of these columns, for an error.
        datasets: dataset -> what its accuracies are called.
        file: the table's name in a folder.
        gaps: whether a network may lack an accuracy: it is left out, and counted.
    """

    name: str
    space: ChoiceSpace
    columns: tuple[str, ...]
    text: Callable[..., str]
    expected: str
    datasets: Mapping[str, Trained]
    file: str
    gaps: bool = False

    def folder(self, request: BenchRequest) -> str:
        """Name the folder under runs/ that a run gets by default."""
        dataset = f"-{request.dataset}" if len(self.datasets) > 1 else ""
        return f"{self.name}{dataset}-{request.seed}"

    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        """Read the networks that a run may score."""
        return self.read_accuracies(request.data, request.dataset if settings is None else settings.dataset)

    def read_accuracies(self, data: Path, dataset: str) -> Population:
        """Read the networks and their accuracies from a table, or from the folder that holds it.

        Raises:
            InputError: of the table; it says how many rows are wrong, and which is the first.
        """
        path = data / self.file if data.is_dir() else data
        column = self.datasets[dataset].column
        table = read_csv(path, (*self.columns, column), f"the accuracies of {self.name}")
        together = ", ".join(self.columns)
        names = pandas.Series([self._point(row) for row in table[[*self.columns]].itertuples(index=False)], index=table.index)
        named = table if len(self.columns) == 1 else table.assign(**{together: _joined(table, self.columns)})
        check_rows(path, named, names.isna(), together, self.expected)
        check_rows(path, named, names.duplicated(), together, "each network once")
        accuracy = pandas.to_numeric(table[column], errors="coerce")
        empty = table[column].isna() if self.gaps else pandas.Series(False, index=table.index)
        check_rows(path, table, ~accuracy.between(0, 100) & ~empty, column, "an accuracy in percent, 0 to 100")
        if empty.all():
            raise InputError(f"{path}: {column}: expected an accuracy; all {len(table)} cells are empty")
        check_percent(path, column, accuracy)
        warnings = doubts_of_unit(path, column, accuracy, 100 / self.datasets[dataset].classes)
        if empty.any():
            warnings.append(f"{path}: {int(empty.sum())} of {len(table)} networks are left out: their {column} is empty")
        found = pandas.DataFrame({"index": range(len(table)), "network": names, "accuracy": accuracy})
        return population_of(found[~empty], path, warnings=tuple(warnings))

    def _point(self, row: tuple[Any, ...]) -> str | None:
        """Give SPACE:TEXT of a row's cells; None where it is no point of the space."""
        try:
            text = self.text(*(f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row))
            return f"{self.space.name}:{self.space.text(self.space.parse(text))}"
        except (InputError, ValueError):
            return None

    def settings(self, request: BenchRequest, population: Population, note: Note) -> Settings:
        """Decide the settings of a new run; reads the images, if there is a folder of them, once."""
        trained, size = self.datasets[request.dataset], request.own.get("size")
        side = trained.side if size is None else size
        return Settings(
            benchmark=self.name,
            dataset=request.dataset,
            population=self.name,
            population_digest=population.digest,
            proxies=chosen_proxies(request.proxies, thin=False),
            sample=request.sample,
            seed=request.seed,
            batch=request.batch,
            repeats=request.repeats,
            probes=request.probes,
            size=None if size is None else (size, size),
            pictures=real_batch(request, classes=trained.classes, size=(side, side), note=note),
            top=request.top,
            resamples=request.resamples or 300,
            extra={"samples": SAMPLES},
        )

    def plan(self, settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
        """Say what is scored: `networks` in their order, each proxy under its own name.

        Raises:
            InputError: fewer networks than P of nDCG.
        """
        if settings.top is not None and settings.top > len(networks):
            raise InputError(f"--top: expected at most the {len(networks)} networks that are scored; got {settings.top}")
        trained = self.datasets[settings.dataset]
        shape = (3, *(settings.size or (trained.side, trained.side)))
        read = None if settings.pictures is None else pictures.PictureBatch.from_dict(settings.pictures)
        samples = (settings.extra or {}).get("samples", SAMPLES)
        options = {} if settings.probes is None else {"probes": settings.probes}
        return ScoringPlan(
            source="space",
            classes=trained.classes,
            networks=[Network(int(row["index"]), row["network"], shape) for row in networks.to_dict("records")],
            setups={STANDARD: Setup(settings.batch, settings.seed, settings.repeats, pictures=read)},
            requests={
                name: Request(name, options if name in SPECTRA else {}, samples=samples.get(name)) for name in settings.proxies
            },
        )

    def conclude(
        self,
        run: Path,
        settings: Settings,
        population: Population,
        networks: pandas.DataFrame,
        scores: Scores,
        note: Note,
    ) -> dict[str, Any]:
        """Judge the scores, and write scores.csv and results.json."""
        table = judge.score_table(networks, scores, settings.proxies)
        if len(table) < len(scores.values):
            note(f"judging the {len(table)} networks of {len(scores.values)} that have all scores")
        rows = judge.judge(
            table, scores, settings.proxies, top=settings.top, resamples=settings.resamples, seed=settings.seed, note=note
        )
        partial = judge.partial(table, [row["proxy"] for row in rows])
        data = finish.results(settings, table, rows, scores, partial=partial)
        finish.write(run, data, table)
        return data


def _joined(table: pandas.DataFrame, columns: Sequence[str]) -> pandas.Series:
    """Give the cells that name a network together, for an error."""
    return pandas.Series([", ".join(map(str, row)) for row in table[[*columns]].itertuples(index=False)], index=table.index)
