"""AutoFormer networks: accuracies of 200 vision transformers of AutoFormer's tiny space, published with Auto-Prox (AAAI 2024)."""

from __future__ import annotations

from search.bench.benchmarks.conduct import Benchmark
from search.bench.benchmarks.of_space import SpaceReferee, Trained, vit_datasets
from uninas.spaces.autoformer import SPACE


def text(hidden_dim: str, mlp_ratio: str, depth: str, num_heads: str) -> str:
    """Write a row's network as the space does. Raises ValueError where the depth is not how many ratios there are."""
    if len(mlp_ratio.split("-")) != int(depth):
        raise ValueError(f"expected {depth} ratios, got {mlp_ratio}")
    return f"{hidden_dim}:{mlp_ratio}:{num_heads}"


BENCHMARK: Benchmark = SpaceReferee(
    name="autoformer",
    space=SPACE,
    columns=("hidden_dim", "mlp_ratio", "depth", "num_heads"),
    text=text,
    expected="a network of the space: a ratio 3.5 or 4.0 and 3 or 4 heads for each of 12 to 14 blocks, width 192, 216 or 240",
    datasets={**vit_datasets(SPACE.input_size[0]), "imagenet_super": Trained("imagenet_super_acc", 1000, SPACE.input_size[0])},
    file="vit_bench_autoformer.csv",
    gaps=True,
)
