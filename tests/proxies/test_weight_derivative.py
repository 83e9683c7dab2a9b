"""The derivative of a layer's output by one entry of its weight, for every entry, against torch's forward mode."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from proxies.vkdnw.weights import Derivative, load_forward_rules, weight_derivative
from tests.proxies.networks import StandardisedConv

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "plain": (nn.Conv2d(3, 2, 3, padding=1), (2, 3, 5, 6)),
    "strided": (nn.Conv2d(3, 2, 3, stride=(2, 3), padding=(1, 0)), (2, 3, 8, 9)),
    "grouped": (nn.Conv2d(4, 6, (3, 1), groups=2, padding=(1, 0)), (2, 4, 5, 4)),
    "depthwise": (nn.Conv2d(3, 6, 2, groups=3), (2, 3, 5, 4)),
    "dilated": (nn.Conv2d(2, 2, 3, dilation=(2, 1), padding=2), (2, 2, 6, 7)),
    "same-even": (nn.Conv2d(2, 2, (4, 2), padding="same", dilation=(1, 3)), (2, 2, 6, 7)),
    "valid": (nn.Conv2d(2, 2, 3, padding="valid"), (2, 2, 5, 5)),
    "reflect": (nn.Conv2d(2, 2, 3, padding=(2, 1), padding_mode="reflect"), (2, 2, 5, 5)),
    "circular": (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular", stride=2), (2, 2, 5, 5)),
    "vector": (nn.Linear(3, 4), (2, 3)),
    "tokens": (nn.Linear(3, 4, bias=False), (2, 5, 3)),
    "own-forward": (StandardisedConv(2, 3, 3, stride=2), (2, 2, 5, 5)),
    "one-dimensional": (nn.Conv1d(2, 3, 3, padding=1), (2, 2, 7)),
    "transposed": (nn.ConvTranspose2d(2, 3, 3, stride=2), (2, 2, 4, 4)),
    "batch-norm": (nn.BatchNorm2d(3), (2, 3, 4, 5)),
    "batch-norm-1d": (nn.BatchNorm1d(3), (4, 3)),
    "no-statistics": (nn.BatchNorm2d(3, track_running_stats=False), (2, 3, 4, 5)),
    "layer-norm": (nn.LayerNorm(4), (2, 5, 4)),
    "group-norm": (nn.GroupNorm(2, 4), (2, 4, 3, 3)),
}
DEAR = ("own-forward", "one-dimensional", "transposed", "batch-norm-1d", "no-statistics", "layer-norm", "group-norm")


def settled(kind: str) -> tuple[nn.Module, tuple[int, ...]]:
    """The layer in evaluation mode, a norm with statistics of its own."""
    layer, shape = LAYERS[kind]
    for name, buffer in layer.named_buffers():
        if name.startswith("running"):
            buffer.copy_(torch.rand(buffer.shape, generator=torch.Generator().manual_seed(1)) + 0.5)
    return layer.double().eval(), shape


def whole(derivative: Derivative, output: Tensor) -> Tensor:
    if derivative.axis is None:
        return derivative.value
    result = torch.zeros_like(output)
    result.select(derivative.axis, derivative.channel).copy_(derivative.value)
    return result


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kind", LAYERS)
def test_every_entry(kind: str) -> None:
    layer, shape = settled(kind)
    inputs = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = layer(inputs)
    load_forward_rules()
    for name, parameter in layer.named_parameters():
        value = parameter.detach()
        for index in range(value.numel()):
            unit = torch.zeros_like(value)
            unit.view(-1)[index] = 1.0
            call = lambda moved, name=name: functional_call(layer, {name: moved}, (inputs,))  # noqa: E731
            expected = jvp(call, (value,), (unit,))[1]
            found = weight_derivative(layer, index, inputs, output, name)
            torch.testing.assert_close(whole(found, output), expected.detach(), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kind", LAYERS)
def test_later_work_in_place_does_not_reach_it(kind: str) -> None:
    layer, shape = settled(kind)
    inputs = torch.randn(shape).to(next(layer.parameters()).dtype)
    with torch.no_grad():
        found = weight_derivative(layer, 0, inputs, layer(inputs))
    kept = found.value.clone()
    inputs.fill_(7.0)
    assert torch.equal(found.value, kept)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_plain_layers_cost_one_channel() -> None:
    for kind in LAYERS:
        layer, shape = settled(kind)
        inputs = torch.randn(shape).to(next(layer.parameters()).dtype)
        derivative = weight_derivative(layer, 0, inputs, layer(inputs).detach())
        assert (derivative.axis is None) == (kind in DEAR)
