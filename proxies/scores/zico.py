"""ZiCo (Li et al., ICLR 2023): how steady a network's gradients are from batch to batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.seeds import another_batch, derive_seed
from proxies.measuring.shared import shared
from proxies.measuring.training_pass import Gradients, part
from proxies.scores.saliency import weights_of

__all__ = ["two_gradients", "zico"]


def zico(
    module: nn.Module,
    inputs: Tensor,
    *,
    seed: int = 0,
    targets: Tensor | None = None,
    second: tuple[Tensor, Tensor] | None = None,
) -> float:
    """Sum over layers of ln( sum over weights of mean abs(g) / std(g) ), g the gradients of two batches.

    The mean and the standard deviation (with 1 / n) are over the two batches. A weight whose gradient is the same in both has no
    ratio and is left out; a layer without any ratio adds nothing (both as the authors do).

    Args:
        module: any network. Left as it was found.
        inputs: the first batch, shape ``(batch, ...)``.
        seed: decides the labels of noise, and the second batch of noise.
        targets: classes of real samples, int64 of shape ``(batch,)``; None for random ones.
        second: a real second batch and its classes; None for another batch of noise.

    Raises:
        ProxyFailure: those of :func:`proxies.scores.saliency.grad_norm`, ``no_layers``, ``no_weight``; ``constant_gradient``
            where no gradient moves from one batch to the other; ``too_few_samples`` where real inputs come without a second
            batch.
    """
    first, again = two_gradients(module, inputs, seed=seed, targets=targets, second=second)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    weights = {layer: names[id(weight)] for layer, weight in weights_of(module, inputs).items()}
    total, counted = 0.0, 0
    for name in weights.values():
        one, two = first.gradients[name], again.gradients[name]
        if one is None or two is None:
            continue
        # Of two numbers: mean abs = (|a| + |b|) / 2, standard deviation = |a - b| / 2.
        spread = (one - two).abs_()
        moving = spread != 0  # NaN moves, and is found below
        ratio = float(((one.abs() + two.abs())[moving] / spread[moving]).sum(dtype=torch.float64))
        if not math.isfinite(ratio):
            raise ProxyFailure("non_finite", f"the gradients of {name!r} hold NaN or infinity")
        if ratio > 0:
            total, counted = total + math.log(ratio), counted + 1
    if not counted:
        raise ProxyFailure("constant_gradient", "no gradient moves from one batch to the other")
    return total


def two_gradients(
    module: nn.Module,
    inputs: Tensor,
    *,
    seed: int = 0,
    targets: Tensor | None = None,
    second: tuple[Tensor, Tensor] | None = None,
) -> tuple[Gradients, Gradients]:
    """The gradients of the loss of two batches; arguments are those of :func:`zico`.

    Raises:
        ProxyFailure: those of :func:`proxies.scores.saliency.grad_norm`; ``too_few_samples`` where real inputs come without a
            second batch.
    """
    first: Gradients = part("gradients", module, inputs, seed=seed, targets=targets)
    other_seed = derive_seed(seed, "second batch")
    if second is not None:
        others, other_targets = second
    elif targets is not None:
        raise ProxyFailure("too_few_samples", f"two batches of {len(inputs)} real samples are needed, got one")
    else:
        others, other_targets = _second_batch(module, inputs, seed=seed), None
    again: Gradients = part("gradients", module, others, seed=other_seed, targets=other_targets)
    return first, again


@shared
def _second_batch(module: nn.Module, inputs: Tensor, *, seed: int) -> Tensor:
    """Another batch of noise; the same tensor for all who ask, so that its passes are shared."""
    return another_batch(inputs, derive_seed(seed, "second batch"))
