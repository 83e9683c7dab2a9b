"""PiT networks: accuracies of 100 pooling-based vision transformers, published with Auto-Prox (AAAI 2024)."""

from __future__ import annotations

from search.bench.benchmarks.conduct import Benchmark
from search.bench.benchmarks.of_space import SpaceReferee, vit_datasets
from uninas.spaces.pit import SPACE


def text(base_dim: str, mlp_ratio: str, depth: str, num_heads: str) -> str:
    """Write a row's network as the space does."""
    return f"{base_dim}:{mlp_ratio}:{depth}:{num_heads}"


BENCHMARK: Benchmark = SpaceReferee(
    name="pit",
    space=SPACE,
    columns=("base_dim", "mlp_ratio", "depth", "num_heads"),
    text=text,
    expected="a network of the space, such as 24, 4, 2-8-4 and 2-4-4",
    datasets=vit_datasets(SPACE.input_size[0]),
    file="vit_bench_pit.csv",
    gaps=True,
)
