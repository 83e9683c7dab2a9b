"""Expressivity and progressivity (AZ-NAS): how evenly each block spreads its features, and how that grows with depth."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from .blocks import channels_last, watch_blocks
from .errors import ProxyFailure
from .shared import shared
from .state import run, scoring

__all__ = ["block_entropies", "expressivity", "feature_entropy", "progressivity"]

EPSILON = 1e-8


def expressivity(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Sum of the blocks' feature entropies, in nats. Failures are those of :func:`block_entropies`."""
    return float(sum(block_entropies(module, inputs, seed=seed)))


def progressivity(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """The smallest difference between the feature entropies of one block and the block before it.

    Raises:
        ProxyFailure: ``too_few_blocks`` with fewer than two; and the failures of :func:`block_entropies`.
    """
    entropies = block_entropies(module, inputs, seed=seed)
    if len(entropies) < 2:
        raise ProxyFailure("too_few_blocks", f"differences need at least 2 blocks, the network ran {len(entropies)}")
    return min(after - before for before, after in pairwise(entropies))


@shared
def block_entropies(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> tuple[float, ...]:
    """Feature entropy of each block's output, in the order of execution; training mode, so batch statistics normalise.

    Args:
        module: any network; see :func:`proxies.block_outputs` for its blocks. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: what stochastic modules would draw from.

    Raises:
        ProxyFailure: ``no_blocks``, ``block_signature``, ``block_shape``, ``constant_features``, ``non_finite``,
            ``batch_norm_one_value`` or ``output_shape``.
    """
    entropies: list[float] = []
    output_format = getattr(module, "output_fmt", "NCHW")

    def leave(name: str, feature: Tensor) -> None:
        # At once, not after the pass: later work in place would change the map, and keeping all maps costs memory.
        entropies.append(feature_entropy(channels_last(name, feature, str(output_format)), name))

    with scoring(module, train=True, seed=seed), torch.no_grad(), watch_blocks(module, lambda *_: None, leave):
        run(module, inputs)
    if not entropies:
        raise ProxyFailure("no_blocks", f"{type(module).__name__} called none of its blocks")
    return tuple(entropies)


def feature_entropy(feature: Tensor, name: str = "features") -> float:
    """-sum_i q_i ln(q_i + 1e-8), q the eigenvalues, as shares, of the covariance between channels over all positions.

    Args:
        feature: channels last, shape ``(batch, *positions, channels)``.
        name: what to call the map in a failure.

    Raises:
        ProxyFailure: ``non_finite``; ``constant_features``: every channel is constant, there is no covariance.
    """
    rows = feature.flatten(0, -2)
    mean = rows.mean(dim=0, dtype=torch.float64)
    if not bool(torch.isfinite(mean).all()):
        raise ProxyFailure("non_finite", f"the output of block {name!r} holds NaN or infinity")
    positions, channels = rows.shape
    covariance = torch.zeros(min(positions, channels), min(positions, channels), dtype=torch.float64, device=rows.device)
    if positions < channels:
        # The matrix between positions has the same eigenvalues but for zeros, which add nothing to the entropy.
        centred = rows.to(torch.float64) - mean
        covariance = centred @ centred.T
    else:
        for part in torch.split(rows, max(1, 2**21 // channels)):  # a float64 copy of the whole map would double its memory
            centred = part.to(torch.float64) - mean
            covariance.addmm_(centred.T, centred)
    if not bool(torch.isfinite(covariance).all()):
        raise ProxyFailure("non_finite", f"the covariance of block {name!r} overflows")
    values = torch.linalg.eigvalsh(covariance).clamp_min(0.0)
    total = values.sum()
    # Rounding leaves about 1e-16 of the squared mean in a constant channel: no variance, but not exactly zero either.
    floor = positions * 1e-26 * float(rows.abs().max()) ** 2
    if not bool(total > floor):
        raise ProxyFailure("constant_features", f"the output of block {name!r} does not vary over positions")
    shares = values / total
    return float(-(shares * (shares + EPSILON).log()).sum())
