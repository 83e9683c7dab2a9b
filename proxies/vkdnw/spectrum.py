"""From logits and Jacobians to the Fisher spectrum and its entropy, in float64 throughout."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from proxies.errors import ProxyFailure, ProxyUsageError

__all__ = ["FactorStack", "decile_entropy", "deciles", "factor_rows", "fisher_factor", "probabilities"]


def probabilities(logits: Tensor, smoothing: float) -> Tensor:
    """Softmax of the logits in float64, mixed with the uniform distribution.

    Args:
        logits: shape ``(samples, C)``.
        smoothing: alpha in [0, 1): p becomes (1 - alpha) p + alpha / C. At initialisation logits reach 1e6, softmax is
            one-hot and without smoothing almost nothing is left of the spectrum.

    Raises:
        ProxyUsageError: alpha out of range.
        ProxyFailure: ``non_finite``: a logit is NaN or infinite.
    """
    if not 0.0 <= smoothing < 1.0:
        raise ProxyUsageError(f"smoothing: expected a number in [0, 1), got {smoothing}")
    if not bool(torch.isfinite(logits).all()):
        raise ProxyFailure("non_finite", "the logits hold NaN or infinity")
    plain = torch.softmax(logits.to(torch.float64), dim=1)
    return (1.0 - smoothing) * plain + smoothing / logits.shape[1]


def fisher_factor(probability: Tensor, jacobian: Tensor) -> Tensor:
    """A_n = diag(sqrt(p_n)) (I - 1 p_n^T) J_n, so that A_n^T A_n = J_n^T (diag(p_n) - p_n p_n^T) J_n (VKDNW, eq. 9 and 10).

    Adding one common row to all rows of J_n changes nothing: differences between logits are enough.

    Args:
        probability: p, shape ``(samples, C)``, float64, rows that sum to 1.
        jacobian: J = d psi / d theta, shape ``(samples, C, P)``, float64.

    Returns:
        A, shape ``(samples, C, P)``.
    """
    centred = jacobian - torch.einsum("nc,ncp->np", probability, jacobian).unsqueeze(1)
    return probability.sqrt().unsqueeze(2) * centred


def factor_rows(probability: Tensor, combination: Tensor) -> Tensor:
    """Cotangents v with v^T J = r^T A for given combinations r of the rows of A_n.

    Args:
        probability: p, shape ``(samples, C)``.
        combination: r, shape ``(R, samples, C)``.

    Returns:
        v = r sqrt(p) - (sum_c r_c sqrt(p_c)) p, shape ``(R, samples, C)``.
    """
    weighted = combination * probability.sqrt()
    return weighted - weighted.sum(-1, keepdim=True) * probability


class FactorStack:
    """The rows of many A_n, folded into one P x P triangle.

    Each block is appended and the whole reduced by a QR decomposition, so memory does not grow with the batch, and
    singular values keep the accuracy they would have in one tall matrix (squaring them first would lose half of the digits).
    """

    def __init__(self, weights: int) -> None:
        self._triangle = torch.zeros(0, weights, dtype=torch.float64)
        self._samples = 0

    def add(self, factors: Tensor) -> None:
        """Append blocks of shape ``(samples, rows, P)``.

        Raises:
            ProxyFailure: ``non_finite``: an entry is NaN or infinite.
        """
        if not bool(torch.isfinite(factors).all()):
            raise ProxyFailure("non_finite", "the Jacobian of the logits holds NaN or infinity")
        self._samples += factors.shape[0]
        rows = factors.reshape(-1, factors.shape[-1])
        tall = torch.cat([self._triangle.to(rows.device), rows])
        self._triangle = torch.linalg.qr(tall, mode="r").R if len(tall) > tall.shape[1] else tall

    def eigenvalues(self) -> Tensor:
        """Eigenvalues of F = mean_n A_n^T A_n, ascending, P of them, float64 on the CPU."""
        singular = torch.linalg.svdvals(self._triangle.cpu())
        values = torch.zeros(self._triangle.shape[1], dtype=torch.float64)
        values[: len(singular)] = singular.square() / self._samples
        return values.flip(0)


def deciles(eigenvalues: Tensor) -> Tensor:
    """The quantiles 0.1, 0.2 .. 0.9 of a spectrum, linear between neighbours; shape ``(9,)``."""
    points = torch.arange(1, 10, dtype=torch.float64) / 10
    return torch.quantile(eigenvalues.to(torch.float64), points)


def decile_entropy(values: Tensor) -> float:
    """Entropy of the deciles as shares of their sum (VKDNW, eq. 11), in [0, ln 9]; the unit is the nat.

    Raises:
        ProxyFailure: ``zero_spectrum``: the deciles sum to 0 (or so close to it that shares have no meaning).
    """
    total = float(values.sum())
    if not total > 0.0 or not math.isfinite(1.0 / total):
        raise ProxyFailure("zero_spectrum", "the deciles of the Fisher spectrum sum to 0: no chosen weight moves the logits")
    shares = values / total
    return max(0.0, float(-torch.special.xlogy(shares, shares).sum()))
