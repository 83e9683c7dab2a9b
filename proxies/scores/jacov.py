"""Jacov: how differently a network sees different inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.training_pass import part

__all__ = ["correlation_score", "jacov"]

EPSILON = 1e-5


def jacov(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Correlations between the input gradients of a batch's samples (Abdelfattah et al. 2021, after Mellor et al.).

    Training mode: batch statistics normalise the activations. J holds for each sample the gradient, by its input, of the sum of
    all logits of the batch. The score is that of :func:`correlation_score`.

    Args:
        module: any network; left as it was found.
        inputs: shape ``(batch, ...)``, at least two samples.
        seed: what stochastic modules would draw from.

    Raises:
        ProxyFailure: ``non_finite``, ``constant_gradient``, ``too_few_samples``, ``batch_norm_one_value``, ``output_shape``.
    """
    if len(inputs) < 2:
        raise ProxyFailure("too_few_samples", f"correlations need at least 2 samples, got {len(inputs)}")
    gradient: Tensor = part("input_gradient", module, inputs, seed=seed)
    return correlation_score(gradient.flatten(1))


def correlation_score(jacobian: Tensor) -> float:
    """-sum_i [ln(v_i + e) + 1 / (v_i + e)], v the eigenvalues of the rows' correlation matrix, e = 1e-5, in float64.

    Args:
        jacobian: one row per sample, shape ``(samples, inputs)``.

    Raises:
        ProxyFailure: ``non_finite``; ``constant_gradient`` where a row has no variance, so no correlation.
    """
    rows = jacobian.to(torch.float64)
    if not bool(torch.isfinite(rows).all()):
        raise ProxyFailure("non_finite", "the input gradients hold NaN or infinity")
    # Correlation has no scale: dividing by the largest entry first keeps squares from overflow and underflow.
    rows = rows / rows.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    rows = rows - rows.mean(dim=1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    if bool((norms == 0).any()):
        raise ProxyFailure("constant_gradient", f"{int((norms == 0).sum())} samples have constant input gradients")
    rows = rows / norms
    values = torch.linalg.eigvalsh(rows @ rows.T).clamp_min(0.0) + EPSILON
    return float(-(values.log() + 1.0 / values).sum())
