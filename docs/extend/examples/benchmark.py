"""A new benchmark of proxies: NATS-Bench's size space (Dong et al., arXiv 2009.00437), 32,768 networks trained on CIFAR-10.

    python docs/extend/examples/benchmark.py --data TABLE.csv --sample 100 --proxies params,naswot --pool serial

TABLE.csv has the columns architecture (five widths, 8:8:16:40:40) and test_acc (percent); its authors' API makes one. In the
package this is a file of `search/bench/benchmarks`, and ENTRY one of `BENCHMARKS` in `search/bench/benchmarks/table.py`;
`uninas bench nats_bench_size` then exists.
"""

from __future__ import annotations

from search.bench.benchmarks.conduct import Benchmark
from search.bench.benchmarks.of_space import SpaceReferee, Trained
from search.bench.benchmarks.table import BENCHMARKS, Entry
from uninas.spaces.nats_bench_size import SPACE

NAME = "nats_bench_size"

ENTRY = Entry(
    module=__name__,
    help="Rank the networks of NATS-Bench's size space by every proxy, and compare the rankings with trained accuracies.",
    data="CSV with the columns architecture and test_acc.",
    datasets=("cifar10",),
    batch=16,
    options=("sample",),
)


def text(architecture: str) -> str:
    """Say how the space writes the network of a row: as the table does."""
    return architecture


BENCHMARK: Benchmark = SpaceReferee(
    name=NAME,
    space=SPACE,
    columns=("architecture",),
    text=text,
    expected="five widths such as 8:8:16:40:40",
    datasets={"cifar10": Trained(column="test_acc", classes=10, side=32)},
    file="nats_bench_size_cifar10.csv",
)


def main() -> None:
    """Add the benchmark to the table of this process, and run its command."""
    from search.commands.bench import command

    BENCHMARKS[NAME] = ENTRY
    command.get_command(None, NAME)(prog_name=NAME)  # type: ignore[arg-type, misc]


if __name__ == "__main__":
    main()
