"""NASWOT, linear regions, GradSign, the NTK's condition and Zen against naive versions, and their failures."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from proxies import PROXIES, ProxyFailure, initialise, score
from proxies.measuring.codes import CodeKernel, agreement, log_determinant
from proxies.measuring.seeds import derive_seed, input_batch
from proxies.measuring.training_pass import labels
from proxies.scores.gradsign import _convolution_rows
from proxies.scores.saliency import weights_of
from tests.proxies.networks import batch, make


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def reason(name: str, network: nn.Module, inputs: Tensor) -> str:
    with pytest.raises(ProxyFailure) as caught:
        PROXIES[name](network, inputs, seed=0)
    return caught.value.reason


class Rectified(nn.Module):
    """Rectifiers as modules, so that plain hooks see their codes."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
            nn.Sequential(nn.Conv2d(width, width, 3, 2), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
        )
        self.head = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x).mean((2, 3)))


def naive_codes(network: nn.Module, inputs: Tensor, *, train: bool) -> np.ndarray:
    network = copy.deepcopy(network).train(train)
    found: list[np.ndarray] = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(lambda _, given: found.append((given[0].detach() > 0).flatten(1).numpy()))
    network(inputs)
    return np.concatenate(found, 1)


def test_naswot_is_the_naive_one() -> None:
    network, inputs = Rectified(), noise(7, 3, 9, 9)
    codes = naive_codes(network, inputs, train=True)
    hamming = (codes[:, None] != codes[None]).sum(2)
    expected = np.linalg.slogdet((codes.shape[1] - hamming).astype(float))[1]
    assert PROXIES["naswot"](network, inputs, seed=0) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "activation",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.GELU(),
        nn.SiLU(),
        nn.Hardswish(inplace=True),
        nn.ReLU6(),
        nn.LeakyReLU(0.1),
        nn.PReLU(),
        nn.ELU(),
        nn.Mish(),
        functional.relu_,
        torch.relu,
        lambda x: x.clone().relu_(),
        functional.silu,
    ],
)
def test_every_rectifier_counts_once(activation: object) -> None:
    given = noise(3, 4, 5, 5)
    kernel = CodeKernel(3)
    with kernel.watching():
        activation(given.clone())  # type: ignore[operator]
        torch.sigmoid(given)
    assert kernel.units == 100
    assert torch.equal(kernel.required(), agreement(given.flatten(1) > 0))


class Twins(nn.Module):
    """Two convolutions read one rectified map: by one rectifier, or by one each."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__()
        self.shared = shared
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8))
        self.left, self.right, self.head = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        one = functional.relu(x)
        two = one if self.shared else functional.relu(x)
        return self.head(functional.gelu(self.left(one) + self.right(two)).mean((2, 3)))


def test_sharing_a_rectifier_does_not_show() -> None:
    shared, apart, inputs = Twins(shared=True), Twins(shared=False), noise(6, 3, 8, 8)
    apart.load_state_dict(shared.state_dict())
    assert PROXIES["naswot"](shared, inputs, seed=0) == PROXIES["naswot"](apart, inputs, seed=0)


def test_agreement_counts() -> None:
    codes = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1]], dtype=torch.bool)
    assert agreement(codes).tolist() == [[4, 2, 0], [2, 4, 2], [0, 2, 4]]
    assert log_determinant(agreement(codes)) == pytest.approx(math.log(32))
    assert log_determinant(agreement(codes[[0, 1, 0]])) is None
    assert log_determinant(torch.eye(3) * 2) == pytest.approx(3 * math.log(2))
    assert log_determinant(torch.ones(3, 3)) is None
    assert log_determinant(torch.zeros(2, 2)) is None


def test_linear_regions_are_distinct_codes() -> None:
    network, inputs = Rectified(2), noise(40, 3, 3, 3)
    initialise(network, 0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.fill_(2.0)  # most units are off for most samples
    codes = naive_codes(network, inputs, train=False)
    distinct = len(np.unique(codes, axis=0))
    assert 1 < distinct < 40
    assert PROXIES["linear_regions"](network, inputs, seed=0) == distinct
    assert PROXIES["linear_regions"](network, torch.cat([inputs, inputs]), seed=0) == distinct


def naive_sample_gradients(network: nn.Module, inputs: Tensor, targets: Tensor) -> list[dict[str, Tensor]]:
    """One backward pass a sample."""
    network = copy.deepcopy(network).eval()
    found = []
    for place in range(len(inputs)):
        network.zero_grad()
        functional.cross_entropy(network(inputs[place : place + 1]), targets[place : place + 1]).backward()
        weights = weights_of(network, inputs)
        found.append(
            {n: torch.zeros_like(w).flatten() if w.grad is None else w.grad.flatten().clone() for n, w in weights.items()}
        )
    return found


KINDS = ["convolution", "grouped", "depthwise", "attention", "shared", "windows", "parallel"]
ALL_KINDS = [*KINDS, "standardised", "positions"]


@pytest.mark.parametrize("micro_batch", [1, 3, 16])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_gradsign_is_the_naive_one(kind: str, micro_batch: int) -> None:
    network, inputs = make(kind), batch(5)
    gradients = naive_sample_gradients(network, inputs, labels(5, 5, 2))
    expected = sum(float(sum(g[name].sign() for g in gradients).abs().sum()) for name in gradients[0])
    assert PROXIES["gradsign"](network, inputs, seed=2, micro_batch=micro_batch) == pytest.approx(expected, rel=1e-3)


class OneToken(nn.Module):
    """Attention to a single token by queries, keys and values of one product: the weights of the first two change nothing."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.joint, self.head, self.fused = nn.Linear(27, 48), nn.Linear(16, 5), fused

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.joint(x.flatten(1)).reshape(len(x), 1, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            made = functional.scaled_dot_product_attention(q, k, v)
        else:
            made = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1) @ v
        return self.head(made.transpose(1, 2).flatten(1))


def test_gradsign_counts_no_sign_of_rounding() -> None:
    options: dict[str, Any] = {"input_shape": (3, 3, 3), "batch": 6, "seed": 1}
    found = [score(OneToken(fused), ["gradsign"], **options)["gradsign"] for fused in (True, False)]
    assert found[0] == found[1] > 0
    values = 27 * 16 + 16 * 5  # of the joint product those of the values, and the head
    assert found[0] <= 6 * values


@pytest.mark.parametrize("kind", KINDS)
def test_the_tangent_kernels_condition_is_the_naive_one(kind: str) -> None:
    network, inputs = make(kind), batch(5)
    naive, rows = copy.deepcopy(network).train(), []
    for place in range(4):
        naive.zero_grad()
        naive(inputs[:4])[place].sum().backward()
        rows.append(torch.cat([w.grad.flatten() for w in weights_of(naive, inputs).values() if w.grad is not None]))
    values = torch.linalg.eigvalsh(torch.stack(rows) @ torch.stack(rows).T)
    condition = -float(values[-1] / values[0])
    assert PROXIES["ntk_condition"](network, inputs, seed=0, samples=4) == pytest.approx(condition, rel=1e-5)


def test_zen_is_the_naive_one() -> None:
    network, inputs = Rectified(), torch.zeros(6, 3, 9, 9)
    seed = derive_seed(3, "zen")
    naive = copy.deepcopy(network).train()
    initialise(naive, seed, variance=None)
    assert 0.7 < float(naive.blocks[1][0].weight.detach().std()) < 1.3
    first, other = (input_batch((3, 9, 9), 6, derive_seed(seed, place)) for place in ("first", "other"))
    with torch.no_grad():
        moved = naive.blocks(first) - naive.blocks(first + 0.01 * other)
    scales = [float(module.running_var.mean()) for module in naive.modules() if isinstance(module, nn.BatchNorm2d)]
    assert scales[0] != pytest.approx(1.0, abs=0.01)
    expected = math.log(float(moved.abs().sum((1, 2, 3)).mean())) + sum(math.log(math.sqrt(scale)) for scale in scales)
    assert PROXIES["zen"](network, inputs, seed=3) == pytest.approx(expected, rel=1e-5)
    assert PROXIES["zen"](network, inputs + 1, seed=3) == PROXIES["zen"](network, inputs, seed=3)


def test_failures() -> None:
    inputs = noise(4, 3, 6, 6)
    plain = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Flatten(), nn.Linear(48, 2))
    assert reason("naswot", plain, inputs) == "no_activations"
    assert reason("linear_regions", plain, inputs) == "no_activations"
    assert reason("naswot", Rectified(), inputs[:1].repeat(3, 1, 1, 1)) == "singular_kernel"
    assert reason("naswot", Rectified(), inputs[:1]) == "too_few_samples"
    assert reason("ntk_condition", Rectified(), inputs[:1]) == "too_few_samples"
    assert reason("ntk_condition", Rectified(), inputs[:1].repeat(3, 1, 1, 1)) == "singular_kernel"
    assert reason("zen", nn.Linear(6, 2), noise(4, 6)) == "no_positions"


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, (1, 3), stride=(2, 1), padding=(0, 2)),
        nn.Conv2d(4, 6, 1, stride=2),
        nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=2),
        nn.Conv2d(4, 4, 5, padding="same", groups=4, bias=False),
        nn.Conv2d(4, 4, 4, padding="same"),
        nn.Conv2d(4, 4, 3, padding="valid", dilation=(1, 2)),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(4, 4, 3, padding=(1, 2), padding_mode="reflect", groups=2),
    ],
    ids=str,
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_a_samples_gradient_is_that_of_the_sample_alone(layer: nn.Conv2d, layout: torch.memory_format) -> None:
    given = torch.randn(3, 4, 11, 9, generator=torch.Generator().manual_seed(1)).to(memory_format=layout)
    made = layer(given)
    arriving = torch.randn(made.shape, generator=torch.Generator().manual_seed(2)).to(memory_format=layout)
    rows = _convolution_rows(layer, given, arriving)
    for place in range(3):
        alone = torch.autograd.grad(layer(given[place : place + 1]), layer.weight, arriving[place : place + 1])[0]
        torch.testing.assert_close(rows[place], alone.flatten(), rtol=1e-4, atol=1e-4)
