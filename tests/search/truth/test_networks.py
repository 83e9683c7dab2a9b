"""The networks of a ground truth: in the band, of the families that are asked for, and the first ones whatever follows."""

from __future__ import annotations

import pytest

import uninas
from search.truth.families import FAMILIES, family_of
from search.truth.networks import draw, presets
from search.truth.settings import TruthConfig, load
from uninas import InputError

WIDE = "{params: 400_000, macs: 9_000_000, layers: 60, attention_tokens: 256}"


def config(tmp_path_factory: pytest.TempPathFactory, *overrides: str) -> TruthConfig:
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(f"budget: {WIDE}\nfill: 0.3\nnetworks: 10\n")
    return load(path, overrides)


def test_drawn_networks_fill_the_band_and_the_families_take_turns(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings, shown = config(tmp_path_factory), list[int]()
    networks = draw(settings, 10, show=shown.append)
    assert [network.name for network in networks] == [f"{name}-{number:02d}" for number in (1, 2) for name in FAMILIES]
    assert shown == list(range(1, 11))
    assert len({network.architecture.digest for network in networks}) == 10
    for network in networks:
        assert family_of(network.architecture) == network.family
        assert network.drawn
        assert network.cost == uninas.cost(network.architecture, (64, 64))
        assert 120_000 <= network.cost.params <= 400_000
        assert 2_700_000 <= network.cost.macs <= 9_000_000
        assert network.cost.layers <= 60
        assert uninas.canonicalise(network.architecture) == network.architecture


def test_more_networks_begin_with_the_fewer(tmp_path_factory: pytest.TempPathFactory) -> None:
    few = draw(config(tmp_path_factory, "networks=3"), 10)
    assert [network.name for network in few] == ["convolution-01", "attention-01", "hybrid-01"]
    more = {network.name: network for network in draw(config(tmp_path_factory, "networks=7"), 10)}
    assert all(more[network.name] == network for network in few)
    other = draw(config(tmp_path_factory, "networks=3", "seed=1"), 10)
    assert [network.architecture for network in other] != [network.architecture for network in few]


def test_some_families_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    networks = draw(config(tmp_path_factory, "networks=3", "families=[gate, convolution]"), 10)
    assert [network.name for network in networks] == ["gate-01", "convolution-01", "gate-02"]


def test_a_band_without_networks_is_given_up(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.truth.networks._PATIENCE", 50)
    narrow = config(tmp_path_factory, "networks=4", "families=[mixer]", "fill=0.999")
    with pytest.raises(InputError, match="4 of mixer were not found in 50 tries: widen the budget, lower fill"):
        draw(narrow, 10)


def test_presets_are_fitted_and_no_draws(tmp_path_factory: pytest.TempPathFactory) -> None:
    networks = presets(config(tmp_path_factory, "budget.macs=13_000_000"), 10)
    assert [network.name for network in networks] == ["resnet", "efficientnet", "vit", "coatnet"]
    assert [network.family for network in networks] == ["convolution", "gate", "attention", "hybrid"]
    assert not any(network.drawn for network in networks)
    assert all(network.cost.params <= 400_000 and network.cost.macs <= 13_000_000 for network in networks)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("resnet50", "convolution"),
        ("convnext_tiny", "convolution"),
        ("deit_small_patch16_224", "attention"),
        ("efficientnet_b0", "gate"),
        ("coatnet", "hybrid"),
        ("vit", "attention"),
    ],
)
def test_families_of_known_networks(name: str, family: str) -> None:
    assert family_of(uninas.load(name)) == family
