"""Random files of the reference's kind beside its network, written anew and naively: counts, logits, what is written of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from downstream.weights.reference import from_reference_names, to_reference_names
from tests.uninas.examples import graphs_of
from tests.uninas.reference.reference_files import random_file, with_biases
from tests.uninas.reference.reference_oracle import ReferenceNetwork
from tests.uninas.running import distance, noise
from uninas import canonicalise, cost
from uninas.compile.module import build
from uninas.reference import from_reference, read_reference, reference_layers, to_reference


def with_biases_on_features(seed: int) -> dict[str, Any]:
    """A file with a RelPosBias on feature maps of 16x16, 9x9, 4x4 or 1x1, within pieces, expansions and averages, and on maps."""
    rng = random.Random(2000 + seed)
    while True:  # files of letters alone have no place for one, and six stages would halve the map to nothing
        document = with_biases(rng, {**random_file(rng), "img_size": rng.choice([64, 36, 37, 35])})
        if len(document["embed_dim"]) > 4:
            continue
        network = from_reference(document, "net.json")
        if any(node.op.name == "row_column_bias" for *_, graph in graphs_of(network) for node in graph.nodes):
            return document


def of_all_classes(seed: int) -> dict[str, Any]:
    """A file with every class of node on feature maps and on attention maps, odd sizes, wrong stored shapes."""
    return random_file(random.Random(1000 + seed))


FILES = [*((of_all_classes, seed) for seed in range(80)), *((with_biases_on_features, seed) for seed in range(30))]


@pytest.mark.parametrize(("kind", "seed"), FILES)
def test_files_of_the_references_kind_have_its_costs_and_its_logits(kind: Callable[[int], dict[str, Any]], seed: int) -> None:
    """Those of the naive network; and the file that is written of it has its digest."""
    document = kind(seed)
    oracle = ReferenceNetwork(document).randomised(seed)
    images = noise(2, 3, document["img_size"], document["img_size"], seed=seed)
    expected, macs = oracle.run(images)
    architecture, layers = read_reference(document, "net.json")
    counted = cost(architecture)
    assert (counted.params, counted.macs) == (sum(value.numel() for value in oracle.parameters()), macs)
    arrays = {name: value.numpy() for name, value in oracle.state_dict().items() if not name.endswith("num_batches_tracked")}
    for fused in (True, False):
        module = build(architecture, fused=fused).eval()
        module.load_state_dict(from_reference_names(arrays, layers, module.state_dict()))
        with torch.no_grad():
            assert distance(module(images), expected) < 1e-4
    back = from_reference(to_reference(architecture), "net.json")
    assert back.digest == architecture.digest


@pytest.mark.parametrize("seed", range(6))
def test_weights_of_a_bias_on_feature_maps_come_back(seed: int) -> None:
    """The canonical form in the reference's file, its weights under the reference's names: the same function."""
    network = canonicalise(from_reference(with_biases_on_features(seed), "net.json"))
    document = to_reference(network)
    one = build(network).eval()
    for number, value in enumerate(one.parameters()):
        value.data.copy_(0.3 * noise(*value.shape, seed=number))
    arrays = to_reference_names(one.state_dict(), reference_layers(network))
    oracle = ReferenceNetwork(document).eval()
    missing, unexpected = oracle.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()}, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    images = noise(2, 3, *network.input_size)
    with torch.no_grad():
        assert distance(one(images), oracle(images)) < 1e-4
