"""How far the channels of a network's feature maps are from being copies of each other: MeCo and Dextr."""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.circle_pass import circle_pass
from proxies.measuring.seeds import generator

__all__ = ["dextr", "least_correlation", "meco", "meco_opt", "total_turning"]

CHANNELS = 8
"""Channels that `meco_opt` looks at of a map."""


def meco(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """MeCo (Jiang et al., NeurIPS 2023): the sum over feature maps of the smallest eigenvalue of their channels' correlations.

    A map is the result of a convolution, linear or norm layer for one random sample, channels by positions; correlations are
    Pearson's, over positions. See :func:`least_correlation` for maps without correlations, and
    :mod:`proxies.measuring.circle_pass` for the sample and the mode. Linear layers count since a convolution of one pixel does.
    A norm over the channels of each position leaves them a sum of 0, and so nothing to add. (The authors' code reads the results
    of all modules, rectifiers, pools and whole blocks too: on 100 cells of NAS-Bench-201 rectifiers, pools and sums add .01 to
    Kendall's tau.)

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``; only the shape of a sample is used.
        seed: decides the sample.

    Raises:
        ProxyFailure: ``no_maps`` where no layer makes a map with positions; ``non_finite``, ``batch_norm_one_value``,
            ``output_shape``.
    """
    return sum(map(least_correlation, _maps(module, inputs, seed)))


def meco_opt(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """MeCo of eight channels of each map, drawn without replacement, times channels / 8 (the optimised MeCo of the same paper).

    The draw depends on the seed, the layer's name and the number of its call. A map of fewer channels is taken whole.
    Arguments and failures are those of :func:`meco`.
    """
    total = 0.0
    calls: Counter[str] = Counter()
    for name, values in _named_maps(module, inputs, seed):
        channels = len(values)
        calls[name] += 1
        if channels > CHANNELS:
            drawn = torch.randperm(channels, generator=generator(seed, "meco_opt", name, calls[name]))[:CHANNELS]
            values = values[drawn.to(values.device)]
        total += least_correlation(values) * channels / len(values)
    return total


def dextr(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Dextr (Asthana et al., TMLR 2025): A K / (A + K).

    A = ln(1 + sum over maps of their smallest / largest singular value), maps as those of :func:`meco`, not centred; a map of
    zeros adds nothing. K = ln(1 + total curvature of the logits along a circle of inputs): here the angles by which the polygon
    of the outputs turns, summed, see :func:`total_turning`, which needs no second derivative and is the same for outputs of any
    size. (The authors' code takes the curvature of ten random logits at a single point of the circle.)

    Arguments and failures are those of :func:`meco`; and ``constant_output`` where the logits do not move along the circle.
    """
    found = circle_pass(module, inputs, seed=seed)
    independence = math.log1p(sum(map(_evenness, _maps(module, inputs, seed))))
    curvature = math.log1p(total_turning(found.outputs))
    return independence * curvature / (independence + curvature) if independence + curvature > 0 else 0.0


def least_correlation(values: Tensor) -> float:
    """The smallest eigenvalue of the correlation matrix of a map's rows, float64, in [0, 1].

    It is 0 where rows are no fewer than positions, which leaves them linearly dependent, and where a row does not vary.

    Args:
        values: shape ``(channels, positions)``.
    """
    channels, positions = values.shape
    if channels >= positions:
        return 0.0
    centred = values.to(torch.float64)
    centred = centred - centred.mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    # Rounding leaves some 1e-7 of the mean in a constant row of float32: no variation, but not exactly zero either.
    if bool((norms <= 1e-6 * math.sqrt(positions) * values.abs().amax(dim=1, keepdim=True)).any()):
        return 0.0
    centred = centred / norms
    return min(1.0, max(0.0, float(torch.linalg.eigvalsh(centred @ centred.T)[0])))


def total_turning(curve: Tensor) -> float:
    """By how much a closed polygon turns, in radians: the sum of the angles between each side and the next; 2 pi if it is convex.

    Args:
        curve: its corners, shape ``(points, dimensions)``.

    Raises:
        ProxyFailure: ``constant_output`` where all sides have the length 0; a single one is left out.
    """
    sides = curve.roll(-1, 0) - curve
    lengths = sides.norm(dim=1)
    moving = lengths > 1e-12 * float(curve.abs().max())
    if int(moving.sum()) < 2:
        raise ProxyFailure("constant_output", "the logits do not move along a circle of inputs")
    sides = sides[moving] / lengths[moving, None]
    # atan2 of half sums and differences is exact near 0 and pi, where the cosine is not.
    others = sides.roll(-1, 0)
    return float((2.0 * torch.atan2((sides - others).norm(dim=1), (sides + others).norm(dim=1))).sum())


def _evenness(values: Tensor) -> float:
    """The smallest singular value as a share of the largest; 0 for a map of zeros."""
    rows = values.to(torch.float64)
    rows = rows if rows.shape[0] <= rows.shape[1] else rows.T
    squares = torch.linalg.eigvalsh(rows @ rows.T)
    largest = float(squares[-1])
    return math.sqrt(max(0.0, float(squares[0])) / largest) if largest > 0 else 0.0


def _maps(module: nn.Module, inputs: Tensor, seed: int) -> list[Tensor]:
    return [values for _, values in _named_maps(module, inputs, seed)]


def _named_maps(module: nn.Module, inputs: Tensor, seed: int) -> list[tuple[str, Tensor]]:
    maps = [(name, values) for name, values in circle_pass(module, inputs, seed=seed).maps if values.shape[1] > 1]
    if not maps:
        raise ProxyFailure("no_maps", "no convolution, linear or norm layer makes a map with more than one position")
    return maps
