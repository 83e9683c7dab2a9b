"""The weight matrices of an architecture: as many weights as its cost counts, in the order of its module."""

from __future__ import annotations

import random

import pytest
from torch import nn

from tests.uninas.examples import framed, small, tiny, walked
from uninas import PRESETS, Architecture, canonicalise
from uninas.analysis.matrices import Matrix, weight_matrices
from uninas.compile import build

Shapes = list[tuple[int, int, int]]
"""Outputs, inputs and groups of each matrix."""


def of_module(network: Architecture) -> Shapes:
    layers = [layer for layer in build(network).modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return [(layer.weight.shape[0], layer.weight[0].numel(), getattr(layer, "groups", 1)) for layer in layers[:-1]]


def counted(network: Architecture, size: tuple[int, int] | None = None) -> Shapes:
    found = weight_matrices(network) if size is None else weight_matrices(network, size)
    return [(matrix.outputs, matrix.inputs, matrix.groups) for matrix in found]


@pytest.mark.parametrize("name", PRESETS)
def test_of_presets(name: str) -> None:
    network = small(name)
    assert counted(network) == of_module(network) == counted(network, network.input_size)


@pytest.mark.parametrize("seed", range(10))
def test_of_random_networks(seed: int) -> None:
    rng = random.Random(seed)
    walk = walked(tiny(), rng, 12)
    for network in (walk, canonicalise(walk), framed(rng)):
        assert counted(network) == of_module(network) == counted(network, network.input_size)


def test_the_first_of_a_preset_by_hand() -> None:
    network = small("coatnet")
    first, second = network.stem
    height, width = network.input_size
    assert weight_matrices(network)[:2] == [
        Matrix(first, 27, 1, False, first * height * width // 4),
        Matrix(second, 9 * first, 1, False, second * height * width // 4),
    ]
