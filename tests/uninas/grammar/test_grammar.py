"""Networks drawn whole: well typed, meaningful, within their bounds, of many families, and modules that run."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.running import executed_macs, noise
from uninas import PRESETS, ZOO, canonicalise, cost, op, parse, preset, to_text, warnings_of
from uninas.analysis.family import family
from uninas.compile.module import build
from uninas.edits import UNIVERSAL, vocabulary
from uninas.grammar.recipes import RECIPES, attends
from uninas.grammar.sampling import sample_network
from uninas.graph import Architecture, Stage
from uninas.ops import IllTyped

SEEDS = st.integers(0, 2**32 - 1)
BOUNDS = {"params": 600_000, "macs": 13_000_000, "layers": 40, "attention_tokens": 64}


@given(SEEDS)
@examples(60)
def test_what_is_drawn_runs_and_costs_what_is_counted(seed: int) -> None:
    network = canonicalise(sample_network(random.Random(seed), input_size=(64, 48), classes=5, bounds=BOUNDS))
    figures = cost(network)
    assert figures.attention_tokens <= BOUNDS["attention_tokens"]
    assert parse(to_text(network)) == network
    assert min(side for place in network.places() for side in place[:2]) >= 2
    with torch.device("meta"):
        module = build(network, fused=False)
    assert sum(p.numel() for p in module.parameters()) == figures.params
    assert executed_macs(module, (64, 48), device="meta") == figures.macs


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_what_is_drawn_trains(seed: int) -> None:
    network = canonicalise(sample_network(random.Random(seed), input_size=(64, 64), classes=5, bounds=BOUNDS))
    logits = build(network)(noise(2, 3, 64, 64, seed=seed))
    assert bool(logits.isfinite().all())
    logits.square().sum().backward()


@pytest.mark.parametrize("bounds", [BOUNDS, {"params": 30_000_000, "macs": 4_500_000_000}, {"macs": 300_000_000}, {}], ids=str)
def test_nearly_all_are_within_their_bounds_and_none_is_far_below(bounds: dict[str, int]) -> None:
    size = (64, 64) if bounds is BOUNDS else (224, 224)
    drawn = [
        cost(canonicalise(sample_network(random.Random(i), input_size=size, classes=10, bounds=bounds))).as_dict()
        for i in range(100)
    ]
    within = [all(figures[name] <= bound for name, bound in bounds.items()) for figures in drawn]
    assert sum(within) >= 90
    sized = [name for name in ("params", "macs") if name in bounds]
    used = [max(figures[name] / bounds[name] for name in sized) for figures in drawn] if sized else [1.0]
    assert sum(share > 0.15 for share in used) >= 0.8 * len(used)


def test_families_depths_and_forms_are_many() -> None:
    drawn = [sample_network(random.Random(i), input_size=(224, 224), classes=10, bounds={"macs": 10**9}) for i in range(300)]
    assert len({family(network) for network in drawn}) > 12
    assert max(Counter(family(network) for network in drawn).values()) < 100
    assert {len(network.stages) for network in drawn} == {3, 4, 5}
    assert len({sum(len(stage.blocks) for stage in network.stages) for network in drawn}) > 15
    assert len({network.digest for network in drawn}) == 300
    mostly_meant = sum(not warnings_of(canonicalise(network)) for network in drawn)
    assert mostly_meant >= 280


def test_one_seed_is_one_network() -> None:
    one, other = (sample_network(random.Random(7), input_size=(64, 64), classes=10, bounds=BOUNDS) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_makes_a_block_of_every_width_it_promises(name: str) -> None:
    for seed in range(20):
        recipe = RECIPES[name](random.Random(seed), op("silu"), UNIVERSAL)
        assert recipe.family == name
        for times in (1, 2, 3, 5, 11):
            width = times * recipe.step
            try:
                made = canonicalise(Architecture((Stage(width, (recipe.make(width),)),), 3, (64, 64), (8, 16)))
            except IllTyped:
                assert name == "fragments", "only what is made of any fragment may be refused at a width"
                continue
            assert cost(made).params > 0


def test_fragments_come_from_the_vocabulary() -> None:
    blocks = [RECIPES["fragments"](random.Random(i), op("relu"), vocabulary(["gelu"])).make(32) for i in range(5)]
    names = {node.op.name for block in blocks for graph in block.subblocks if graph is not None for node in graph.nodes}
    assert names == {"input", "gelu"}
    assert not any(attends(block) for block in blocks)


FAMILIES = {
    "resnet": "convolution",
    "efficientnet": "depthwise + gate",
    "vit": "attention",
    "coatnet": "depthwise + attention + gate",
    "resnet50": "convolution",
    "resnext50_32x4d": "convolution",
    "regnety_004": "convolution + gate",
    "mobilenetv2_100": "depthwise",
    "mobilenetv3_large_100": "depthwise + gate",
    "efficientnet_b0": "depthwise + gate",
    "convnext_tiny": "depthwise",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_known_networks_are_of_the_family_that_everybody_calls_them(name: str) -> None:
    assert family(preset(name)) == FAMILIES[name]


def test_every_known_network_has_a_family() -> None:
    assert {*PRESETS, *ZOO} >= set(FAMILIES)
