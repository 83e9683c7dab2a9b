"""Features of graphs: by hand, against paths enumerated on cells written edge by edge, and equal for equal computations."""

import math
import random
from functools import cache
from itertools import pairwise, product

import pytest

from tests.uninas.examples import around, disguised_network, graph_of, small, tiny, walked
from uninas import Graph, GraphBuilder, op, parse_op
from uninas.analysis.features import KINDS, SETS, block_features, graph_features, kind_of

# Cells as NAS-Bench-201 has them: nodes 0 .. 3, an operation on each of the six edges.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATIONS = ("none", "skip", "pointwise", "spatial", "pooling")
Cell = tuple[str, ...]


def cell_graph(cell: Cell) -> Graph:
    builder = GraphBuilder()
    made: list[int | None] = [0, None, None, None]
    for target in (1, 2, 3):
        terms = []
        for (source, end), name in zip(EDGES, cell, strict=True):
            x = made[source]
            if end != target or name == "none" or x is None:
                continue
            if name == "pooling":
                x = builder.add(op("max_pool", kernel=3), x)
            elif name != "skip":
                conv = op("conv", kernel=3 if name == "spatial" else 1, bias=False)
                x = builder.chain(x, op("gelu"), conv, op("batch_norm"))
            terms.append(x)
        made[target] = None if not terms else terms[0] if len(terms) == 1 else builder.add(op("add"), *terms)
    return builder.build(builder.add(op("zero"), 0) if made[3] is None else made[3])


def cell_paths(cell: Cell) -> list[list[str]]:
    """The operations along every path from node 0 to node 3."""
    on = dict(zip(EDGES, cell, strict=True))
    ways = [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)]
    paths = [[on[edge] for edge in pairwise(way)] for way in ways]
    return [path for path in paths if "none" not in path]


@cache
def cells() -> list[tuple[Cell, dict[str, float]]]:
    """Cells with their features."""
    drawn = random.Random(0).sample(list(product(OPERATIONS, repeat=6)), 300)
    chosen = [("none",) * 6, ("skip",) * 6, ("spatial",) * 6, *drawn]
    return [(cell, block_features(cell_graph(cell), 16)) for cell in chosen]


def name_of(chosen: tuple[str, ...]) -> str:
    return "any" if len(chosen) == 6 else "+".join(chosen)


@pytest.mark.parametrize("chosen", [chosen for chosen in SETS if "skip" not in chosen], ids=name_of)
def test_lengths_of_paths_are_those_of_the_cell(chosen: tuple[str, ...]) -> None:
    for cell, features in cells():
        lengths = [sum(operation in chosen for operation in path) for path in cell_paths(cell)]
        expected = (min(lengths), max(lengths), sum(lengths) / len(lengths)) if lengths else (0, 0, 0)
        found = tuple(features[f"{what}.{name_of(chosen)}"] for what in ("shortest", "longest", "mean"))
        assert found == pytest.approx(expected), cell


@pytest.mark.parametrize("chosen", [chosen for chosen in SETS if "skip" in chosen], ids=name_of)
def test_paths_of_nothing_else_are_those_of_the_cell(chosen: tuple[str, ...]) -> None:
    for cell, features in cells():
        paths = [path for path in cell_paths(cell) if set(path) <= set(chosen)]
        assert features[f"paths.{name_of(chosen)}"] == pytest.approx(math.log2(1 + len(paths))), cell
        assert features[f"only.{name_of(chosen)}"] == (len(paths) > 0), cell
        assert features[f"through.{name_of(chosen)}"] >= features[f"shortest.{name_of(chosen)}"] or not paths


def test_counts_and_degrees_of_a_cell_by_hand() -> None:
    cell = ("spatial", "pointwise", "skip", "skip", "pooling", "spatial")
    found = {name: value for name, value in block_features(cell_graph(cell), 16).items() if value}
    counts = {name: found[name] for name in found if name.startswith(("count.", "leaving.", "reaching."))}
    assert counts == {
        "count.spatial": 2,
        "count.pointwise": 1,
        "count.pooling": 1,
        "count.skip": 2,
        "count.normalisation": 3,
        "count.activation": 2,
        "count.sum": 2,
        "leaving.spatial": 1,
        "leaving.pointwise": 1,
        "leaving.skip": 1,
        "reaching.skip": 1,
        "reaching.pooling": 1,
        "reaching.spatial": 1,
    }
    assert (found["shortest.any"], found["longest.any"], found["mean.any"]) == (1, 3, (1 + 2 + 2 + 3) / 4)
    assert found["through.spatial+skip"] == 1
    assert found["paths.spatial+skip"] == math.log2(1 + 2)  # the skip, and spatial - skip - spatial
    assert "only.spatial" not in found


def test_a_skip_passes_by_something() -> None:
    """A sum of two branches has no skip; a residual has one, also around a later part."""
    branches = graph_of("%1 = conv(kernel=3) %0", "%2 = conv(kernel=1) %0", "%3 = add %1 %2", "return %3")
    residual = graph_of("%1 = conv(kernel=3) %0", "%2 = conv(kernel=1) %1", "%3 = add %1 %2", "return %3")
    assert block_features(branches, 16)["count.skip"] == 0
    assert block_features(residual, 16)["count.skip"] == 1
    assert block_features(residual, 16)["longest.skip"] == 1


def test_what_follows_a_sum_is_not_what_reads_the_input() -> None:
    late = graph_of("%1 = gelu %0", "%2 = conv(kernel=3) %0", "%3 = add %1 %2", "%4 = conv(kernel=1) %3", "return %4")
    features = block_features(late, 16)
    assert (features["leaving.spatial"], features["leaving.pointwise"], features["reaching.pointwise"]) == (1, 0, 1)


def test_the_blocks_of_the_template_by_hand() -> None:
    """A transformer block and an MBConv of the presets: what is on their paths, and what leaves no trace on them."""
    total = graph_features(tiny("ET"))
    assert {kind: total[f"count.{kind}"] for kind in KINDS} == {
        "spatial": 0,
        "pointwise": 4 + 4,
        "depthwise": 1,
        "pooling": 0,
        "attention": 1,
        "skip": 1,
        "global_pool": 1,
        "gate": 1,
        "normalisation": 3 + 1,
        "activation": 4 + 1,
        "sum": 0,
    }
    assert total["stage0.count.depthwise"] == total["stage1.count.attention"] == 1
    assert total["longest.attention"] == total["shortest.attention"] == 1  # every path through attention is one of it
    assert (total["depth"], total["stage0.width"], total["stage1.depth"]) == (2, 32, 1)


def test_kinds_of_operations() -> None:
    kinds = {
        "conv(kernel=3)": "spatial",
        "conv(kernel=1)": "pointwise",
        "conv(kernel=5, groups=depthwise)": "depthwise",
        "conv(kernel=3, groups=2)": "spatial",
        "max_pool": "pooling",
        "global_average_pool": "global_pool",
        "layer_norm": "normalisation",
        "gelu": "activation",
        "dropout": None,
        "softmax": None,
        "identity": None,
        "broadcast": None,
    }
    assert {text: kind_of(parse_op(text)) for text in kinds} == kinds


def test_a_zero_and_an_absent_graph_have_no_path() -> None:
    zero = graph_of("%1 = zero %0", "return %1")
    assert set(block_features(zero, 16).values()) == {0.0}
    gone, there = graph_features(around(None)), graph_features(around(graph_of("%1 = gelu %0", "return %1")))
    assert there["only.skip"] == there["count.activation"] == 1.0
    assert gone["only.skip"] == 0.0
    blocked = graph_of(
        "%1 = conv(kernel=3) %0", "%2 = zero %0", "%3 = concat %1 %2", "%4 = conv(kernel=1, ratio=1/2) %3", "return %4"
    )
    assert block_features(blocked, 16)["shortest.spatial"] == 1.0, "no path leads through a zero"


@pytest.mark.parametrize("seed", range(6))
def test_equal_computations_have_equal_features(seed: int) -> None:
    rng = random.Random(seed)
    network = walked(tiny(), rng, 12)
    disguised, _ = disguised_network(network, rng)
    assert graph_features(disguised) == graph_features(network)


def test_all_networks_of_a_space_have_the_same_keys_and_an_edit_changes_values() -> None:
    start = small("coatnet")
    described = [graph_features(walked(start, random.Random(seed), 10)) for seed in range(5)]
    assert all(list(features) == list(graph_features(start)) for features in described)
    assert len({tuple(features.values()) for features in described}) == 5
    assert all(math.isfinite(value) for features in described for value in features.values())
