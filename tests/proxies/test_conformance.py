"""What every proxy promises: deterministic, finite or a typed failure, and the model left as it was."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from proxies import PROXIES, ProxyFailure, initialise, score
from tests.proxies.networks import KINDS, SIZE, batch
from uninas.runtime.torchvision_repair import repair


def timm_model(name: str, **options: object) -> nn.Module:
    repair()
    import timm

    return timm.create_model(name, num_classes=6, **options)


class Noisy(nn.Module):
    """Dropout of all sorts, batch statistics, hooks, a frozen parameter, mixed modes: plenty to disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.GELU(), nn.Dropout2d(0.3)) for _ in range(9)
        )
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.4, batch_first=True)
        self.head = nn.Linear(8, 6)
        self.register_buffer("same", self.stem[1].running_mean)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        tokens = x.flatten(2).transpose(1, 2)
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "convolution": (KINDS["convolution"], SIZE),
    "attention": (KINDS["attention"], SIZE),
    "shared": (KINDS["shared"], SIZE),
    "noisy": (Noisy, SIZE),
    "timm-resnet": (lambda: timm_model("test_resnet"), 33),
    "timm-vit": (lambda: timm_model("vit_tiny_patch16_224", img_size=32, depth=3, embed_dim=24, num_heads=2), 32),
}


def snapshot(network: nn.Module) -> dict[str, object]:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "training": [submodule.training for submodule in network.modules()],
        "rates": [submodule.p for submodule in network.modules() if isinstance(submodule, nn.modules.dropout._DropoutNd)],
        "attention": [submodule.dropout for submodule in network.modules() if isinstance(submodule, nn.MultiheadAttention)],
        "hooks": [[list(getattr(submodule, name)) for name in hooks] for submodule in network.modules()],
        "requires": [parameter.requires_grad for parameter in network.parameters()],
        "values": [parameter.detach().clone() for parameter in network.parameters()],
        "storage": [parameter.data_ptr() for parameter in network.parameters()],
        "gradients": [None if parameter.grad is None else parameter.grad.clone() for parameter in network.parameters()],
        "buffers": [buffer.clone() for buffer in network.buffers()],
        "identity": [id(buffer) for submodule in network.modules() for buffer in submodule._buffers.values()],
        "random": torch.get_rng_state(),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "fastpath": torch.backends.mha.get_fastpath_enabled(),
        "attributes": [sorted(vars(submodule)) for submodule in network.modules()],
    }


def same(before: object, after: object) -> bool:
    if isinstance(before, Tensor):
        return isinstance(after, Tensor) and torch.equal(before, after)
    if isinstance(before, list):
        return isinstance(after, list) and len(before) == len(after) and all(map(same, before, after))
    return before == after


def disturb(network: nn.Module) -> None:
    """Make the model's state as peculiar as a user's may be."""
    stream = torch.Generator().manual_seed(1)
    for place, submodule in enumerate(network.modules()):
        submodule.training = place % 3 != 0
    for place, parameter in enumerate(network.parameters()):
        parameter.requires_grad_(place % 4 != 0)
        if place % 2:
            parameter.grad = torch.randn(parameter.shape, generator=stream)
    network.register_forward_hook(lambda *_: None)


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_finite_deterministic_and_without_a_trace(kind: str, name: str) -> None:
    make, size = NETWORKS[kind]
    network = make()
    initialise(network, 3)
    disturb(network)
    inputs = batch(6, size=size, dtype=torch.float32)
    kept, before = inputs.clone(), snapshot(network)
    first = PROXIES[name](network, inputs, seed=5)
    assert isinstance(first, float)
    assert math.isfinite(first)
    after = snapshot(network)
    assert [key for key in before if not same(before[key], after[key])] == []
    assert torch.equal(inputs, kept)
    assert not inputs.requires_grad
    torch.manual_seed(99)  # the global stream decides nothing
    for submodule in network.modules():
        submodule.training = not submodule.training  # nor does the mode it is found in
    assert PROXIES[name](network, inputs, seed=5) == first


class Explosive(nn.Module):
    """Fails in the middle of its forward pass, once training state has been touched."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(12)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        raise RuntimeError("out of everything")


@pytest.mark.parametrize("name", sorted(PROXIES.keys() - {"params"}))
def test_no_trace_after_an_error_either(name: str) -> None:
    network = Explosive()
    disturb(network)
    before = snapshot(network)
    with pytest.raises(RuntimeError, match="out of everything"):
        PROXIES[name](network, batch(4, dtype=torch.float32), seed=0)
    after = snapshot(network)
    assert [key for key in before if not same(before[key], after[key])] == []


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
    before = snapshot(network)
    result = score(network, list(PROXIES), input_shape=(3, SIZE, SIZE), batch=4, seed=1, dtype=torch.float64)
    assert not any(isinstance(value, ProxyFailure) for value in result.values()), result
    after = snapshot(network)
    assert [key for key in before if not same(before[key], after[key])] == []


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
    before = snapshot(network)
    options = {"input_shape": (3, size, size), "batch": 6, "seed": 2, "dtype": torch.float64}
    cpu = score(network, list(PROXIES), **options)
    cuda = score(network, list(PROXIES), device="cuda", **options)
    assert cuda == pytest.approx(cpu, rel=1e-6)
    assert score(network, list(PROXIES), device="cuda", **options) == cuda
    after = snapshot(network)
    assert [key for key in before if not same(before[key], after[key])] == []
