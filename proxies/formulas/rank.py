"""How many rows a Fisher matrix must be made of, so that the deciles of its spectrum are more than rounding. Without torch."""

from __future__ import annotations

__all__ = ["MINIMUM_WEIGHTS", "WEIGHTS", "batch_needed", "rows_needed", "rows_of"]

MINIMUM_WEIGHTS = 10
"""Fewer chosen weights, and nine deciles repeat each other: one weight alone would score the maximum."""

WEIGHTS = 128
"""The layers that give a weight, where a network has as many."""


def rows_of(batch: int, classes: int, probes: int | None = None) -> int:
    """The largest rank of F = mean_n J_n^T (diag(p_n) - p_n p_n^T) J_n: a sample adds C - 1, since the rows of its factor depend.

    With `probes`, k random combinations of those rows stand for them.
    """
    return batch * min(classes - 1, classes if probes is None else probes)


def rows_needed(weights: int) -> int:
    """The least rank with which two deciles of the spectrum of that many weights can be above 0.

    F has `weights` eigenvalues, of which all above its rank are 0. The decile 0.8 lies between the places floor and ceil of
    0.8 (weights - 1), from the smallest on. Where that is 0 one decile at most is left, its share is 1 and its entropy that of
    rounding.
    """
    return max(2, weights - -(-8 * (weights - 1) // 10)) if weights > 1 else 1


def batch_needed(weights: int, classes: int, probes: int | None = None) -> int:
    """The smallest batch with so much rank, for two classes at least."""
    return -(-rows_needed(weights) // rows_of(1, classes, probes))
