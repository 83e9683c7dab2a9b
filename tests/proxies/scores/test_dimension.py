"""NEAR, participation and InTrain against naive versions, closed forms, invariances, and their failures."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from proxies import PROXIES, ProxyFailure
from proxies.measuring.layer_watch import drawn_rows, effective_rank, participation_ratio
from proxies.measuring.training_pass import labels
from proxies.scores.dimension import gradient_health
from tests.proxies.networks import batch, make


def results(network: nn.Module, inputs: Tensor, kinds: tuple[type[nn.Module], ...]) -> list[np.ndarray]:
    """Samples and positions by channels of what layers of some kinds make in training mode, call by call."""
    network = copy.deepcopy(network).train()
    found: list[np.ndarray] = []

    def hook(layer: nn.Module, _: object, made: Tensor) -> None:
        values = made.detach().numpy().copy()
        values = values if isinstance(layer, nn.Linear) or values.ndim == 2 else np.moveaxis(values, 1, -1)
        found.append(values.reshape(-1, values.shape[-1]))

    for layer in network.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(hook)
    network(inputs)
    return found


@pytest.mark.parametrize("kind", ["convolution", "attention", "shared", "depthwise"])
def test_participation_is_the_naive_one(kind: str) -> None:
    network, inputs = make(kind), batch(6)
    expected = 0.0
    for rows in results(network, inputs, (nn.Conv2d, nn.Linear)):
        covariance = np.atleast_2d(np.cov(rows, rowvar=False))
        expected += math.log(np.trace(covariance) ** 2 / np.trace(covariance @ covariance))
    assert PROXIES["participation"](network, inputs) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["convolution", "attention"])
def test_intrain_is_the_naive_one(kind: str) -> None:
    network, inputs = make(kind), batch(6)
    trained = copy.deepcopy(network).train()
    functional.cross_entropy(trained(inputs), labels(6, 5, 3)).backward()
    gradients = [parameter.grad.numpy() for parameter in trained.parameters() if parameter.grad is not None]
    health = sum(min(1.0, g.std() / np.abs(g).max()) for g in gradients if np.abs(g).max() > 0)
    layers = len(results(network, inputs, (nn.Conv2d, nn.Linear)))
    expected = PROXIES["participation"](network, inputs, seed=3) * (1 + health) / math.log(layers + 1)
    assert PROXIES["intrain"](network, inputs, seed=3) == pytest.approx(expected, rel=1e-9)


def naive_rank(matrix: np.ndarray) -> float:
    values = np.linalg.svd(matrix, compute_uv=False)
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


class Plain(nn.Module):
    """Layers and activation functions as modules, each read by one layer."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 10, 3, padding=1), activation, nn.Conv2d(10, 6, 3, stride=2), copy.deepcopy(activation)
        )
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


@pytest.mark.parametrize("activation", [nn.ReLU(inplace=True), nn.GELU(), nn.Tanh(), nn.Sigmoid()])
def test_near_is_the_naive_one(activation: nn.Module) -> None:
    torch.manual_seed(0)
    network, inputs = Plain(activation).double(), batch(4)
    matrices = results(network, inputs, (nn.Conv2d, nn.Linear, type(activation)))
    assert [matrix.shape for matrix in matrices] == [(324, 10), (324, 10), (64, 6), (64, 6), (4, 5)]
    expected = 0.0
    for matrix in matrices:
        count, channels = matrix.shape
        expected += naive_rank(matrix[drawn_rows(count, channels, 2).numpy()] if count > channels else matrix)
    assert PROXIES["near"](network, inputs, seed=2) == pytest.approx(expected, rel=1e-6)


def test_rows_are_drawn_once_each_and_from_everywhere() -> None:
    for count, wanted in ((324, 10), (11, 10), (10, 10), (5, 1)):
        drawn = drawn_rows(count, wanted, 0).tolist()
        assert sorted(set(drawn)) == drawn
        assert len(drawn) == wanted
        assert all(place * count // wanted <= row for place, row in enumerate(drawn))
        assert drawn[-1] < count
    assert drawn_rows(324, 10, 0).tolist() != drawn_rows(324, 10, 1).tolist()


class Branches(nn.Module):
    """Two convolutions of one activation, written with one function or with two."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__()
        self.shared = shared
        self.stem, self.left, self.right = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3), nn.Conv2d(6, 4, 3)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        on = torch.relu(x)
        return self.head((self.left(on) + self.right(on if self.shared else torch.relu(x))).mean((2, 3)))


@pytest.mark.parametrize("name", ["near", "participation", "intrain", "swap", "lswag", "meco"])
def test_an_activation_that_layers_share_is_one_of_each(name: str) -> None:
    one, two = Branches(shared=True).double(), Branches(shared=False).double()
    two.load_state_dict(one.state_dict())
    assert PROXIES[name](one, batch(4), seed=1) == pytest.approx(PROXIES[name](two, batch(4), seed=1), rel=1e-12)


# --- closed forms and invariances -------------------------------------------------------------------------------------------


def white(rows: int, channels: int) -> Tensor:
    drawn = torch.randn(rows, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.linalg.qr(drawn - drawn.mean(0))[0]


def test_white_channels_participate_all() -> None:
    rows = white(50, 7)
    assert participation_ratio(rows) == pytest.approx(7)
    turned = rows @ torch.linalg.qr(white(7, 7) + torch.eye(7))[0] * 1e-30 + 0
    assert participation_ratio(turned) == pytest.approx(7)
    assert participation_ratio(rows[:, torch.tensor([6, 1, 3, 0, 2, 5, 4])].float()) == pytest.approx(7)
    assert participation_ratio(rows[:, :1] * torch.arange(1.0, 4)) == pytest.approx(1)
    assert participation_ratio(rows * torch.tensor([1.0, 2, 0, 0, 0, 0, 0])) == pytest.approx(25 / 17)
    wide = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    covariance = np.cov(wide.numpy(), rowvar=False)
    assert participation_ratio(wide) == pytest.approx(np.trace(covariance) ** 2 / np.trace(covariance @ covariance))
    assert participation_ratio((3000 * rows).half()) == pytest.approx(7, rel=1e-3)  # whose squares 16 bits cannot hold
    assert participation_ratio(torch.full((5, 3), 1 / 3)) is None
    assert participation_ratio(torch.zeros(5, 3)) is None


def test_the_effective_rank_of_an_orthogonal_matrix_is_its_rank() -> None:
    assert effective_rank(white(50, 7)) == pytest.approx(7)
    assert effective_rank(white(50, 7).T * 1e-200) == pytest.approx(7)
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.outer(torch.arange(1.0, 5), torch.ones(3))) == pytest.approx(1)
    shares = np.array([3, 2, 1]) / 6
    assert effective_rank(torch.diag(torch.tensor([1.0, 3, 2]))) == pytest.approx(float(np.exp(-(shares * np.log(shares)).sum())))
    assert effective_rank(torch.zeros(3, 3)) == 0.0


def test_gradients_are_healthy_where_they_are_even() -> None:
    assert gradient_health([torch.tensor([1e-30, -1e-30]), torch.ones(4)]) == pytest.approx(1.0)
    assert gradient_health([torch.tensor([3.0, 0, 0, 0])]) == pytest.approx(math.sqrt(3) / 4)
    assert gradient_health([torch.zeros(3), torch.ones(1)]) == 0.0
    with pytest.raises(ProxyFailure, match="non_finite"):
        gradient_health([torch.tensor([1.0, math.nan])])


# --- failures ---------------------------------------------------------------------------------------------------------------


def reason(name: str, network: nn.Module, inputs: Tensor) -> str:
    with pytest.raises(ProxyFailure) as caught:
        PROXIES[name](network, inputs, seed=0)
    return caught.value.reason


def test_what_has_no_dimension_fails_with_its_reason() -> None:
    for name in ("near", "participation"):
        assert reason(name, nn.Flatten(), torch.randn(2, 3, 4, 4)) == "no_layers"
        broken = make("convolution")
        nn.init.constant_(broken.stages[0][0].first[0].weight, math.inf)
        assert reason(name, broken, batch(4)) == "non_finite"
    for name in ("participation", "intrain"):
        silent = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(18, 4))
        nn.init.zeros_(silent[0].weight)
        assert reason(name, silent, torch.randn(4, 3, 3, 3)) == "constant_features"
