"""How many directions a network's layers use: NEAR's effective ranks, and InTrain's participation ratios and gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.training_pass import Gradients, part

__all__ = ["gradient_health", "intrain", "near", "participation"]


def near(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """NEAR (Husistein et al., ICLR 2025): the sum of the effective ranks of pre- and post-activation matrices.

    A pre-activation matrix is of the result of a convolution or linear layer, a post-activation matrix of that of an activation
    function; its rows are as many samples and positions as it has channels, or all where there are fewer. Training mode. The
    paper takes a random stretch of rows that lie side by side, of maps that share much; here they are drawn from all over the
    batch. See :func:`proxies.measuring.layer_watch.effective_rank`.

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: decides the rows.

    Raises:
        ProxyFailure: ``no_layers``, ``non_finite``, ``batch_norm_one_value``, ``output_shape``.
    """
    ranks: tuple[float, ...] = part("ranks", module, inputs, seed=seed)
    if not ranks:
        raise ProxyFailure("no_layers", f"{type(module).__name__} calls no convolution, linear layer or activation function")
    return math.fsum(ranks)


def participation(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Geometric capacity (the first factor of InTrain): the sum over layers of ln( (tr S)^2 / tr(S^2) ).

    S is the covariance of the output channels of a convolution or linear layer over samples and positions, in training mode. A
    layer whose result does not vary has no S and adds nothing.

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: what stochastic modules would draw from.

    Raises:
        ProxyFailure: ``no_layers``; ``constant_features`` where no layer's result varies; ``non_finite``,
            ``batch_norm_one_value``, ``output_shape``.
    """
    return math.fsum(_logarithms(module, inputs, seed, None))


def intrain(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> float:
    """InTrain (Zhou et al., CVPR 2026, arXiv 2606.18676): participation x (1 + health) / ln(layers + 1).

    Health is :func:`gradient_health` of the mean gradient of the cross-entropy; layers is the number of terms of
    :func:`participation`. The paper averages the gradients of four parts of the batch: here they are those of the whole batch,
    which differ by what batch norms divide by, and which GradNorm, SNIP and ZiCo read too. (On 60 cells of NAS-Bench-201 the two
    rank alike, Kendall's tau .98, and agree with accuracies within .005.)

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: decides the labels of noise.
        targets: classes of real samples, int64 of shape ``(batch,)``; None for random ones.

    Raises:
        ProxyFailure: those of :func:`participation` and of :func:`proxies.scores.saliency.grad_norm`.
    """
    terms = _logarithms(module, inputs, seed, targets)
    found: Gradients = part("gradients", module, inputs, seed=seed, targets=targets)
    health = gradient_health([gradient for gradient in found.gradients.values() if gradient is not None])
    return math.fsum(terms) * (1.0 + health) / math.log(len(terms) + 1)


def gradient_health(gradients: list[Tensor]) -> float:
    """The sum over parameters of min(1, std g / max abs g), std with 1 / n over a parameter's entries; a gradient of 0 adds 0.

    Raises:
        ProxyFailure: ``non_finite``.
    """
    total = 0.0
    for gradient in gradients:
        largest = float(gradient.abs().max()) if gradient.numel() else 0.0
        if not math.isfinite(largest):
            raise ProxyFailure("non_finite", "the gradient of some parameter is NaN or infinite")
        if largest > 0:
            total += min(1.0, float((gradient / largest).to(torch.float64).std(correction=0)))
    return total


def _logarithms(module: nn.Module, inputs: Tensor, seed: int, targets: Tensor | None) -> list[float]:
    ratios: tuple[float | None, ...] = part("participations", module, inputs, seed=seed, targets=targets)
    if not ratios:
        raise ProxyFailure("no_layers", f"{type(module).__name__} calls no convolution or linear layer")
    terms = [math.log(ratio) for ratio in ratios if ratio is not None]
    if not terms:
        raise ProxyFailure("constant_features", "the result of no layer varies over samples and positions")
    return terms
