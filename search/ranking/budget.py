"""What scores say of accuracy beyond what networks cost: Spearman's correlation with parameters and MACs taken out.

held = Held((params, macs), accuracies, resamples=300, seed=0)
held.estimate(scores)                                   Estimate(value, low, high)

A search compares networks of one budget. A score that only orders by size ranks a free population well, and is worth nothing
there. Of ranks, and not of Kendall's tau as T-CET's equation 1: that leaves .19 of a score which is nothing but size and noise
(accuracy = size + noise, both noises half of size's spread), this leaves less than .02 of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from search.ranking.correlation import Estimate, Floats, Numbers, interval, prepared, spearman_rows

_CHUNK = 2_000_000
"""Entries of one table of resamples: bounds the memory to some tens of megabytes."""

_NONE_LEFT = 1e-9
"""Variation below this is none: the score, or the accuracy, is what was taken out, to rounding."""


@final
class Held:
    """Accuracies and what is held equal, with bootstrap resamples that all scores share.

    The partial rank correlation: with rho between score x, accuracy y and controls Z,
    (xy - xZ ZZ⁺ Zy) / sqrt((1 - xZ ZZ⁺ Zx) (1 - yZ ZZ⁺ Zy)), which for one control is T-CET's equation 1 with rho for tau.
    Controls that order alike count once, through the pseudoinverse; one that is equal for all networks is left out.

    Args:
        controls: scores that are held equal; failures rank lowest.
        accuracies: in percent, n finite numbers.
        resamples: of the bootstrap.
        seed: of its draws.

    Raises:
        InputError: fewer than 2 networks, or accuracies that are no numbers.
    """

    def __init__(self, controls: Sequence[Numbers], accuracies: Numbers, *, resamples: int, seed: int) -> None:
        columns = [prepared("spearman", control, accuracies)[0] for control in controls]
        self._controls = [column for column in columns if column.max() > 0]
        self._accuracies = accuracies
        self._truth = prepared("spearman", accuracies, accuracies)[1]
        count = len(self._truth)
        draws = np.random.default_rng([seed, 3]).integers(0, count, (resamples, count), dtype=np.int32)
        self._rows = np.concatenate([np.arange(count, dtype=np.int32)[None], draws])  # the first is the population itself
        self._between = np.array([[self._rhos(one, other) for other in self._controls] for one in self._controls])
        self._with_truth = np.array([self._rhos(control, self._truth) for control in self._controls])

    def values(self, scores: Numbers) -> Floats:
        """Give the partial correlation of the population and of each resample; NaN where nothing is left to correlate."""
        column = prepared("spearman", scores, self._accuracies)[0]
        direct = self._rhos(column, self._truth)
        if not self._controls:
            return direct
        ours = np.array([self._rhos(column, control) for control in self._controls])
        known = np.isfinite(direct) & np.isfinite(ours).all(0) & np.isfinite(self._with_truth).all(0)
        known &= np.isfinite(self._between).all((0, 1))
        inverse = np.linalg.pinv(self._between[:, :, known].transpose(2, 0, 1), rcond=_NONE_LEFT, hermitian=True)
        x, y = ours[:, known].T, self._with_truth[:, known].T

        def explained(one: Floats, other: Floats) -> Floats:
            found: Floats = np.einsum("ri,rij,rj->r", one, inverse, other)
            return found

        left = np.stack([1 - explained(x, x), 1 - explained(y, y)])
        below = np.where((left > _NONE_LEFT).all(0), np.sqrt(np.clip(left, 0, None).prod(0)), np.nan)
        made = np.full(len(direct), np.nan)
        made[known] = (direct[known] - explained(x, y)) / below
        return made

    def estimate(self, scores: Numbers) -> Estimate:
        """Give the partial correlation with its bootstrap interval; NaN where it does not exist."""
        value, *resampled = self.values(scores)
        return interval(float(value), np.array(resampled))

    def _rhos(self, one: NDArray[Any], other: NDArray[Any]) -> Floats:
        """Give Spearman's rho of the population and of each resample."""
        step = max(1, _CHUNK // len(one))
        chunks = [self._rows[start : start + step] for start in range(0, len(self._rows), step)]
        return np.concatenate([spearman_rows(one[rows], other[rows]) for rows in chunks])
