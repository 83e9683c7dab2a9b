"""The chosen weights, and how a layer's output moves with one of them.

theta holds one weight of each layer, or one entry of each parameter tensor, norms and biases included. A convolution's output is
linear in its weight, and one weight touches one output channel: the derivative of that channel is one input channel, shifted by
the position of the weight in the kernel and sampled at the stride. So the derivative costs a slice, never a gradient of the whole
weight.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, jvp
from torch.nn import functional

from proxies.errors import ProxyFailure, ProxyUsageError
from proxies.measuring.layers import padding_of
from proxies.measuring.seeds import generator

__all__ = ["ChosenWeight", "Derivative", "choose_weights", "load_forward_rules", "weight_derivative"]


@dataclass(frozen=True)
class ChosenWeight:
    """One entry of theta: a flat index into a parameter, and the modules that use it (several when it is tied)."""

    name: str
    modules: tuple[nn.Module, ...]
    index: int
    parameter: str = "weight"


_BIASED = (nn.Linear.forward, nn.Conv2d.forward, nn.BatchNorm2d.forward)
"""Forward passes that end in adding the bias to their channels."""


@dataclass(frozen=True)
class Derivative:
    """d(output) / d(weight entry) of one call of a layer.

    ``value`` is the derivative of output channel ``channel`` along dimension ``axis`` and zero elsewhere, shape that of the
    output without ``axis``; or, where ``axis`` is None, the derivative of the whole output.
    """

    value: Tensor
    axis: int | None
    channel: int


def choose_weights(
    layers: Sequence[tuple[str, nn.Module]],
    count: int,
    index: int | float | str = 0,
    *,
    per_layer: int = 1,
    seed: int = 0,
    tensors: str = "weights",
) -> list[ChosenWeight]:
    """Entries of each of the first ``count`` distinct parameter tensors of the layers (VKDNW, table VIII).

    Args:
        layers: names and layers, in forward order.
        count: how many tensors, from the first on.
        tensors: ``weights``: a tensor is what its layer calls weight; ``all``: every parameter that a layer owns, in its order.
        index: which entry of the flat tensor: a whole number counts from its start, a fraction in [0, 1] says how far along it
            lies, ``random`` draws it.
        per_layer: how many entries of each tensor; more than one are drawn without repetition (all, where there are fewer).
        seed: decides what is drawn; a draw depends on the layer's name besides.

    Raises:
        ProxyFailure: ``no_weight`` where a layer owns no parameter called weight (a parametrised one computes it).
        ProxyUsageError: ``index`` lies outside of a layer's weight or is none of the three; ``per_layer`` with a fixed index.
    """
    if per_layer > 1 and index != "random":
        raise ProxyUsageError(f"per_layer={per_layer} draws its weights: expected index='random', got {index!r}")
    users: dict[int, tuple[str, str, nn.Parameter, list[nn.Module]]] = {}
    for name, layer in layers:
        owned = {kind: tensor for kind, tensor in layer._parameters.items() if tensor is not None}
        if tensors == "weights":
            if "weight" not in owned:
                raise ProxyFailure("no_weight", f"layer {name!r} ({type(layer).__name__}) owns no parameter called weight")
            owned = {"weight": owned["weight"]}
        for kind, tensor in owned.items():
            users.setdefault(id(tensor), (name, kind, tensor, []))[3].append(layer)
    return [
        ChosenWeight(name, tuple(modules), entry, kind)
        for name, kind, tensor, modules in list(users.values())[:count]
        for entry in _entries(name if kind == "weight" else f"{name}.{kind}", tensor.numel(), index, per_layer, seed)
    ]


def _entries(name: str, size: int, index: int | float | str, per_layer: int, seed: int) -> list[int]:
    if index == "random":
        drawn = torch.randperm(size, generator=generator(seed, "weight", name))[:per_layer]
        return sorted(int(entry) for entry in drawn)
    if isinstance(index, float) and 0.0 <= index <= 1.0:
        return [round(index * (size - 1))]
    if not isinstance(index, int) or isinstance(index, bool):
        raise ProxyUsageError(f"weight index: expected a whole number, a fraction in [0, 1] or 'random', got {index!r}")
    if not 0 <= index < size:
        raise ProxyUsageError(f"weight index {index} outside of layer {name!r} with {size} weights")
    return [index]


def weight_derivative(layer: nn.Module, index: int, inputs: Tensor, output: Tensor, parameter: str = "weight") -> Derivative:
    """How the output of one call moves with an entry of a parameter; a copy that later in-place work cannot touch.

    Args:
        layer: the module, in evaluation mode; convolutions, linear layers and batch norms with torch's own forward take the cheap
            way, all others (other norms, weights standardised on the fly) a forward-mode derivative of one call of the layer.
        index: flat index into the parameter.
        inputs: the call's input: ``(batch, channels, *space)``, or ``(batch, ..., features)`` for a linear layer.
        output: the call's output.
        parameter: its name in the layer.
    """
    forward = type(layer).forward
    if parameter == "bias" and forward in _BIASED:
        axis = output.dim() - 1 if forward is nn.Linear.forward else 1
        return Derivative(torch.ones_like(output.select(axis, index)), axis, index)
    if isinstance(layer, nn.BatchNorm2d) and forward is nn.BatchNorm2d.forward:
        mean, variance = layer.running_mean, layer.running_var
        if mean is not None and variance is not None:
            return Derivative((inputs[:, index] - mean[index]) * (variance[index] + layer.eps).rsqrt(), 1, index)
    if isinstance(layer, nn.Linear) and forward is nn.Linear.forward:
        row, column = divmod(index, layer.in_features)
        return Derivative(inputs[..., column].clone(), output.dim() - 1, row)
    if isinstance(layer, nn.Conv2d) and forward is nn.Conv2d.forward and inputs.dim() == 4:
        return _convolution(layer, index, inputs, output)
    weight = layer._parameters[parameter]
    assert weight is not None  # choose_weights has seen it
    direction = torch.zeros_like(weight)
    direction[torch.unravel_index(torch.tensor(index), weight.shape)] = 1.0  # whatever the order of the weight in memory

    def call(value: Tensor) -> Tensor:
        # The plain forward of the class: functional_call would run our own hooks on the layer again.
        result: Tensor = functional_call(_Bare(layer), {f"layer.{parameter}": value}, (inputs.detach(),))
        return result

    load_forward_rules()
    with torch.no_grad():
        return Derivative(jvp(call, (weight.detach(),), (direction,))[1], None, 0)


class _Bare(nn.Module):
    """A layer called past its hooks."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer.forward(inputs)  # type: ignore[no-any-return]


@functools.cache
def load_forward_rules() -> None:
    """Have torch load its forward-mode rules, which some versions do with a deprecation warning about torch's own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with forward_ad.dual_level():
            forward_ad.make_dual(torch.zeros(()), torch.zeros(()))  # type: ignore[no-untyped-call]


def _convolution(layer: nn.Conv2d, index: int, inputs: Tensor, output: Tensor) -> Derivative:
    out_channel, rest = divmod(index, layer.weight[0].numel())
    in_channel, tap = divmod(rest, layer.weight[0, 0].numel())
    group = out_channel // (layer.out_channels // layer.groups)
    source = group * (layer.in_channels // layer.groups) + in_channel
    row, column = divmod(tap, layer.kernel_size[1])
    channel = inputs[:, source : source + 1]
    padding = padding_of(layer)
    if any(padding):
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        channel = functional.pad(channel, padding, mode)
    rows = slice(row * layer.dilation[0], None, layer.stride[0])
    columns = slice(column * layer.dilation[1], None, layer.stride[1])
    return Derivative(channel[:, 0, rows, columns][:, : output.shape[2], : output.shape[3]].clone(), 1, out_channel)
