"""SynFlow (Tanaka et al. 2020): the flow through a network of absolute weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from proxies.errors import ProxyFailure
from proxies.measuring.shared import shared
from proxies.measuring.state import placed, run, scoring
from proxies.scores.saliency import Saliency, total, weights_of

__all__ = ["synflow", "synflow_log", "synflow_saliency"]


def synflow(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Sum of abs(theta dR / dtheta) over convolution and linear weights; R is the sum of the logits of one input of ones.

    All parameters are replaced by their absolute values and batch norms do nothing. Float64: deep networks
    pass 1e32, which float32 cannot hold. Only the shape of ``inputs`` is used.

    Raises:
        ProxyFailure: ``non_finite``, ``constant_gradient``, ``no_layers``, ``no_weight``, ``output_shape``.
    """
    return total(synflow_saliency(module, inputs, seed=seed))


def synflow_log(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """The natural logarithm of :func:`synflow`. Raises also ProxyFailure ``zero_flow``."""
    value = synflow(module, inputs, seed=seed)
    if value <= 0:
        raise ProxyFailure("zero_flow", "no weight carries any flow: the logarithm of 0 is no number")
    return math.log(value)


@shared
def synflow_saliency(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> Saliency:
    """abs(theta dR / dtheta) of each weight, float64. Failures as :func:`synflow`."""
    ones = torch.ones_like(inputs[:1], dtype=torch.float64)
    weights = list(weights_of(module, inputs).items())
    with (
        placed(module, dtype=torch.float64, copy=True),
        scoring(module, train=False, seed=seed),
        _linear(module),
        torch.enable_grad(),
    ):
        for _, weight in weights:
            weight.requires_grad_(True)
        flow = run(module, ones).sum()
        if not bool(torch.isfinite(flow)):
            raise ProxyFailure("non_finite", f"the flow is {float(flow.detach())}")
        if not flow.requires_grad:
            raise ProxyFailure("constant_gradient", "the flow does not depend on any weight")
        gradients = torch.autograd.grad(flow, [weight for _, weight in weights], allow_unused=True)
        found = zip(weights, gradients, strict=True)
        return {n: (w.detach() * (torch.zeros_like(w) if g is None else g)).abs() for (n, w), g in found}


@contextmanager
def _linear(module: nn.Module) -> Iterator[None]:
    """Absolute parameters, and batch norms that pass their input on: statistics 0 and 1, weight 1, bias 0, epsilon 0.

    Buffers and parameter values are the caller's copies; only epsilons have to be put back.
    """
    norms = [(norm, norm.eps) for norm in module.modules() if isinstance(norm, _NormBase)]
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point():
                parameter.data.abs_()
        for norm, _ in norms:
            if norm.affine:
                norm.weight.data.fill_(1.0)
                norm.bias.data.zero_()
            norm.reset_running_stats()
    try:
        for norm, _ in norms:
            norm.eps = 0.0
        yield
    finally:
        for norm, epsilon in norms:
            norm.eps = epsilon
