"""Initial values: the stated rule, and their independence from everything but seed and name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from proxies import initialise
from tests.proxies.networks import KINDS


def values(module: nn.Module, seed: int) -> dict[str, Tensor]:
    initialise(module, seed)
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_rule_by_owner() -> None:
    module = nn.ModuleDict(
        {
            "conv": nn.Conv2d(64, 128, 3, groups=4),
            "linear": nn.Linear(500, 300),
            "batch": nn.BatchNorm2d(8),
            "layer": nn.LayerNorm(8),
            "rms": nn.RMSNorm(8),
            "group": nn.GroupNorm(2, 8),
        }
    )
    for tensor in module.state_dict().values():
        tensor.fill_(7)
    found = values(module, 0)
    assert float(found["conv.weight"].std()) == pytest.approx((2 / (16 * 9)) ** 0.5, rel=0.03)
    assert float(found["linear.weight"].std()) == pytest.approx((2 / 500) ** 0.5, rel=0.03)
    assert abs(float(found["linear.weight"].mean())) < 1e-3
    for name, expected in {
        "conv.bias": 0,
        "linear.bias": 0,
        "batch.weight": 1,
        "batch.bias": 0,
        "batch.running_mean": 0,
        "batch.running_var": 1,
        "batch.num_batches_tracked": 0,
        "layer.weight": 1,
        "layer.bias": 0,
        "rms.weight": 1,
        "group.weight": 1,
        "group.bias": 0,
    }.items():
        assert (found[name] == expected).all(), name


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relative_position_bias_table = nn.Parameter(torch.ones(4, 49))
        self.cls_token = nn.Parameter(torch.ones(1, 1, 8))
        self.gamma = nn.Parameter(torch.zeros(8))
        self.logit_scale = nn.Parameter(torch.zeros(4, 1, 1))
        self.q_bias = nn.Parameter(torch.ones(8))
        self.attention = nn.MultiheadAttention(200, 2)


def test_rule_by_name_and_shape_for_all_others() -> None:
    found = values(Odd(), 0)
    assert (found["relative_position_bias_table"] == 0).all()
    assert (found["cls_token"] == 0).all()
    assert (found["gamma"] == 1).all()
    assert (found["logit_scale"] == 1).all()
    assert (found["q_bias"] == 0).all()
    assert float(found["attention.in_proj_weight"].std()) == pytest.approx((2 / 200) ** 0.5, rel=0.03)
    assert (found["attention.in_proj_bias"] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_seed_decides_and_what_was_there_does_not(kind: str) -> None:
    network = KINDS[kind]()
    first = values(network, 1)
    for tensor in network.state_dict().values():
        tensor.zero_()
    torch.manual_seed(5)
    again, other = values(network, 1), values(network, 2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_value_depends_on_no_other_parameter() -> None:
    small = values(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 5)), 9)
    large = values(nn.Sequential(nn.Conv2d(3, 40, 5), nn.Linear(4, 5), nn.Conv2d(1, 1, 1)), 9)
    assert torch.equal(small["1.weight"], large["1.weight"])
    assert not torch.equal(small["0.weight"].flatten()[:9], large["0.weight"].flatten()[:9] * 0)
    reordered = nn.Module()
    reordered.add_module("1", nn.Linear(4, 5))
    reordered.add_module("0", nn.Conv2d(3, 4, 3))
    assert torch.equal(small["0.weight"], values(reordered, 9)["0.weight"])


def test_equal_layers_in_different_places_differ() -> None:
    found = values(nn.Sequential(nn.Linear(4, 5), nn.Linear(4, 5)), 9)
    assert not torch.equal(found["0.weight"], found["1.weight"])


def test_precision_rounds_and_does_not_redraw() -> None:
    single, double = nn.Linear(30, 20), nn.Linear(30, 20).double()
    initialise(single, 0)
    initialise(double, 0)
    assert torch.equal(single.weight.double(), double.weight)
