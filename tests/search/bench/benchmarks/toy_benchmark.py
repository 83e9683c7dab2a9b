"""A benchmark of one's own, as small as one can be: two dozen cells, whose accuracies are a table's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

from search.bench.benchmarks.accuracy_table import Population, population_of, read_csv
from search.bench.benchmarks.conduct import Benchmark, Note
from search.bench.benchmarks.request import BenchRequest
from search.bench.benchmarks.table import Entry, Option
from search.bench.judging import finish, judge
from search.bench.scoring.job import Request, Setup
from search.bench.scoring.plan import STANDARD, Network, ScoringPlan, chosen_proxies
from search.bench.scoring.run import Scores
from search.bench.scoring.settings import Settings

ENTRY = Entry(
    module=__name__,
    help="Rank a toy's networks.\n\nuninas bench toy --data TABLE",
    data="CSV with the columns index, network, accuracy.",
    datasets=("toy",),
    batch=4,
    options=("sample",),
    own=(Option("below", "number", 100.0, "Accuracies below this."), Option("reversed", "flag", False, "The worst first.")),
)


@dataclass(frozen=True)
class Toy:
    name: str = "toy"

    def folder(self, request: BenchRequest) -> str:
        return f"toy-{request.seed}"

    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        below = request.own["below"] if settings is None or settings.extra is None else settings.extra["below"]
        table = read_csv(request.data, ("index", "network", "accuracy"))
        return population_of(table[table["accuracy"] < below], request.data)

    def settings(self, request: BenchRequest, population: Population, note: Note) -> Settings:
        return Settings(
            benchmark=self.name,
            dataset=request.dataset,
            population="all",
            population_digest=population.digest,
            proxies=chosen_proxies(request.proxies),
            sample=request.sample,
            seed=request.seed,
            batch=request.batch,
            resamples=request.resamples or 20,
            extra=dict(request.own),
        )

    def plan(self, settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
        names = [Network(int(row["index"]), row["network"], (3, 8, 8)) for row in networks.to_dict("records")]
        requests = {name: Request(name) for name in settings.proxies}
        return ScoringPlan("nasbench201", 10, names, {STANDARD: Setup(settings.batch, settings.seed)}, requests)

    def conclude(
        self, run: Path, settings: Settings, population: Population, networks: pandas.DataFrame, scores: Scores, note: Note
    ) -> dict[str, Any]:
        table = judge.score_table(networks, scores, settings.proxies)
        rows = judge.judge(table, scores, settings.proxies, top=settings.top, resamples=settings.resamples, seed=settings.seed)
        data = finish.results(settings, table, rows, scores)
        finish.write(run, data, table)
        return data


BENCHMARK: Benchmark = Toy()
