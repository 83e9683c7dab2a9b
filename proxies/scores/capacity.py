"""Proxies of the shapes of a network's weight matrices: its spectral capacity and DeepMAD's entropy. No values are read."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.formulas.matrices import WeightMatrix, depth_entropy, spectral_capacity
from proxies.measuring.layers import scoring_layers
from proxies.measuring.shared import shared
from proxies.measuring.state import run, scoring

__all__ = ["entropy", "nsc", "weight_matrices"]


def nsc(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Spectral capacity (NSC; arXiv 2609.23087): the sum over weight matrices of the integral of ln(1 + s^2).

    The integral is that of the law of Marchenko and Pastur at the variance of initialisation, in closed form, see
    :func:`proxies.formulas.matrices.spectral_capacity`. The classifier does not count. A matrix of n singular values adds n
    times the law's mean. Three choices are ours. A convolution of one pixel is the linear map that it is, with Glorot's
    variance, so that a transformer scores the same whichever way it is written. A joint projection to queries, keys and values
    is one matrix where it is one weight, and three where it is three layers. Heads of attention are not taken apart. (On the
    100 PiT networks none of these moves Kendall's tau by more than .03.) An architecture's value needs neither module nor
    weights: see ``search.workers.counted``.

    Raises:
        ProxyFailure: ``no_layers``, ``output_shape``.
    """
    return spectral_capacity(weight_matrices(module, inputs, seed=seed))


def entropy(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """DeepMAD's entropy (Shen et al., CVPR 2023): H = ln(r^2 c) sum over layers of ln(c_in k^2 / g).

    r and c are the side and channels of the last feature map, c_in, k and g the input channels, kernel and groups of a layer.
    The paper defines it for a chain of convolutions: here every convolution and linear layer counts, parallel ones
    too, but for the classifier. Its weighted sum over resolutions (1, 1, 1, 1, 8) belongs to a space of five stages, and its
    bound on depth over width (effectiveness) is a constraint of its search: neither is part of this number. See
    :func:`proxies.formulas.matrices.depth_entropy`.

    Raises:
        ProxyFailure: ``no_layers``, ``output_shape``.
    """
    return depth_entropy(weight_matrices(module, inputs, seed=seed))


@shared
def weight_matrices(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> tuple[WeightMatrix, ...]:
    """The weight matrices of :func:`proxies.scoring_layers`, in their order, each weight once and without the classifier.

    The classifier is the layer that is called last, where its result has the shape of the logits.

    Raises:
        ProxyFailure: ``no_layers``, ``output_shape``.
    """
    results: dict[int, tuple[int, ...]] = {}

    def after(layer: nn.Module, arguments: tuple[object, ...], result: object) -> None:
        if isinstance(result, Tensor):
            results.pop(id(layer), None)  # in the order of the last call
            results[id(layer)] = tuple(result.shape)

    layers = scoring_layers(module, inputs)
    handles = []
    try:
        for _, layer in layers:
            handles.append(layer.register_forward_hook(after))
        with scoring(module, train=False, seed=seed), torch.no_grad():
            logits = run(module, inputs[:1])
    finally:
        for handle in handles:
            handle.remove()
    last = next(reversed(results), None)
    head = last if last is not None and results[last] == tuple(logits.shape) else None
    found: dict[int, WeightMatrix] = {}
    for _, layer in layers:
        weight = layer._parameters.get("weight")
        if id(layer) in results and id(layer) != head and weight is not None and weight.dim() >= 2:
            found.setdefault(id(weight), _matrix(layer, weight, results[id(layer)]))
    if not layers:
        raise ProxyFailure("no_layers", f"{type(module).__name__} has no convolution or linear layers")
    return tuple(found.values())


def _matrix(layer: nn.Module, weight: Tensor, result: tuple[int, ...]) -> WeightMatrix:
    inputs = weight[0].numel()
    groups = int(getattr(layer, "groups", 1))
    pointwise = groups == 1 and inputs == weight.shape[1]
    entries = 1
    for size in result:
        entries *= size
    return WeightMatrix(weight.shape[0], inputs, groups, pointwise, entries)
