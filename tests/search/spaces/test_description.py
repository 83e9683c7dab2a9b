"""Networks as vectors: what they tell apart, and what they do not."""

import math
import random

import numpy as np
import pytest

import uninas
from search.config import loading
from search.spaces.description import described, names
from search.spaces.from_config import from_config
from uninas.networks.presets import PRESETS

SPACES = {
    "graphs": "space: {preset: coatnet, widths: [16, 32, 32, 64], depths: [1, 1, 1, 1], sampler: grammar}",
    "cells": "space: nasbench201",
}


def value(architecture: uninas.Architecture, name: str) -> float:
    return float(described(architecture, (64, 64))[names().index(name)])


@pytest.mark.parametrize("text", SPACES.values(), ids=SPACES)
def test_every_candidate_of_a_space_is_described_alike(text: str) -> None:
    space = from_config(loading.parse(f"{text}\nsize: 64\nclasses: 10\n"))
    rng, found = random.Random(0), []
    while len(found) < 8:
        made = space.sample(rng)
        if hasattr(made, "digest"):
            found.append(space.features(made))  # type: ignore[attr-defined]
    assert {one.shape for one in found} == {(len(names()),)}
    assert np.isfinite(found).all()
    assert len({one.tobytes() for one in found}) == 8


def test_counts_and_costs_stand_where_they_are_named() -> None:
    network = uninas.load("resnet")
    cost = uninas.cost(network, (64, 64))
    assert value(network, "params") == pytest.approx(math.log1p(cost.params))
    assert value(network, "macs") == pytest.approx(math.log1p(cost.macs))
    assert value(network, "layers") == pytest.approx(math.log1p(cost.layers))
    assert value(network, "stages") == len(network.stages)
    shares = sum(value(network, f"level{level}.macs") for level in range(7))
    assert shares + value(network, "stem.macs") == pytest.approx(1.0, abs=0.01)  # the head has the rest


def test_a_level_is_a_number_of_halvings_whatever_the_stage() -> None:
    network = uninas.load("resnet")
    later = uninas.Architecture(
        network.stages[1:], network.classes, network.input_size, stem=(network.stem[0], network.stages[0].width)
    )
    flows = network.flows((64, 64))
    for number, flow in enumerate(flows[1:]):
        level = round(math.log2(64 / flow.place.height))
        assert value(network, f"level{level}.depth") == pytest.approx(math.log1p(len(network.stages[number].blocks)))
    assert value(later, "stages") == len(network.stages) - 1


@pytest.mark.parametrize("name", PRESETS)
def test_blocks_that_compute_alike_are_described_alike(name: str) -> None:
    network = uninas.load(name)
    of_blocks = [place for place, entry in enumerate(names()) if entry.startswith("blocks.")]
    stored, canonical = described(network), described(uninas.canonicalise(network))
    np.testing.assert_array_equal(stored[of_blocks], canonical[of_blocks])
    np.testing.assert_array_equal(canonical, described(uninas.parse(uninas.to_text(uninas.canonicalise(network)))))
