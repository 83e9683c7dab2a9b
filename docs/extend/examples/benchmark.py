"""A new benchmark of proxies: NAS-Bench-Macro (Su et al., arXiv 2103.11922), networks whose CIFAR-10 accuracies are known.

    python docs/extend/examples/benchmark.py --data TABLE.csv --sample 100 --proxies params,naswot --pool serial

TABLE.csv has the columns architecture (eight digits) and mean_acc (percent), as the authors' table. In the package, `build` is
an entry of `NETWORKS` in `search/bench/scoring/evaluate.py`, ENTRY one of `BENCHMARKS` in `search/bench/benchmarks/table.py`, and
the rest is a file of `search/bench/benchmarks`; `uninas bench nasbench_macro` then exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas
from torch import nn

import uninas.compile
from search.bench.benchmarks.accuracy_table import Population, check_rows, population_of, read_csv
from search.bench.benchmarks.conduct import Benchmark
from search.bench.benchmarks.request import BenchRequest
from search.bench.benchmarks.table import BENCHMARKS, Entry
from search.bench.judging import finish, judge
from search.bench.scoring.evaluate import NETWORKS
from search.bench.scoring.job import Request, Setup
from search.bench.scoring.plan import STANDARD, Network, ScoringPlan, chosen_proxies
from search.bench.scoring.run import Scores
from search.bench.scoring.settings import Settings
from uninas.spaces.nasbench_macro import SPACE

NAME = "nasbench_macro"
CLASSES = 10
INPUT = (3, 32, 32)

ENTRY = Entry(
    module=__name__,
    help="Rank the networks of NAS-Bench-Macro by every proxy, and compare the rankings with trained accuracies.",
    data="CSV with the columns architecture and mean_acc.",
    datasets=("cifar10",),
    batch=16,
    options=("sample",),
)


def build(name: str, *, classes: int, input_shape: tuple[int, int, int], **network: Any) -> nn.Module:
    """Build the network of that name; runs in the worker."""
    _, height, width = input_shape
    return uninas.compile.build(SPACE.build(SPACE.parse(name), classes, (height, width)))


def read_accuracies(path: Path) -> Population:
    """Read the networks and their accuracies.

    Raises:
        InputError: of the table; it says how many rows are wrong, and which is the first.
    """
    found = read_csv(path, ("architecture", "mean_acc"), "the accuracies of NAS-Bench-Macro")
    names = found["architecture"].astype(str).str.zfill(8)
    accuracy = pandas.to_numeric(found["mean_acc"], errors="coerce")
    check_rows(path, found, ~names.str.fullmatch("[012]{8}"), "architecture", "eight digits 0, 1 or 2")
    check_rows(path, found, names.duplicated(), "architecture", "each architecture once")
    check_rows(path, found, ~accuracy.between(0, 100), "mean_acc", "an accuracy in percent, 0 to 100")
    return population_of(pandas.DataFrame({"index": range(len(found)), "network": names, "accuracy": accuracy}), path)


@final
@dataclass(frozen=True)
class NASBenchMacro:
    """See `search.bench.benchmarks.conduct.Benchmark`."""

    name: str = NAME

    def folder(self, request: BenchRequest) -> str:
        """Name the folder under runs/ that a run gets by default."""
        return f"{NAME}-{request.seed}"

    def population(self, request: BenchRequest, settings: Settings | None, note: Callable[[str], None]) -> Population:
        """Read the networks that a run may score."""
        return read_accuracies(request.data)

    def settings(self, request: BenchRequest, population: Population, note: Callable[[str], None]) -> Settings:
        """Decide the settings of a new run."""
        return Settings(
            benchmark=NAME,
            dataset=request.dataset,
            population="all",
            population_digest=population.digest,
            proxies=chosen_proxies(request.proxies),
            sample=request.sample,
            seed=request.seed,
            batch=request.batch,
            repeats=request.repeats,
            top=request.top,
            resamples=request.resamples or 300,
        )

    def plan(self, settings: Settings, networks: pandas.DataFrame) -> ScoringPlan:
        """Say what is scored."""
        return ScoringPlan(
            source=NAME,
            classes=CLASSES,
            networks=[Network(int(row["index"]), row["network"], INPUT) for row in networks.to_dict("records")],
            setups={STANDARD: Setup(settings.batch, settings.seed, settings.repeats)},
            requests={name: Request(name) for name in settings.proxies},
        )

    def conclude(
        self,
        run: Path,
        settings: Settings,
        population: Population,
        networks: pandas.DataFrame,
        scores: Scores,
        note: Callable[[str], None],
    ) -> dict[str, Any]:
        """Judge the scores, and write scores.csv and results.json."""
        table = judge.score_table(networks, scores, settings.proxies)
        rows = judge.judge(
            table, scores, settings.proxies, top=settings.top, resamples=settings.resamples, seed=settings.seed, note=note
        )
        data = finish.results(settings, table, rows, scores)
        finish.write(run, data, table)
        return data


BENCHMARK: Benchmark = NASBenchMacro()


def main() -> None:
    """Add the benchmark to the tables of this process, and run its command."""
    from search.commands.bench import command

    BENCHMARKS[NAME] = ENTRY
    NETWORKS[NAME] = build
    command.get_command(None, NAME)(prog_name=NAME)  # type: ignore[arg-type, misc]


if __name__ == "__main__":
    main()
