"""The neural tangent kernel at initialisation, and how well conditioned it is."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.state import exact_arithmetic, run, scoring
from proxies.scores.saliency import weights_of

__all__ = ["ntk_condition", "tangent_kernel"]


def ntk_condition(module: nn.Module, inputs: Tensor, *, seed: int = 0, samples: int = 16) -> float:
    """Minus the condition number of the neural tangent kernel (TE-NAS; Chen et al., ICLR 2021), so that higher is better.

    See :func:`tangent_kernel`. In training mode: under the running statistics of a fresh network activations saturate with
    depth, and the kernel then says little about the network (on NAS-Bench-201 it ranks much worse).

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: what stochastic modules would draw from.
        samples: how many of the inputs, from the first on, the kernel is of: a backward pass each.

    Raises:
        ProxyFailure: ``too_few_samples``; ``singular_kernel`` where the smallest eigenvalue is no more than rounding; those
            of :func:`tangent_kernel`.
    """
    batch = inputs[:samples]
    if len(batch) < 2:
        raise ProxyFailure("too_few_samples", f"a condition number needs at least 2 samples, got {len(batch)}")
    values = torch.linalg.eigvalsh(tangent_kernel(module, batch, seed=seed))
    smallest, largest = float(values[0]), float(values[-1])
    if not smallest > largest * len(batch) * 2.0**-24:
        raise ProxyFailure(
            "singular_kernel", f"the smallest of {len(batch)} eigenvalues is {smallest:.3g}, the largest {largest:.3g}"
        )
    return -largest / smallest


def tangent_kernel(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> Tensor:
    """Theta_ij = <g_i, g_j>, g_i the gradient of the sum of sample i's logits by the weights of convolution and linear layers.

    Training mode: one forward pass of the batch, whose statistics normalise, then a backward pass for each sample.

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: what stochastic modules would draw from.

    Returns:
        Shape ``(batch, batch)``, float64.

    Raises:
        ProxyFailure: ``no_layers``, ``no_weight``, ``constant_gradient``, ``non_finite``, ``batch_norm_one_value`` or
            ``output_shape``.
    """
    weights = list(weights_of(module, inputs).values())
    rows: list[list[Tensor]] = []
    with scoring(module, train=True, seed=seed), torch.enable_grad():
        for weight in weights:
            weight.requires_grad_(True)  # scoring puts the flags back
        logits = run(module, inputs)
        if not logits.requires_grad:
            raise ProxyFailure("constant_gradient", "the logits do not depend on any layer")
        for place in range(len(inputs)):
            keep = place + 1 < len(inputs)
            gradients = torch.autograd.grad(logits[place].sum(), weights, retain_graph=keep, allow_unused=True)
            rows.append([gradient.flatten() for gradient in gradients if gradient is not None])
    with exact_arithmetic():
        return _products(rows, inputs)


def _products(rows: list[list[Tensor]], inputs: Tensor) -> Tensor:
    kernel = torch.zeros(len(inputs), len(inputs), dtype=torch.float64, device=inputs.device)
    for layer in zip(*rows, strict=True):
        matrix = torch.stack(layer)
        # A common scale first: the squares of large gradients overflow float32.
        scale = float(matrix.abs().max())
        if not math.isfinite(scale):
            raise ProxyFailure("non_finite", "the gradients hold NaN or infinity")
        if scale > 0:
            matrix = matrix / scale
            kernel += (matrix @ matrix.T).double() * scale**2
    return kernel
