"""SWAP and L-SWAG against naive versions, the count of patterns against numpy's, and their failures."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from proxies import PROXIES, Images, ProxyFailure, score
from proxies.formulas.patterns import distinct_patterns
from proxies.measuring.seeds import another_batch, derive_seed
from proxies.measuring.training_pass import labels
from tests.proxies.networks import batch, make


@pytest.mark.parametrize("samples", [1, 2, 5, 21, 22, 42, 63, 64, 65, 130])
def test_patterns_are_those_that_numpy_counts(samples: int) -> None:
    stream = np.random.default_rng(samples)
    few = stream.random((samples, 9)) < 0.5
    codes = few[:, stream.integers(0, 9, 400)]
    codes[-1, :50] ^= True  # columns that differ in the last sample alone
    codes[0, 100:150] ^= True
    assert distinct_patterns(torch.from_numpy(codes)) == len(np.unique(codes, axis=1).T)
    assert distinct_patterns(torch.zeros(samples, 7, dtype=torch.bool)) == 1
    assert distinct_patterns(torch.zeros(samples, 0, dtype=torch.bool)) == 0


class Rectified(nn.Module):
    """Each rectifier is read by one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 4, 3, 2),
            nn.ReLU(),
            nn.Conv2d(4, 4, 1),
        )
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


def network() -> nn.Module:
    torch.manual_seed(0)
    return Rectified().double()


def inputs_of(module: nn.Module, kinds: tuple[type[nn.Module], ...], inputs: Tensor) -> dict[str, int]:
    """How many patterns the inputs of layers of some kinds show."""
    module = copy.deepcopy(module).train()
    found: dict[str, int] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, kinds):

            def hook(_: nn.Module, given: tuple[Tensor, ...], name: str = name) -> None:
                found[name] = len(np.unique((given[0].detach() > 0).flatten(1).numpy(), axis=1).T)

            layer.register_forward_pre_hook(hook)
    module(inputs)
    return found


def test_swap_is_the_naive_one() -> None:
    expected = inputs_of(network(), (nn.ReLU,), batch(5))
    assert PROXIES["swap"](network(), batch(5)) == sum(expected.values()) > 20


def gradients(module: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, np.ndarray]:
    module = copy.deepcopy(module).train()
    functional.cross_entropy(module(inputs), targets).backward()
    return {name: np.abs(parameter.grad.numpy()) for name, parameter in module.named_parameters()}


def test_lswag_is_the_naive_one() -> None:
    inputs, other = batch(5), derive_seed(3, "second batch")
    first = gradients(network(), inputs, labels(5, 5, 3))
    second = gradients(network(), another_batch(inputs, other), labels(5, 5, other))
    patterns = inputs_of(network(), (nn.Conv2d, nn.Linear), inputs)
    expected = 0.0
    for layer, count in patterns.items():
        spread = np.std([first[f"{layer}.weight"], second[f"{layer}.weight"]], axis=0)
        expected += math.log((1 / spread[spread > 0]).sum()) * count
    assert PROXIES["lswag"](network(), inputs, seed=3) == pytest.approx(expected, rel=1e-9)


def test_lswag_needs_two_batches_of_pictures() -> None:
    pictures = Images(batch(8, dtype=torch.float32), torch.arange(8) % 5)
    few, enough = (
        score(network().float(), ["lswag", "zico"], input_shape=(3, 9, 9), batch=size, images=pictures) for size in (8, 4)
    )
    assert {getattr(value, "reason", None) for value in few.values()} == {"too_few_samples"}
    assert all(isinstance(value, float) for value in enough.values())


def test_samples_that_switch_alike_are_one_pattern_fewer() -> None:
    one = batch(1).expand(5, -1, -1, -1)
    bare = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 49, 5)).double()
    assert PROXIES["swap"](bare, one) == 2  # a unit is on for all samples or for none
    assert PROXIES["swap"](bare, batch(1)) == 2
    assert PROXIES["swap"](bare, batch(5)) == 32


def test_what_does_not_switch_fails_with_its_reason() -> None:
    def reason(name: str, module: nn.Module, inputs: Tensor) -> str:
        with pytest.raises(ProxyFailure) as caught:
            PROXIES[name](module, inputs, seed=0)
        return caught.value.reason

    linear = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(162, 4)).double()
    assert reason("swap", linear, batch(4)) == "no_activations"
    broken = make("convolution")
    nn.init.constant_(broken.stages[0][0].first[0].weight, math.inf)
    assert reason("lswag", broken, batch(4)) == "non_finite"
