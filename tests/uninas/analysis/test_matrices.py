"""The weight matrices of an architecture: as many weights as its cost counts, in the order of its module."""

from __future__ import annotations

import random

import pytest
from torch import nn

from tests.uninas.examples import framed, small, tiny, walked
from uninas import PRESETS, Architecture, canonicalise
from uninas.analysis.matrices import Matrix, weight_matrices
from uninas.compile import build


def check(network: Architecture) -> None:
    layers = [layer for layer in build(network).modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    expected = [(layer.weight.shape[0], layer.weight[0].numel(), getattr(layer, "groups", 1)) for layer in layers[:-1]]
    found = weight_matrices(network)
    assert [(matrix.outputs, matrix.inputs, matrix.groups) for matrix in found] == expected
    assert weight_matrices(network, network.input_size) == found


@pytest.mark.parametrize("name", PRESETS)
def test_of_presets(name: str) -> None:
    check(small(name))


@pytest.mark.parametrize("seed", range(10))
def test_of_random_networks(seed: int) -> None:
    rng = random.Random(seed)
    network = walked(tiny(), rng, 12)
    check(network)
    check(canonicalise(network))
    check(framed(rng))


def test_the_first_of_a_preset_by_hand() -> None:
    network = small("coatnet")
    first, second = network.stem
    height, width = network.input_size
    assert weight_matrices(network)[:2] == [
        Matrix(first, 27, 1, False, first * height * width // 4),
        Matrix(second, 9 * first, 1, False, second * height * width // 4),
    ]
