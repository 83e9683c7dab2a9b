"""Proxies that count: parameters, multiply-accumulates, layers. They see the structure and no values."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from proxies.measuring.layers import scoring_layers
from proxies.measuring.meter import Meter
from proxies.measuring.shared import shared
from proxies.measuring.state import run, scoring

__all__ = ["aleph", "flops", "params"]


def params(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Number of parameters, each shared one once. Batch and seed are not used."""
    return float(sum(parameter.numel() for parameter in module.parameters()))


@shared
def flops(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Multiply-accumulates (MACs) of one sample's forward pass; the literature's name for the proxy is kept.

    Counted are convolutions (grouped ones as what they multiply) and matrix products, as they execute: linear layers,
    matmul, bmm, einsum, and both products of scaled_dot_product_attention. One FLOP count of the usual kind is twice this.

    Raises:
        ProxyFailure: ``output_shape``.
    """
    meter = Meter()
    with scoring(module, train=False, seed=seed), torch.no_grad(), sdpa_kernel(SDPBackend.MATH), meter:
        run(module, inputs[:1])  # the fused attention kernels of some devices are no sum of products to the counter
    return float(meter.macs)


@shared
def aleph(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Number of convolution and linear layers: the length of :func:`proxies.scoring_layers`."""
    return float(len(scoring_layers(module, inputs)))
