"""Feature entropy (AZ-NAS): how evenly a map spreads over the directions of its channels."""

from __future__ import annotations

import torch
from torch import Tensor

from proxies.errors import ProxyFailure

__all__ = ["feature_entropy"]

EPSILON = 1e-8


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
