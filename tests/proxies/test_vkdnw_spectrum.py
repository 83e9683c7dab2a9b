"""The algebra of VKDNW on its own: closed forms, identities, failures."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from proxies import ProxyFailure, ProxyUsageError, fisher_spectrum
from proxies.formulas.rank import rows_needed
from proxies.vkdnw import fisher_jacobian, vkdnw, vkdnw_single
from proxies.vkdnw.spectrum import FactorStack, decile_entropy, deciles, factor_rows, fisher_factor, probabilities
from tests.proxies.networks import batch, make


def random_factor(samples: int = 4, classes: int = 7, weights: int = 12, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(samples, classes, generator=stream, dtype=torch.float64)
    return probabilities(logits, 0.0), torch.randn(samples, classes, weights, generator=stream, dtype=torch.float64)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e6])
def test_factor_squares_to_the_fisher_term(scale: float) -> None:
    p, jacobian = random_factor(scale=scale)
    middle = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    factor = fisher_factor(p, jacobian)
    torch.testing.assert_close(factor.mT @ factor, jacobian.mT @ middle @ jacobian, rtol=0, atol=2e-14)


def test_factor_ignores_a_common_row() -> None:
    p, jacobian = random_factor()
    torch.testing.assert_close(fisher_factor(p, jacobian + 5.0), fisher_factor(p, jacobian), rtol=0, atol=1e-13)


def test_cotangents_combine_the_factors_rows() -> None:
    p, jacobian = random_factor()
    combination = torch.randn(3, *p.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rows = torch.einsum("rnc,ncp->nrp", factor_rows(p, combination), jacobian)
    torch.testing.assert_close(rows, torch.einsum("rnc,ncp->nrp", combination, fisher_factor(p, jacobian)))


def test_probabilities_are_smoothed_in_float64() -> None:
    p = probabilities(torch.tensor([[1e6, 0.0, -1e6, 3.0]]), 0.05)
    assert p.dtype == torch.float64
    assert p[0].tolist() == pytest.approx([0.9625, 0.0125, 0.0125, 0.0125], abs=1e-15)
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-15)


def test_stack_is_the_tall_matrix() -> None:
    stream = torch.Generator().manual_seed(2)
    blocks = [torch.randn(samples, 5, 9, generator=stream, dtype=torch.float64) for samples in (1, 3, 2)]
    stack = FactorStack(9)
    for block in blocks:
        stack.add(block)
    tall = torch.cat([block.flatten(0, 1) for block in blocks])
    expected = torch.linalg.eigvalsh(tall.T @ tall / 6)
    torch.testing.assert_close(stack.eigenvalues(), expected, rtol=1e-12, atol=1e-12)


def test_fewer_rows_than_weights_leave_zeros() -> None:
    stack = FactorStack(9)
    stack.add(torch.ones(2, 2, 9, dtype=torch.float64))
    assert stack.eigenvalues().tolist() == pytest.approx([0.0] * 8 + [18.0], abs=1e-12)


def test_deciles_are_linear_between_neighbours() -> None:
    assert deciles(torch.arange(11.0)).tolist() == pytest.approx(list(range(1, 10)))
    assert deciles(torch.tensor([0.0, 10.0])).tolist() == pytest.approx(list(range(1, 10)))
    assert deciles(torch.arange(11.0)).tolist() == deciles(torch.arange(11.0).flip(0)).tolist()


def test_entropy_of_known_shares() -> None:
    assert decile_entropy(torch.full((9,), 3.0, dtype=torch.float64)) == pytest.approx(math.log(9))
    one = torch.zeros(9, dtype=torch.float64)
    one[8] = 2.0
    assert decile_entropy(one) == 0.0
    one[7] = 2.0
    assert decile_entropy(one) == pytest.approx(math.log(2))


class Softmax(nn.Module):
    """Twelve parallel linear maps to the logits: logits = sum_k W_k x_k, so d psi / d W_k[0, 0] = e_0 x_k[0]."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.maps = nn.ModuleList([nn.Linear(2, classes) for _ in range(12)])

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([layer(x[:, k]) for k, layer in enumerate(self.maps)]).sum(0)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_closed_form_of_a_softmax_layer(mode: str) -> None:
    network = Softmax().double()
    inputs = torch.randn(40, 12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    first = inputs[:, :, 0]
    p = network(inputs).softmax(1)[:, 0].detach()
    expected = torch.linalg.eigvalsh((first.T * (p * (1 - p))) @ first / 40)
    result = fisher_spectrum(network, inputs, smoothing=0.0, mode=mode)
    assert result.eigenvalues == pytest.approx(expected.tolist(), rel=1e-9)
    assert result.deciles == pytest.approx(deciles(expected).tolist(), rel=1e-9)
    assert result.entropy == pytest.approx(decile_entropy(deciles(expected)), rel=1e-9)


def test_single_linear_layer_has_its_jacobian() -> None:
    layer = nn.Linear(4, 3).double()
    inputs = torch.randn(5, 4, dtype=torch.float64)
    for mode in ("reverse", "forward"):
        _, jacobian = fisher_jacobian(layer, inputs, mode=mode)
        difference = jacobian[:, 0] - jacobian[:, 1]
        torch.testing.assert_close(difference[:, 0], inputs[:, 0])
        torch.testing.assert_close(jacobian[:, 1], jacobian[:, 2])


def test_single_adds_the_layers_first() -> None:
    network, inputs = make("convolution"), batch(4)
    spectrum = fisher_spectrum(network, inputs)
    assert spectrum.aleph == 11
    assert vkdnw(network, inputs) == spectrum.entropy
    assert vkdnw_single(network, inputs) == pytest.approx(11 + spectrum.entropy / math.log(9))
    assert 0 < spectrum.entropy < math.log(9)


class Chain(nn.Module):
    def __init__(self, layers: int, classes: int = 4, gain: float = 1.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(layers - 1)])
        self.head = nn.Linear(6, classes)
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.head(x) * self.gain


def reason(network: nn.Module, inputs: Tensor, **options: object) -> str:
    with pytest.raises(ProxyFailure) as caught:
        fisher_spectrum(network, inputs, **options)
    return caught.value.reason


def test_typed_failures() -> None:
    inputs = torch.randn(4, 6)
    assert reason(Chain(9), inputs) == "too_few_weights"
    assert math.isfinite(fisher_spectrum(Chain(10), inputs).entropy)
    assert reason(Chain(12), inputs, weights=1) == "too_few_weights"
    assert len(fisher_spectrum(Chain(12), inputs, weights=8).eigenvalues) == 8  # asked for
    assert reason(Chain(6), inputs, weights=8) == "too_few_weights"
    assert reason(Chain(12, gain=0.0), inputs) == "zero_spectrum"
    assert reason(Chain(12, classes=1), inputs) == "too_few_rows"
    assert reason(Chain(12, gain=math.nan), inputs) == "non_finite"
    assert reason(Chain(12, gain=math.inf), inputs) == "non_finite"
    assert reason(Chain(12), inputs.unsqueeze(1)) == "output_shape"


def test_parametrised_weight_is_refused() -> None:
    network = Chain(12)
    torch.nn.utils.parametrizations.weight_norm(network.layers[3])
    assert reason(network, torch.randn(4, 6)) == "no_weight"


def test_smoothing_is_checked() -> None:
    with pytest.raises(ProxyUsageError, match=r"\[0, 1\)"):
        probabilities(torch.zeros(1, 2), -0.1)


def test_saturated_logits_keep_a_spectrum() -> None:
    inputs = torch.randn(8, 6, dtype=torch.float64)
    network = Chain(14, gain=1e6).double()
    assert fisher_spectrum(network, inputs, smoothing=0.05).entropy > 0
    assert all(math.isfinite(value) for value in fisher_spectrum(network, inputs, smoothing=0.05).eigenvalues)


@pytest.mark.parametrize("weights", [2, 10, 11, 20, 31, 128])
def test_the_rank_that_two_deciles_need(weights: int) -> None:
    def above(rank: int) -> int:
        spectrum = torch.zeros(weights, dtype=torch.float64)
        spectrum[weights - rank :] = 1.0
        return int((deciles(spectrum) > 1e-12).sum())

    needed = rows_needed(weights)
    assert above(needed) >= 2
    assert needed == 2 or above(needed - 1) < 2


@pytest.mark.parametrize("probes", [None, 1])
def test_a_batch_of_too_few_rows_fails_and_says_which_is_enough(probes: int | None) -> None:
    torch.manual_seed(2)  # forty random layers may as well pass nothing on but roundings
    network, inputs = Chain(40, classes=3), torch.randn(9, 6)
    options: dict[str, Any] = {"probes": probes, "smoothing": 0.5}
    enough = 4 if probes is None else 8  # 8 rows for 40 weights
    assert fisher_spectrum(network, inputs[:enough], **options).entropy > 1e-6
    for samples in range(1, enough):
        with pytest.raises(ProxyFailure, match=f"too_few_rows: .* {samples} samples of 3 .* a batch of at least {enough}$"):
            fisher_spectrum(network, inputs[:samples], **options)
    with pytest.raises(ProxyFailure, match=r"too_few_rows: .* at least 2 classes, got 1"):
        fisher_spectrum(Chain(40, classes=1), inputs)
