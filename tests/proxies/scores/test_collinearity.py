"""MeCo and Dextr against naive versions, closed forms, invariances, and their failures."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from proxies import PROXIES, ProxyFailure
from proxies.measuring.circle_pass import POINTS, channel_axis, circle_inputs
from proxies.measuring.seeds import generator
from proxies.scores.collinearity import least_correlation, total_turning
from tests.proxies.networks import batch, make
from uninas.runtime.torchvision_repair import repair

LAYERS = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm)


def naive_maps(network: nn.Module, inputs: Tensor, seed: int) -> tuple[list[tuple[str, np.ndarray]], np.ndarray]:
    """The maps of the circle's first point, channels by positions, and the logits of all, by plain hooks."""
    network = copy.deepcopy(network).train()
    found: list[tuple[str, np.ndarray]] = []
    for name, layer in network.named_modules():
        if isinstance(layer, LAYERS):
            last = isinstance(layer, (nn.Linear, nn.LayerNorm))

            def hook(_: nn.Module, __: object, made: Tensor, name: str = name, last: bool = last) -> None:
                if made.dim() > 2:
                    first = made[0].detach().numpy().copy()
                    found.append(
                        (name, (np.moveaxis(first, -1, 0) if last else first).reshape(first.shape[-1 if last else 0], -1))
                    )

            layer.register_forward_hook(hook)
    outputs = network(circle_inputs(inputs, seed)).detach().numpy()
    return found, outputs


def smallest(values: np.ndarray) -> float:
    return max(0.0, float(np.linalg.eigvalsh(np.corrcoef(values))[0])) if len(values) < values.shape[1] else 0.0


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("kind", ["convolution", "attention", "shared", "depthwise"])
def test_meco_is_the_naive_one(kind: str, seed: int) -> None:
    network, inputs = make(kind), batch(4)
    maps, _ = naive_maps(network, inputs, seed)
    assert PROXIES["meco"](network, inputs, seed=seed) == pytest.approx(sum(smallest(m) for _, m in maps), rel=1e-6, abs=1e-9)


class Wide(nn.Module):
    """Maps of more channels than are drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 20, 3, padding=1), nn.BatchNorm2d(20), nn.GELU(), nn.Conv2d(20, 12, 3))
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean((2, 3)))


def test_meco_opt_draws_eight_channels_of_each_map() -> None:
    torch.manual_seed(0)
    network, inputs = Wide().double(), batch(4)
    maps, _ = naive_maps(network, inputs, 2)
    expected = 0.0
    for name, values in maps:
        drawn = torch.randperm(len(values), generator=generator(2, "meco_opt", name, 1))[:8].numpy()
        assert len(set(drawn)) == 8
        expected += smallest(values[drawn]) * len(values) / 8
    assert PROXIES["meco_opt"](network, inputs, seed=2) == pytest.approx(expected, rel=1e-6)
    narrow = make("convolution")
    assert PROXIES["meco_opt"](narrow, inputs, seed=2) == PROXIES["meco"](narrow, inputs, seed=2)


def naive_turning(curve: np.ndarray) -> float:
    sides = np.roll(curve, -1, 0) - curve
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    return float(np.arccos(np.clip((sides * np.roll(sides, -1, 0)).sum(1), -1, 1)).sum())


@pytest.mark.parametrize("kind", ["convolution", "attention", "shared"])
def test_dextr_is_the_naive_one(kind: str) -> None:
    network, inputs = make(kind), batch(4)
    maps, outputs = naive_maps(network, inputs, 1)
    spectra = [np.linalg.svd(values, compute_uv=False) for _, values in maps]
    independence, curvature = math.log1p(sum(s[-1] / s[0] for s in spectra)), math.log1p(naive_turning(outputs))
    expected = independence * curvature / (independence + curvature)
    assert PROXIES["dextr"](network, inputs, seed=1) == pytest.approx(expected, rel=1e-5)


# --- closed forms and invariances -------------------------------------------------------------------------------------------


def test_correlations_in_closed_form() -> None:
    stream = torch.Generator().manual_seed(0)
    centred = torch.randn(50, 6, generator=stream, dtype=torch.float64)
    orthogonal = torch.linalg.qr(centred - centred.mean(0))[0].T
    assert least_correlation(orthogonal) == pytest.approx(1.0)
    one, other = orthogonal[:2]
    assert least_correlation(torch.stack([one, 0.6 * one + 0.8 * other])) == pytest.approx(1 - 0.6)
    assert least_correlation(torch.stack([one, -2 * one + 3, other])) == pytest.approx(0.0, abs=1e-12)


def test_neither_order_nor_scale_nor_shift_of_channels_shows() -> None:
    values = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    expected = least_correlation(values)
    assert 0 < expected < 1
    assert least_correlation(values[torch.tensor([3, 1, 5, 0, 2, 4])]) == pytest.approx(expected)
    changed = values * torch.tensor([1e12, 3.0, 1e-12, 1.0, -2.0, 7.0])[:, None] + torch.tensor([0.0, 5, 0, -9, 1, 1])[:, None]
    assert least_correlation(changed) == pytest.approx(expected, rel=1e-4)


def test_dependent_and_constant_channels_have_no_smallest_correlation() -> None:
    values = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    assert least_correlation(values[:, :6]) == 0.0
    values[2] = 1 / 3
    assert least_correlation(values) == 0.0


def test_polygons_turn_by_what_geometry_says() -> None:
    angles = torch.arange(7, dtype=torch.float64) * (2 * math.pi / 7)
    circle = torch.stack([angles.cos(), angles.sin()], 1)
    assert total_turning(circle) == pytest.approx(2 * math.pi)
    twisted = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0][:2]
    assert total_turning(1e9 * circle @ twisted + 3) == pytest.approx(2 * math.pi, rel=1e-6)
    assert total_turning(torch.cat([circle, circle])) == pytest.approx(4 * math.pi)
    there_and_back = torch.tensor([[0.0, 0], [1, 1], [2, 2], [1, 1]], dtype=torch.float64)
    assert total_turning(there_and_back) == pytest.approx(2 * math.pi)
    assert total_turning(circle.repeat_interleave(2, 0)) == pytest.approx(2 * math.pi)  # a side of no length is no turn


def test_the_logits_of_a_linear_network_go_round_an_ellipse() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 81, 5)).double()
    inputs = batch(2)
    (_, maps), *_ = naive_maps(network, inputs, 0)[0]
    spectrum = np.linalg.svd(maps, compute_uv=False)
    independence, curvature = math.log1p(spectrum[-1] / spectrum[0]), math.log1p(2 * math.pi)
    expected = independence * curvature / (independence + curvature)
    assert PROXIES["dextr"](network, inputs, seed=0) == pytest.approx(expected, rel=1e-6)


def test_the_circle_has_the_length_of_noise() -> None:
    points = circle_inputs(batch(3), 4).flatten(1)
    assert points.shape == (POINTS, 243)
    torch.testing.assert_close(points.square().sum(1), torch.full((POINTS,), 243.0, dtype=torch.float64))
    sides = (points.roll(-1, 0) - points).norm(dim=1)
    torch.testing.assert_close(sides, torch.full_like(sides, 2 * math.sqrt(243) * math.sin(math.pi / POINTS)))
    assert int(torch.linalg.matrix_rank(points)) == 2
    assert not torch.equal(points, circle_inputs(batch(3), 5).flatten(1))
    assert torch.equal(points, circle_inputs(batch(8, seed=2), 4).flatten(1))


def test_channels_are_found_in_results_of_every_kind() -> None:
    repair()
    from timm.layers import LayerNorm, LayerNorm2d, RmsNorm

    tokens, maps = torch.zeros(2, 7, 6), torch.zeros(2, 6, 5, 4)
    last = torch.zeros(2, 5, 4, 6)
    for layer in (nn.Linear(6, 6), nn.LayerNorm(6), LayerNorm(6), RmsNorm(6), nn.RMSNorm(6)):
        assert layer(tokens).shape[channel_axis(layer, layer(tokens))] == 6
    for layer in (nn.Linear(6, 6), nn.LayerNorm(6), LayerNorm(6)):
        assert channel_axis(layer, layer(last)) == 3
    for layer in (nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), nn.GroupNorm(2, 6), LayerNorm2d(6), nn.LayerNorm((6, 5, 4))):
        assert channel_axis(layer, layer(maps)) == 1


# --- failures ---------------------------------------------------------------------------------------------------------------


def reason(name: str, network: nn.Module, inputs: Tensor) -> str:
    with pytest.raises(ProxyFailure) as caught:
        PROXIES[name](network, inputs, seed=0)
    return caught.value.reason


def test_what_has_no_maps_fails_with_its_reason() -> None:
    flat = torch.randn(4, 6)
    for name in ("meco", "meco_opt", "dextr"):
        assert reason(name, nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)), flat) == "no_maps"
        assert reason(name, nn.Flatten(), torch.randn(2, 3, 4, 4)) == "no_maps"
        broken = make("convolution")
        nn.init.constant_(broken.stages[0][0].first[0].weight, math.inf)
        assert reason(name, broken, batch(4)) == "non_finite"
    silent = make("convolution")
    nn.init.zeros_(silent.head.weight)
    assert reason("dextr", silent, batch(4)) == "constant_output"
    assert PROXIES["meco"](silent, batch(4)) > 0
