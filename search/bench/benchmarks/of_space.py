"""A referee whose networks are points of a published space: it says where its table is, and how a row names a network.

REFEREE = SpaceReferee("nasbench_macro", SPACE, ("architecture",), named, {"cifar10": Trained("mean_acc", 10, 32)}, file=...)

One whose networks and accuracies stand in another kind of file is a `PointsReferee` with a reader of its own. A network is
called SPACE:TEXT, as every command that takes an architecture calls it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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
    finite,
    population_of,
    read_csv,
    stretched,
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
    """What the networks were trained on.

    Attributes:
        column: of its accuracies.
        classes: outputs of a network.
        side: pixels of a side of its inputs.
        percent: whether the column is an accuracy in percent; else any measure, more being better.
    """

    column: str
    classes: int
    side: int
    percent: bool = True


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


@dataclass(frozen=True)
class PointsReferee(ABC):
    """See `search.bench.benchmarks.conduct.Benchmark`: all but where the networks and their accuracies are read.

    Attributes:
        name: of the benchmark, and of its population.
        datasets: dataset -> what its accuracies are called.
    """

    name: str
    datasets: Mapping[str, Trained]

    @abstractmethod
    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        """Read the networks that a run may score: each is called SPACE:TEXT."""

    def folder(self, request: BenchRequest) -> str:
        """Name the folder under runs/ that a run gets by default."""
        dataset = f"-{request.dataset}" if len(self.datasets) > 1 else ""
        return f"{self.name}{dataset}-{request.seed}"

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


@final
@dataclass(frozen=True, kw_only=True)
class SpaceReferee(PointsReferee):
    """Networks of one space, in a table.

    Attributes:
        name, datasets: see `PointsReferee`.
        space: the networks.
        columns: of the table, that name a network together.
        text: a row's network as the space writes it, from the cells of `columns` as text.
        expected: of these columns, for an error.
        file: the table's name in a folder.
        gaps: whether a network may lack an accuracy: it is left out, and counted.
    """

    space: ChoiceSpace
    columns: tuple[str, ...]
    text: Callable[..., str]
    expected: str
    file: str
    gaps: bool = False

    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        """Read the networks that a run may score."""
        return self.read_accuracies(request.data, request.dataset if settings is None else settings.dataset)

    def read_accuracies(self, data: Path, dataset: str) -> Population:
        """Read the networks and their accuracies from a table, or from the folder that holds it.

        Raises:
            InputError: of the table; it says how many rows are wrong, and which is the first.
        """
        path = data / self.file if data.is_dir() else data
        trained = self.datasets[dataset]
        column = trained.column
        table = read_csv(path, (*self.columns, column), f"the accuracies of {self.name}")
        together = ", ".join(self.columns)
        names = pandas.Series([self._point(row) for row in table[[*self.columns]].itertuples(index=False)], index=table.index)
        named = table if len(self.columns) == 1 else table.assign(**{together: _joined(table, self.columns)})
        check_rows(path, named, names.isna(), together, self.expected)
        check_rows(path, named, names.duplicated(), together, "each network once")
        accuracy = pandas.to_numeric(table[column], errors="coerce")
        empty = table[column].isna() if self.gaps else pandas.Series(False, index=table.index)
        fits, unit = (
            (accuracy.between(0, 100), "an accuracy in percent, 0 to 100") if trained.percent else (finite(accuracy), "a number")
        )
        check_rows(path, table, ~fits & ~empty, column, unit)
        if empty.all():
            raise InputError(f"{path}: {column}: expected an accuracy; all {len(table)} cells are empty")
        if trained.percent:
            check_percent(path, column, accuracy)
            warnings = doubts_of_unit(path, column, accuracy, 100 / trained.classes)
        else:
            accuracy, warnings = stretched(path, column, accuracy), []
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


def _joined(table: pandas.DataFrame, columns: Sequence[str]) -> pandas.Series:
    """Give the cells that name a network together, for an error."""
    return pandas.Series([", ".join(map(str, row)) for row in table[[*columns]].itertuples(index=False)], index=table.index)
