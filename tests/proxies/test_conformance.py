"""What every proxy promises: deterministic, finite or a typed failure, and the model left as it was."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from proxies import PROXIES, Images, ProxyFailure, fisher_spectrum, inference_seconds, score
from proxies.testing import SIZE, Noisy, _equal, check_network, check_no_trace_after_an_error, check_proxy, disturb, noise, state
from tests.amounts import slow
from tests.proxies.networks import KINDS, REMEMBERING
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


# The families of timm whose modules keep in evaluation mode what they made of their weights: a pass changes their attributes.
FAMILIES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "levit": (lambda: family("levit", "Levit", img_size=32, embed_dim=(16, 24, 32), key_dim=8, depth=(1,) * 3), 32),
    "tiny_vit": (lambda: family("tiny_vit", "TinyVit", embed_dims=(8, 16, 16, 16), depths=(1,) * 4, window_sizes=(3,) * 4), 64),
    "efficientvit_msra": (
        lambda: family(
            "efficientvit_msra",
            "EfficientVitMsra",
            img_size=64,
            embed_dim=(16, 24, 32),
            key_dim=(8,) * 3,
            depth=(1,) * 3,
            window_size=(3,) * 3,
            kernels=(3, 3),
        ),
        64,
    ),
    "efficientformer": (lambda: family("efficientformer", "EfficientFormer", **_SMALL), 224),
    "efficientformer_v2": (
        lambda: family("efficientformer_v2", "EfficientFormerV2", **_SMALL, mlp_ratios=((2,), (2,), (2,), (2, 2))),
        224,
    ),
}
_SMALL: dict[str, Any] = {"depths": (1, 1, 1, 2), "embed_dims": (8, 8, 16, 16), "num_vit": 1}
_HEADS = {"levit": (2,) * 3, "tiny_vit": (1, 2, 2, 2), "efficientvit_msra": (2,) * 3}


def family(module: str, name: str, **options: Any) -> nn.Module:
    """A small network of a family of timm, ready as a user has it: with weights of its own, after a pass."""
    repair()
    if module in _HEADS:
        options["num_heads"] = _HEADS[module]
    return used(getattr(importlib.import_module(f"timm.models.{module}"), name)(num_classes=6, **options))


def used(network: nn.Module, size: int = 0) -> nn.Module:
    """The network with no zeros among its parameters, after a pass in evaluation mode if a size is given."""
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=stream))
    network.eval()
    if size:
        network(noise(2, size=size))
    return network


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("kind", [*NETWORKS, *map(slow, FAMILIES)])
def test_finite_deterministic_and_without_a_trace(kind: str, name: str) -> None:
    make, size = (NETWORKS | FAMILIES)[kind]
    # The smallest members of these families have tangent kernels that rounding leaves without an inverse: a reason, and no trace.
    excused = kind in FAMILIES and name == "ntk_condition"
    batch = 8 if kind in FAMILIES else 6  # they have more norms than six samples of six classes have ranks for
    with suppress(ProxyFailure) if excused else nullcontext():
        check_network(name, make(), size=size, batch=batch)


@pytest.mark.parametrize("kind", [*REMEMBERING, "levit", *map(slow, [name for name in FAMILIES if name != "levit"])])
def test_what_a_network_remembers_of_its_weights_is_not_scored_and_is_given_back(kind: str) -> None:
    make, size = FAMILIES[kind] if kind in FAMILIES else (REMEMBERING[kind], SIZE)
    wanted: dict[str, Any] = {"names": ["lnwot", "gradsign", "vkdnw"], "input_shape": (3, size, size), "batch": 4}
    fresh = score(make(), **wanted)
    assert not any(isinstance(value, ProxyFailure) for value in fresh.values()), fresh
    network = used(make(), size)
    images, before = noise(2, size=size), state(network)
    with torch.no_grad():
        output = network(images)
    assert score(network, **wanted) == fresh, "what it did before shows"
    after = state(network)
    assert [key for key in before if not _equal(before[key], after[key])] == []
    with torch.no_grad():
        assert torch.equal(network(images), output)


class Notes(nn.Module):
    """Keeps notes of its passes in every way a module can."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 6)
        self.sizes: list[tuple[int, ...]] = []
        self.nested = {"deep": [{"count": 0}]}
        self.total = torch.zeros(())
        self.seen: set[int] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(tuple(x.shape))
        self.nested["deep"][0]["count"] += 1
        self.total += 1
        self.seen.add(int(self.total))
        self.last = x
        self.register_buffer("late", x.mean())
        return self.head(torch.relu(x.mean((2, 3))))


def test_notes_of_a_pass_are_put_back() -> None:
    network = Notes()
    identities = {name: id(value) for name, value in vars(network).items()}
    score(network, ["naswot", "lnwot"], input_shape=(3, 4, 4), batch=4)
    assert {name: id(value) for name, value in vars(network).items()} == identities
    assert (network.sizes, network.nested, float(network.total), network.seen) == ([], {"deep": [{"count": 0}]}, 0.0, set())
    assert list(network.state_dict()) == ["head.weight", "head.bias"]


def test_a_network_that_was_timed_can_be_trained() -> None:
    network = REMEMBERING["forgets"]().eval()
    inference_seconds(network, input_shape=(3, SIZE, SIZE), runs=1, warmup=0)
    network(noise(1)).sum().backward()  # what was kept in inference mode could not be saved for the backward pass
    untouched = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert untouched == {"table", "scale"}, "what it keeps is detached"


@contextmanager
def _precision() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(
    "around", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", dtype=torch.bfloat16), _precision]
)
def test_the_callers_settings_do_not_show(around: Callable[[], Any]) -> None:
    network = KINDS["convolution"]()
    images = Images(noise(8), torch.arange(8) % 5)
    wanted: dict[str, Any] = {"names": list(PROXIES), "input_shape": (3, SIZE, SIZE), "batch": 4, "seed": 2}
    expected = [score(network, **wanted), score(network, images=images, **wanted)]
    with around():
        images = Images(images.inputs.clone(), images.targets.clone())
        assert [score(network, **wanted), score(network, images=images, **wanted)] == expected
        assert fisher_spectrum(network, noise(4)) == fisher_spectrum(network, noise(4))


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


def test_an_attribute_that_a_function_leaves_is_taken_away() -> None:
    assert set(check_proxy(marked)) == {"convolution", "attention", "shared", "noisy"}


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
