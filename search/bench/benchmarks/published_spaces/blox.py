"""BLOX (Chau et al., NeurIPS 2022): 91,125 networks of three stages, each trained once on CIFAR-100."""

from __future__ import annotations

from search.bench.benchmarks.conduct import Benchmark
from search.bench.benchmarks.of_space import SpaceReferee, Trained
from uninas.spaces.trained.blox import SPACE

BENCHMARK: Benchmark = SpaceReferee(
    name="blox",
    space=SPACE,
    columns=("arch_vec",),
    text=str,
    expected="three blocks such as [[[0], [1, 1, 1, 1]], [[1], [1, 1, 0, 0]], [[0], [0, 1, 1, 0]]]",
    datasets={"cifar100": Trained("test_top1", 100, 32)},
    file="blox_cifar100.csv",
)
