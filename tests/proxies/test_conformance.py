"""What every proxy promises: deterministic, finite or a typed failure, and the model left as it was."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from proxies import PROXIES, ProxyFailure, score
from proxies.testing import SIZE, Noisy, _equal, check_network, check_no_trace_after_an_error, check_proxy, disturb, state
from tests.proxies.networks import KINDS
from uninas.runtime.torchvision_repair import repair


def timm_model(name: str, **options: object) -> nn.Module:
    repair()
    import timm

    return timm.create_model(name, num_classes=6, **options)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "convolution": (KINDS["convolution"], SIZE),
    "attention": (KINDS["attention"], SIZE),
    "shared": (KINDS["shared"], SIZE),
    "noisy": (Noisy, SIZE),
    "timm-resnet": (lambda: timm_model("test_resnet"), 33),
    "timm-vit": (lambda: timm_model("vit_tiny_patch16_224", img_size=32, depth=3, embed_dim=24, num_heads=2), 32),
}


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_finite_deterministic_and_without_a_trace(kind: str, name: str) -> None:
    make, size = NETWORKS[kind]
    check_network(name, make(), size=size)


@pytest.mark.parametrize("name", PROXIES)
def test_no_trace_after_an_error_either(name: str) -> None:
    check_no_trace_after_an_error(name)


@pytest.mark.parametrize("name", PROXIES)
def test_a_value_does_not_depend_on_who_else_is_asked(name: str) -> None:
    network = KINDS["convolution"]()
    shape = (3, SIZE, SIZE)
    everything = score(network, list(PROXIES), input_shape=shape, batch=6, seed=2)
    assert score(network, [name], input_shape=shape, batch=6, seed=2)[name] == everything[name]
    assert score(network, [name, *PROXIES], input_shape=shape, batch=6, seed=2)[name] == everything[name]


def test_score_leaves_the_users_weights() -> None:
    network = Noisy()
    disturb(network)
    before = state(network)
    result = score(network, list(PROXIES), input_shape=(3, SIZE, SIZE), batch=4, seed=1, dtype=torch.float64)
    assert not any(isinstance(value, ProxyFailure) for value in result.values()), result
    after = state(network)
    assert [key for key in before if not _equal(before[key], after[key])] == []


def test_float64_and_float32_score_the_same_weights() -> None:
    network = KINDS["attention"]()
    shape = (3, SIZE, SIZE)
    single = score(network, list(PROXIES), input_shape=shape, batch=6, seed=2)
    double = score(network, list(PROXIES), input_shape=shape, batch=6, seed=2, dtype=torch.float64)
    assert single == pytest.approx(double, rel=1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the CPU suite stands alone")
@pytest.mark.parametrize("kind", NETWORKS)
def test_cuda_scores_what_the_cpu_scores(kind: str) -> None:
    make, size = NETWORKS[kind]
    network = make()
    before = state(network)
    options = {"input_shape": (3, size, size), "batch": 6, "seed": 2, "dtype": torch.float64}
    cpu = score(network, list(PROXIES), **options)
    cuda = score(network, list(PROXIES), device="cuda", **options)
    assert cuda == pytest.approx(cpu, rel=1e-6)
    assert score(network, list(PROXIES), device="cuda", **options) == cuda
    after = state(network)
    assert [key for key in before if not _equal(before[key], after[key])] == []


# --- the suite itself: what it must catch -----------------------------------------------------------------------------------


def mean_output(network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return network(batch).mean()


def test_a_function_that_keeps_the_contract_passes() -> None:
    assert set(check_proxy(mean_output)) == {"convolution", "attention", "shared", "noisy"}
    assert check_proxy("synflow")["convolution"] > 0


def hooked(network: nn.Module, batch: torch.Tensor) -> float:
    network.register_forward_hook(lambda *_: None)
    return 1.0


def marked(network: nn.Module, batch: torch.Tensor) -> float:
    network.seen = True
    return 1.0


def random(network: nn.Module, batch: torch.Tensor) -> float:
    return float(np.random.default_rng().random())


def swallowing(network: nn.Module, batch: torch.Tensor) -> float:
    try:
        return float(network(batch).mean().detach())
    except RuntimeError:
        return 0.0


def wordy(network: nn.Module, batch: torch.Tensor) -> str:
    return "good"


def never(network: nn.Module, batch: torch.Tensor) -> float:
    raise ProxyFailure("no_luck")


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        (hooked, "hooked: expected the network to be left as it was, got other hooks"),
        (marked, "got other attributes"),
        (random, r"expected 0\.\d+ again of the same network, batch and seed, got 0\."),
        (swallowing, "expected the network's exception to pass, got a score"),
        (lambda network, batch: math.inf, "expected a finite number, or ProxyFailure with its reason, got inf"),
        (never, "never: expected a score of at least one network, got failures: convolution: no_luck; attention: no_luck"),
    ],
)
def test_what_breaks_the_contract_is_caught(proxy: Callable[..., float], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_proxy(proxy)


def test_what_is_no_number_is_caught() -> None:
    with pytest.raises(ValueError, match="could not convert string to float: 'good'"):
        check_proxy(wordy)
