"""VKDNW: the entropy of the deciles of a network's Fisher spectrum (CVPR 2025).

``weights`` chooses theta, ``survey`` and ``modes`` choose between reverse and forward mode, which ``reverse`` and ``forward``
implement, ``spectrum`` is the algebra, ``fisher`` puts them together.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from proxies.table import TABLE
from proxies.vkdnw.fisher import FisherSpectrum, fisher_jacobian, fisher_spectrum

__all__ = ["FisherSpectrum", "fisher_jacobian", "fisher_spectrum", "vkdnw", "vkdnw_norms", "vkdnw_single"]


def vkdnw(module: nn.Module, inputs: Tensor, *, seed: int = 0, **options: Any) -> float:
    """VKDNW (eq. 11): the entropy in nats, in [0, ln 9]. Options and failures are those of :func:`fisher_spectrum`."""
    return fisher_spectrum(module, inputs, seed=seed, **options).entropy


def vkdnw_norms(module: nn.Module, inputs: Tensor, *, seed: int = 0, **options: Any) -> float:
    """VKDNW over an entry of every parameter tensor, norms and biases among them, as the paper's published code has it.

    Options and failures are those of :func:`fisher_spectrum`, with ``tensors="all"``.
    """
    return fisher_spectrum(module, inputs, seed=seed, **{**(TABLE["vkdnw_norms"].spectrum or {}), **options}).entropy


def vkdnw_single(module: nn.Module, inputs: Tensor, *, seed: int = 0, **options: Any) -> float:
    """aleph + VKDNW / ln 9 (eq. 12, meant lexicographically): layers first, the entropy in [0, 1] orders equals.

    Dividing by the entropy's maximum keeps it from overtaking a whole layer. Options and failures are those of
    :func:`fisher_spectrum`.
    """
    spectrum = fisher_spectrum(module, inputs, seed=seed, **options)
    return spectrum.aleph + spectrum.entropy / math.log(9)
