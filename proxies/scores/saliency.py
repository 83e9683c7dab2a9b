"""How much each weight matters to the loss: GradNorm, SNIP, GraSP (zero-cost proxies of Abdelfattah et al., ICLR 2021).

A *saliency* is a number for each weight of each convolution and linear layer, as a mapping from the layer's name to a tensor of
its weight's shape. Sums of saliencies are proxies by themselves; :mod:`proxies.scores.compressibility` reads their spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.layers import scoring_layers
from proxies.measuring.shared import shared
from proxies.measuring.training_pass import Gradients, part

__all__ = ["Saliency", "grad_norm", "grasp", "grasp_saliency", "snip", "snip_saliency", "total", "weights_of"]

Saliency = dict[str, Tensor]


def grad_norm(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> float:
    """L2 norm of the gradient of the mean cross-entropy by all parameters; training mode.

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: decides the labels of a batch of noise.
        targets: classes of real samples, int64 of shape ``(batch,)``; None for random ones.

    Raises:
        ProxyFailure: ``non_finite``, ``constant_gradient``, ``label_range``, ``batch_norm_one_value``, ``output_shape``.
    """
    found: Gradients = part("gradients", module, inputs, seed=seed, targets=targets)
    squares = [torch.linalg.vector_norm(g, dtype=torch.float64).square() for g in found.gradients.values() if g is not None]
    norm = float(torch.stack(squares).sum().sqrt())
    if not math.isfinite(norm):
        raise ProxyFailure("non_finite", "the gradient of some parameter is NaN or infinite")
    return norm


def snip(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> float:
    """SNIP (Lee et al. 2019): the sum of abs(theta dL / dtheta) over convolution and linear weights. As :func:`grad_norm`."""
    return total(snip_saliency(module, inputs, seed=seed, targets=targets))


def grasp(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> float:
    """GraSP (Wang et al. 2020): the sum of -theta (H g) over convolution and linear weights, H g the Hessian of the loss times
    its gradient over all parameters. As :func:`grad_norm`.
    """
    return total(grasp_saliency(module, inputs, seed=seed, targets=targets))


@shared
def snip_saliency(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> Saliency:
    """abs(theta dL / dtheta) of each weight. Failures are those of :func:`grad_norm`, and ``no_layers``."""
    found: Gradients = part("gradients", module, inputs, seed=seed, targets=targets)
    return _per_weight(module, inputs, found.gradients, lambda weight, gradient: (weight * gradient).abs())


@shared
def grasp_saliency(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> Saliency:
    """-theta (H g) of each weight. Failures are those of :func:`grad_norm`, and ``no_layers``."""
    found: Gradients = part("hessian", module, inputs, seed=seed, targets=targets)
    return _per_weight(module, inputs, found.products, lambda weight, product: -weight * product)


def weights_of(module: nn.Module, inputs: Tensor) -> dict[str, nn.Parameter]:
    """The distinct weights of the scoring layers, by the name of the first layer that uses each.

    Raises:
        ProxyFailure: ``no_layers``; ``no_weight`` where a layer owns no parameter called weight.
    """
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for name, layer in scoring_layers(module, inputs):
        weight = layer._parameters.get("weight")
        if weight is None:
            raise ProxyFailure("no_weight", f"layer {name!r} ({type(layer).__name__}) owns no parameter called weight")
        found.setdefault(id(weight), (name, weight))
    if not found:
        raise ProxyFailure("no_layers", f"{type(module).__name__} has no convolution or linear layers")
    return dict(found.values())


def _per_weight(
    module: nn.Module, inputs: Tensor, derivatives: dict[str, Tensor | None], rule: Callable[[Tensor, Tensor], Tensor]
) -> Saliency:
    by_parameter = {id(parameter): derivatives.get(name) for name, parameter in module.named_parameters()}
    saliency = {}
    for name, weight in weights_of(module, inputs).items():
        derivative = by_parameter[id(weight)]
        value = weight.detach()
        saliency[name] = torch.zeros_like(value) if derivative is None else rule(value, derivative)
    return saliency


def total(saliency: Saliency) -> float:
    """Sum over all weights, in float64. Raises ProxyFailure ``non_finite``."""
    result = float(sum(tensor.sum(dtype=torch.float64) for tensor in saliency.values()))
    if not math.isfinite(result):
        raise ProxyFailure("non_finite", "the saliency of some weight is NaN or infinite")
    return result
