"""A new benchmark of proxies: NAS-Bench-Macro (Su et al., arXiv 2103.11922), networks whose CIFAR-10 accuracies are known.

    python docs/extend/examples/benchmark.py TABLE.csv RUN [--sample N]

TABLE.csv has the columns architecture (eight digits) and mean_acc (percent), as the authors' table. Scores a sample of the
networks in this process and prints how well each proxy ranks them. In the package, `build` is an entry of `NETWORKS` in
`search/bench/scoring/evaluate.py`; the rest is a file of `search/bench/benchmarks` and a command in `search/commands/bench.py`.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import click
import pandas
from rich.console import Console
from torch import nn

import uninas.compile
from search.bench.benchmarks.accuracy_table import population_of, read_csv
from search.bench.judging import finish, judge
from search.bench.scoring import run as runs
from search.bench.scoring.evaluate import NETWORKS
from search.bench.scoring.job import Request, Setup
from search.bench.scoring.plan import STANDARD, Network, Plan
from search.bench.scoring.settings import Settings
from search.config.schema import PoolConfig
from search.monitor.progress import PlainView
from uninas.spaces.nasbench_macro import SPACE

SOURCE = "nasbench_macro"
CLASSES = 10
INPUT = (3, 32, 32)


def build(name: str, *, classes: int, input_shape: tuple[int, int, int], **network: Any) -> nn.Module:
    """Build the network of that name; runs in the worker."""
    _, height, width = input_shape
    return uninas.compile.build(SPACE.build(SPACE.parse(name), classes, (height, width)))


def population(table: Path) -> pandas.DataFrame:
    """Read index, network and accuracy of every network, in the order of the table."""
    found = read_csv(table, ("architecture", "mean_acc"), "the accuracies of NAS-Bench-Macro")
    names = found["architecture"].astype(str).str.zfill(8)
    return pandas.DataFrame({"index": range(len(found)), "network": names, "accuracy": found["mean_acc"].astype(float)})


def plan_for(settings: Settings, networks: pandas.DataFrame) -> Plan:
    """Say what is scored. One seeded permutation: a larger sample begins with a smaller one."""
    order = list(networks.itertuples())
    random.Random(settings.seed).shuffle(order)
    return Plan(
        source=SOURCE,
        classes=CLASSES,
        networks=[Network(int(row.index), str(row.network), INPUT) for row in order[: settings.sample]],
        setups={STANDARD: Setup(settings.batch, settings.seed, settings.repeats)},
        requests={name: Request(name) for name in settings.proxies},
    )


def bench(
    table: Path, run: Path, *, proxies: tuple[str, ...], sample: int | None, seed: int = 0, batch: int = 16
) -> dict[str, Any]:
    """Do the whole benchmark in a new run folder; gives what its results.json holds."""
    NETWORKS[SOURCE] = build
    networks = population(table)
    settings = Settings(
        benchmark=SOURCE,
        dataset="cifar10",
        population="all",
        population_digest=population_of(networks).digest,
        proxies=proxies,
        sample=sample,
        seed=seed,
        batch=batch,
        resamples=300,
    )
    scores = runs.begin(run, settings, plan_for(settings, networks), pool=PoolConfig(kind="serial"), view=PlainView(click.echo))
    frame = judge.score_table(networks, scores, settings.proxies)
    rows = judge.judge(frame, scores, settings.proxies, top=None, resamples=settings.resamples, seed=seed)
    data = finish.results(settings, frame, rows, scores)
    finish.write(run, data, frame)
    return data


def main() -> None:
    """Read the arguments, do the benchmark, print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, metavar="TABLE.csv")
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--sample", type=int, metavar="N", default=20, help="how many networks to score")
    options = parser.parse_args()
    data = bench(options.table, options.run, proxies=("params", "flops", "naswot"), sample=options.sample)
    finish.show(data, Console().print)


if __name__ == "__main__":
    main()
