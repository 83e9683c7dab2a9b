"""Jacov, expressivity, progressivity and trainability against naive versions, and their failures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from proxies import PROXIES, ProxyFailure, block_outputs
from proxies.formulas.entropy import feature_entropy
from proxies.measuring.isolation import spread_strides
from proxies.measuring.seeds import generator, signs
from proxies.scores.aznas import block_entropies
from proxies.scores.jacov import correlation_score
from tests.proxies.networks import Residual, Stack, batch, convolution, make


def reason(name: str, network: nn.Module, inputs: Tensor) -> str:
    with pytest.raises(ProxyFailure) as caught:
        PROXIES[name](network, inputs, seed=0)
    return caught.value.reason


def features(network: nn.Module, inputs: Tensor) -> list[tuple[str, nn.Module, Tensor, Tensor]]:
    """Input and output of each block in training mode, by plain hooks that copy."""
    found: list[tuple[str, nn.Module, Tensor, Tensor]] = []
    handles = []
    for name, block in block_outputs(network):
        entered: list[Tensor] = []
        handles.append(block.register_forward_pre_hook(lambda _, args, entered=entered: entered.append(args[0].detach().clone())))
        handles.append(
            block.register_forward_hook(
                lambda block, _, out, name=name, entered=entered: found.append((name, block, entered.pop(), out.detach().clone()))
            )
        )
    network.train()
    with torch.no_grad():
        network(inputs)
    for handle in handles:
        handle.remove()
    return found


def naive_entropy(feature: Tensor) -> float:
    rows = feature.movedim(1, -1).flatten(0, -2).numpy() if feature.dim() == 4 else feature.flatten(0, -2).numpy()
    values = np.linalg.eigvalsh(np.cov(rows, rowvar=False, bias=True))
    shares = values / values.sum()
    return float(-(shares * np.log(shares + 1e-8)).sum())


@pytest.mark.parametrize("kind", ["convolution", "attention", "shared"])
def test_jacov_is_the_naive_one(kind: str) -> None:
    network, inputs = make(kind), batch(6)
    value = PROXIES["jacov"](network, inputs, seed=0)
    leaf = inputs.clone().requires_grad_(True)
    network.train()
    network(leaf).backward(torch.ones(6, 5, dtype=torch.float64))
    values = np.linalg.eigvalsh(np.corrcoef(leaf.grad.flatten(1).numpy()))
    assert value == pytest.approx(float(-(np.log(values + 1e-5) + 1 / (values + 1e-5)).sum()), rel=1e-6)


def test_jacov_is_highest_without_correlation() -> None:
    assert correlation_score(torch.eye(8).repeat(1, 3)) < 0
    independent = torch.cat([torch.eye(8), -torch.eye(8)], 1)
    assert correlation_score(independent) == pytest.approx(-8 * (math.log(1 + 1e-5) + 1 / (1 + 1e-5)), rel=1e-9)
    assert correlation_score(independent) > correlation_score(independent + torch.ones(1, 16).cumsum(1))
    for scale in (1e200, 1e-200):  # squares would overflow or vanish
        assert correlation_score(independent.double() * scale) == pytest.approx(correlation_score(independent))


def test_jacov_failures() -> None:
    inputs = torch.randn(4, 6)
    assert reason("jacov", nn.Linear(6, 2), inputs[:1]) == "too_few_samples"
    dead = nn.Linear(6, 2)
    nn.init.zeros_(dead.weight)
    assert reason("jacov", dead, inputs) == "constant_gradient"

    class Detached(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach()

    assert reason("jacov", Detached(), inputs) == "constant_gradient"
    broken = nn.Linear(6, 2)
    nn.init.constant_(broken.weight, math.nan)
    assert reason("jacov", broken, inputs) == "non_finite"


@pytest.mark.parametrize("kind", ["convolution", "attention", "shared", "depthwise"])
def test_entropies_are_the_naive_ones(kind: str) -> None:
    network, inputs = make(kind), batch(4)
    seen = features(network, inputs)
    naive = [naive_entropy(out) for _, _, _, out in seen]
    assert block_entropies(network, inputs) == pytest.approx(naive, rel=1e-6)
    assert PROXIES["expressivity"](network, inputs, seed=0) == pytest.approx(sum(naive), rel=1e-6)
    steps = [naive_entropy(out) - naive_entropy(given) for _, _, given, out in seen]
    assert len(steps) >= 3
    assert PROXIES["progressivity"](network, inputs, seed=0) == pytest.approx(min(steps), rel=1e-6)


def test_entropy_does_not_care_which_gram_matrix_it_takes() -> None:
    rows = torch.randn(2, 3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))  # 6 positions, 40 channels
    assert feature_entropy(rows) == pytest.approx(naive_entropy(rows), rel=1e-9)
    white = torch.cat([torch.eye(4), -torch.eye(4)]).unsqueeze(0)
    assert feature_entropy(white) == pytest.approx(math.log(4), abs=1e-6)


def test_entropy_reads_channels_where_the_network_says() -> None:
    class Last(nn.Module):
        output_fmt = "NHWC"

        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(3, 3)), nn.Sequential(nn.Linear(3, 6))])

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x)
            return x.mean((1, 2))

    network, inputs = Last().double(), torch.randn(2, 4, 5, 3, dtype=torch.float64)
    last = network.blocks[1](network.blocks[0](inputs)).detach()
    values = np.linalg.eigvalsh(np.cov(last.reshape(-1, 6).numpy(), rowvar=False, bias=True)).clip(0)
    shares = values / values.sum()
    assert block_entropies(network, inputs)[1] == pytest.approx(float(-(shares * np.log(shares + 1e-8)).sum()), rel=1e-6)


def test_entropy_failures() -> None:
    inputs = batch(4, dtype=torch.float32)
    one = Stack([Residual(4, 4)], 4, 5)
    assert math.isfinite(PROXIES["expressivity"](one, inputs, seed=0))
    assert math.isfinite(PROXIES["progressivity"](one, inputs, seed=0))
    dead = convolution()
    nn.init.zeros_(dead.stages[0][2].second[1].weight)
    nn.init.constant_(dead.stages[0][2].second[1].bias, -1.0)
    dead.stages[0][2].shortcut = nn.Conv2d(6, 6, 1)
    nn.init.zeros_(dead.stages[0][2].shortcut.weight)
    nn.init.constant_(dead.stages[0][2].shortcut.bias, -0.3)
    assert reason("expressivity", dead, inputs) == "constant_features"
    assert reason("expressivity", nn.Flatten(), inputs) == "no_blocks"
    broken = convolution()
    nn.init.constant_(broken.stages[0][0].first[0].weight, math.inf)
    assert reason("expressivity", broken, inputs) == "non_finite"
    assert reason("expressivity", convolution(), batch(1, size=1, dtype=torch.float32)) == "batch_norm_one_value"


def naive_trainability(network: nn.Module, inputs: Tensor, seed: int) -> list[float]:
    scores = []
    for place, (name, block, entered, out) in enumerate(features(network, inputs)):
        entered.requires_grad_(True)
        g_out = signs(out.shape, generator(seed, "trainability", name, place)).to(out)
        g_in = torch.autograd.grad(block(entered.clone()), entered, g_out)[0]
        if out.dim() == 4:
            if g_in.shape[2:] != g_out.shape[2:]:
                stride = math.ceil(g_in.shape[2] / g_out.shape[2])
                edge = stride * g_out.shape[2] - g_in.shape[2]
                g_in = nn.functional.pixel_unshuffle(nn.functional.pad(g_in, (0, edge, 0, edge)), stride)
            g_in, g_out = g_in.movedim(1, -1), g_out.movedim(1, -1)
        g_in, g_out = g_in.flatten(0, -2), g_out.flatten(0, -2)
        top = float(torch.linalg.svdvals(g_in.T @ g_out / len(g_out))[0])
        scores.append(2 - top - 1 / (top + 1e-6))
    return scores


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("kind", ["convolution", "attention", "depthwise", "shared"])
def test_trainability_is_the_naive_one(kind: str, seed: int) -> None:
    network, inputs = make(kind), batch(4)
    naive = naive_trainability(network, inputs, seed)
    assert PROXIES["trainability"](network, inputs, seed=seed) == pytest.approx(sum(naive) / len(naive), rel=1e-6)


@pytest.mark.parametrize(("size", "smaller", "stride"), [(8, 4, 2), (7, 4, 2), (7, 3, 2), (5, 1, 5), (9, 9, 1), (3, 2, 2)])
def test_strides_round_to_the_nearest(size: int, smaller: int, stride: int) -> None:
    inner, outer = torch.randn(2, size, 4, 3), torch.randn(2, smaller, 4, 6)
    rows = spread_strides("block", inner, outer)
    assert rows.shape == (2 * smaller * 4, 3 * stride)
    kept = min(size, smaller * stride)
    assert float(rows.sum()) == pytest.approx(float(inner[:, :kept].sum()), abs=1e-4)
    first = rows.reshape(2, smaller, 4, 3, stride)[0, 0, 1]
    torch.testing.assert_close(first[:, : min(stride, size)], inner[0, : min(stride, size), 1].T)


def test_unshuffling_is_torchs() -> None:
    inner, outer = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)
    rows = spread_strides("block", inner.movedim(1, -1), outer.movedim(1, -1))
    torch.testing.assert_close(rows, nn.functional.pixel_unshuffle(inner, 2).movedim(1, -1).flatten(0, -2))


class Blocks(nn.Module):
    """Blocks given from outside, then pooling."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def block_outputs(self) -> list[tuple[str, nn.Module]]:
        return [(f"blocks.{place}", block) for place, block in enumerate(self.blocks)]

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
            x = x[0] if isinstance(x, list) else x
        return x.flatten(1)


class Detaching(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


class Listing(nn.Module):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


def test_trainability_failures() -> None:
    inputs = torch.randn(2, 3, 6, 6)
    conv = nn.Conv2d(3, 3, 3, padding=1)
    assert math.isfinite(PROXIES["trainability"](Blocks(conv), inputs, seed=0))
    assert reason("trainability", Blocks(conv, nn.Identity()), inputs) == "identity_block"
    assert reason("trainability", Blocks(conv, Detaching(3, 3, 1)), inputs) == "detached_block"
    assert reason("trainability", Blocks(conv, nn.Upsample(scale_factor=2)), inputs) == "enlarging_block"
    assert reason("trainability", Blocks(conv, nn.Flatten()), inputs) == "block_shape"
    assert reason("trainability", Blocks(conv, nn.Sequential(nn.Unflatten(1, (1, 3)))), inputs) == "block_shape"
    assert reason("trainability", Blocks(), inputs) == "no_blocks"
    assert reason("trainability", Blocks(Listing()), inputs) == "block_signature"


def test_a_node_that_joins_blocks_is_passed_over() -> None:
    """As in timm's DLA, whose roots take a list: the blocks around it are read all the same."""

    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(6, 3, 1)

        def forward(self, maps: list[Tensor]) -> Tensor:
            found: Tensor = self.conv(torch.cat(maps, 1))
            return found

    class Joined(Blocks):
        def forward(self, x: Tensor) -> Tensor:
            first, second, root = self.blocks
            one = first(x)
            return root([one, second(one)]).flatten(1)

    torch.manual_seed(0)
    inputs, blocks = torch.randn(4, 3, 6, 6), (nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1))
    for name in ("expressivity", "progressivity", "trainability"):
        expected = PROXIES[name](Blocks(*blocks), inputs, seed=0)
        assert PROXIES[name](Joined(*blocks, Root()), inputs, seed=0) == pytest.approx(expected, rel=1e-5)

    class Alone(Blocks):
        def forward(self, x: Tensor) -> Tensor:
            return self.blocks[0]([x, x]).flatten(1)

    assert reason("trainability", Alone(Root()), inputs) == "no_blocks"


def test_a_scaling_block_has_its_factor_as_singular_value() -> None:
    class Scale(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 3.0

    stream = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 2, 32, 32, generator=stream)
    # g_in = 3 g_out and the signs of two channels are almost uncorrelated, so M is almost 3 I.
    assert PROXIES["trainability"](Blocks(Scale()), inputs, seed=0) == pytest.approx(2 - 3 - 1 / 3, abs=0.05)
