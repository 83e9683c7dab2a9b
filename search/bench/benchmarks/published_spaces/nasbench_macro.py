"""NAS-Bench-Macro (Su et al., arXiv 2103.11922): 6,561 networks of eight layers, each trained three times on CIFAR-10.

Parameters and FLOPs of all of them equal the authors' (columns params and flops of their table, which count MACs) to the integer.
"""

from __future__ import annotations

from search.bench.benchmarks.conduct import Benchmark
from search.bench.benchmarks.of_space import SpaceReferee, Trained
from uninas.spaces.nasbench_macro import SPACE

FILE = "nasbench_macro_cifar10.csv"


def eight_digits(architecture: str) -> str:
    """Give a cell of the column `architecture` its zeros back, which a reader of numbers drops."""
    return architecture.zfill(8)


BENCHMARK: Benchmark = SpaceReferee(
    name="nasbench_macro",
    space=SPACE,
    columns=("architecture",),
    text=eight_digits,
    expected="eight digits 0, 1 or 2",
    datasets={"cifar10": Trained("mean_acc", 10, 32)},
    file=FILE,
)
