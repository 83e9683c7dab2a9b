"""Networks that are no plain modules: an error that says what to score in their place, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrizations, prune

from proxies import ProxyUsageError, initialise, score
from tests.proxies.networks import KINDS, batch


def _pruned() -> nn.Module:
    network = KINDS["convolution"]()
    prune.random_unstructured(network.stem[0], "weight", 0.5)
    return network


def _inference() -> nn.Module:
    with torch.inference_mode():
        return KINDS["convolution"]()


def _with(change: Callable[[nn.Conv2d], object]) -> nn.Module:
    network = KINDS["convolution"]()
    change(network.stem[0])
    return network


def _compiled() -> nn.Module:
    network = KINDS["convolution"]()
    network.stages[0][0] = torch.compile(network.stages[0][0])
    return network


def _compiled_in_place() -> nn.Module:
    network = KINDS["convolution"]()
    network.compile()
    return network


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.compile(KINDS["convolution"]()), "the network: expected a plain module, got one of torch.compile: score"),
        (_compiled, "layer 'stages.0.0': expected a plain module, got one of torch.compile"),
        (_compiled_in_place, "the network: expected a plain module, got one of torch.compile"),
        (lambda: torch.jit.trace(nn.Conv2d(3, 4, 3), batch(1).float()), "got one of torch.jit: score the module that it was"),
        (
            lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten()),
            "layer '0': expected a shape of weight, got none: run the net",
        ),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.LazyBatchNorm2d()), "layer '1': expected a shape of weight"),
        (lambda: _with(parametrizations.weight_norm), "layer 'stem.0': .* got parametrizations of weight: take them away first"),
        (lambda: _with(parametrizations.spectral_norm), "got parametrizations of weight"),
        (lambda: _with(nn.utils.weight_norm), "got torch's WeightNorm, .* with torch.nn.utils.remove_weight_norm"),
        (lambda: _with(nn.utils.spectral_norm), "got torch's SpectralNorm, .* with torch.nn.utils.remove_spectral_norm"),
        (_pruned, "got torch's RandomUnstructured, .* with torch.nn.utils.prune.remove"),
        (_inference, "expected weight to be an ordinary tensor, got one of inference mode: make the network outside"),
    ],
)
def test_what_is_no_plain_module_is_refused_and_left_as_it_was(make: Callable[[], nn.Module], said: str) -> None:
    network = make()
    before = [None if is_lazy(parameter) else parameter.detach().clone() for parameter in network.parameters()]
    for given in (lambda: score(network, ["naswot", "params"], input_shape=(3, 9, 9), batch=2), lambda: initialise(network, 0)):
        with pytest.raises(ProxyUsageError, match=said) as caught:
            given()
        assert "\n" not in str(caught.value)
    for parameter, value in zip(network.parameters(), before, strict=True):
        assert value is None or torch.equal(parameter, value)
