"""TransNAS-Bench-101 (Duan et al., CVPR 2021), the skeleton level: 3,256 encoders, each trained on the seven tasks."""

from __future__ import annotations

from search.bench.benchmarks.conduct import Benchmark
from search.bench.benchmarks.of_space import SpaceReferee
from search.bench.benchmarks.published_spaces.transnas_micro import TASKS
from uninas.spaces.trained.transnasbench101 import MACRO

BENCHMARK: Benchmark = SpaceReferee(
    name="transnas_macro",
    space=MACRO,
    columns=("architecture",),
    text=str,
    expected="a skeleton such as 64-1234-basic",
    datasets=TASKS,
    file="transnas_macro.csv",
)
