"""Scores that need no network are those of the network: presets, cells, and networks that edits made."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
import torch

import uninas
from proxies import PROXIES
from search.workers.counted import COUNTS, counted, only_counts
from tests.uninas.examples import framed, small, tiny, walked
from uninas import PRESETS, Architecture, canonicalise
from uninas.compile import build
from uninas.spaces import nasbench201


def by_graph(network: Architecture, size: tuple[int, int]) -> dict[str, float]:
    return counted(network, COUNTS, size=size, classes=network.classes)


def by_module(network: Architecture, size: tuple[int, int]) -> dict[str, float]:
    module, inputs = build(network).eval(), torch.zeros(1, network.in_channels, *size)
    return {name: PROXIES[name](module, inputs, seed=0) for name in COUNTS}


@pytest.mark.parametrize("name", PRESETS)
def test_of_presets_at_other_sizes_than_their_own(name: str) -> None:
    network = canonicalise(small(name))
    for size in (network.input_size, (33, 47)):
        assert by_graph(network, size) == by_module(network, size)


@pytest.mark.parametrize("seed", range(6))
def test_of_random_networks(seed: int) -> None:
    rng = random.Random(seed)
    for network in (walked(tiny(), rng, 12), framed(rng)):
        network = canonicalise(network)
        assert by_graph(network, network.input_size) == by_module(network, network.input_size)


@pytest.mark.parametrize("name", ["efficientnet_b0", "poolformer_s12"])
def test_of_published_networks(name: str) -> None:
    network = canonicalise(uninas.load(name))
    assert by_graph(network, (64, 64)) == by_module(network, (64, 64))


def test_of_a_cell() -> None:
    cell = nasbench201.cell_text(["nor_conv_3x3", "skip_connect", "nor_conv_1x1", "avg_pool_3x3", "nor_conv_3x3", "none"])
    network = canonicalise(nasbench201.architecture(cell, classes=10, input_size=(32, 32)))
    assert by_graph(network, (32, 32)) == by_module(network, (32, 32))


def test_those_that_need_a_network_are_not_counted() -> None:
    assert only_counts(["nsc", "flops"])
    assert only_counts(["entropy"])
    assert not only_counts(["nsc", "meco"])
    assert not only_counts([])


def test_they_need_no_torch() -> None:
    program = (
        "import sys, uninas\n"
        "from search.workers.counted import COUNTS, counted\n"
        "found = counted(uninas.load('coatnet'), COUNTS, size=(64, 64), classes=10)\n"
        "assert set(found) == set(COUNTS) and not {'torch', 'numpy'} & set(sys.modules), sorted(found)\n"
    )
    assert subprocess.run([sys.executable, "-P", "-c", program], check=False).returncode == 0
