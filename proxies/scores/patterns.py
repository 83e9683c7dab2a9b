"""In how many ways a network's units switch over the samples of a batch: SWAP, and L-SWAG with the gradients' steadiness."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.training_pass import part
from proxies.scores.saliency import weights_of
from proxies.scores.zico import two_gradients

__all__ = ["lswag", "swap"]


def swap(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """SWAP (Peng et al., ICLR 2024): the number of different sample-wise activation patterns, layer by layer, summed.

    The pattern of a unit says for which samples of the batch it is on; a unit is an entry of the input of an activation function
    that switches at or near zero, on where that is positive (see :mod:`proxies.measuring.codes`). Training mode. A function that
    several layers read counts for each of them. B samples have 2^B patterns: with a batch below ten or so layers of any width
    have them all, and the score counts layers. (The authors' code counts over the whole network at once, and rectifiers of maps
    only.)

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: what stochastic modules would draw from.

    Raises:
        ProxyFailure: ``no_activations``, ``batch_norm_one_value``, ``output_shape``.
    """
    patterns: tuple[int, ...] = part("patterns", module, inputs, seed=seed)
    if not patterns:
        raise ProxyFailure("no_activations", "the network calls no activation function that switches (ReLU, GELU, SiLU, ...)")
    return float(sum(patterns))


def lswag(
    module: nn.Module,
    inputs: Tensor,
    *,
    seed: int = 0,
    targets: Tensor | None = None,
    second: tuple[Tensor, Tensor] | None = None,
) -> float:
    """L-SWAG (Casarin et al., CVPR 2025): the sum over layers of ln( sum over weights of 1 / std abs g ) times patterns.

    g are a layer's gradients of two batches, those of :func:`proxies.scores.zico.zico`, whose mean this score leaves out; the
    standard deviation of their absolute values is over the two, and a weight for which it is 0 has no ratio. Patterns are the
    different ones of the entries of the layer's input, above zero or not: behind a rectifier those of :func:`swap`. The paper
    leaves out layers whose gradients' statistics stand out on the benchmark at hand; here all count.

    Args:
        module: any network. Left as it was found.
        inputs: the first batch, shape ``(batch, ...)``.
        seed: decides the labels of noise, and the second batch of noise.
        targets: classes of real samples, int64 of shape ``(batch,)``; None for random ones.
        second: a real second batch and its classes; None for another batch of noise.

    Raises:
        ProxyFailure: those of :func:`proxies.scores.zico.zico`.
    """
    patterns: dict[str, int] = part("layer_patterns", module, inputs, seed=seed, targets=targets)
    first, again = two_gradients(module, inputs, seed=seed, targets=targets, second=second)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    total, counted = 0.0, 0
    for layer, weight in weights_of(module, inputs).items():
        one, two = first.gradients[names[id(weight)]], again.gradients[names[id(weight)]]
        if one is None or two is None or layer not in patterns:
            continue
        spread = (one.abs() - two.abs()).abs_()  # twice the standard deviation of two numbers
        moving = spread != 0  # NaN moves, and is found below
        ratio = 2.0 * float((1.0 / spread[moving].to(torch.float64)).sum())
        if not math.isfinite(ratio):
            raise ProxyFailure("non_finite", f"the gradients of {layer!r} hold NaN or infinity")
        if ratio > 0:
            total, counted = total + math.log(ratio) * patterns[layer], counted + 1
    if not counted:
        raise ProxyFailure("constant_gradient", "no gradient moves from one batch to the other")
    return total
