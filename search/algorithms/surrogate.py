"""A cheap model of what candidates score: a Gaussian process over numbers that describe them.

    model = Surrogate()
    model.fit(features, values)                   n x d, n
    mean, deviation = model.predict(others)       m x d; both m long

The values are ranks, turned into quantiles of the normal distribution: how skewed scores are, and in which unit, does not
matter, and a failure is the lowest rank. Noise is part of the model: the mean at a candidate that has been scored is what it and
its like scored, not its own luck.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from search.ranking.ranks import Floats, ranks

LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""How far a score carries, in typical distances of two candidates that differ in everything."""

NOISES = (0.01, 0.1, 0.3, 1.0)
"""Variance of the luck of one scoring, as a share of the variance that belongs to the networks."""

DIGITS = 6
"""Predictions are rounded to so many: what machines differ by in the last ones must not decide what is scored next."""


@final
class Surrogate:
    """A Gaussian process with a Matern kernel (nu 5/2) over standardised features, one length for all of them.

    Length and noise are those of `LENGTHS` and `NOISES` with the largest marginal likelihood (Rasmussen and Williams, 2006,
    section 5.4.1): a search between them could end elsewhere on another machine. Features that do not vary are left out.
    """

    def __init__(self) -> None:
        self._kept: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._centre: Floats = np.zeros(0)
        self._scale: Floats = np.zeros(0)
        self._process: Any = None
        self._chosen: tuple[float, float] | None = None

    def fit(self, features: Floats, values: Floats, *, anew: bool = True) -> None:
        """Learn from n candidates.

        Args:
            features: n x d, finite.
            values: n, see `normal_scores`.
            anew: choose length and noise anew, else keep those of before.
        """
        deviation = features.std(axis=0)
        self._kept = deviation > 1e-9
        self._centre, self._scale = features.mean(axis=0)[self._kept], deviation[self._kept]
        standard = self._standard(features)
        tried = [self._chosen] if self._chosen is not None and not anew else [(a, b) for a in LENGTHS for b in NOISES]
        with _one_thread():
            fitted = [(pair, _process(pair, standard, values)) for pair in tried]
        self._chosen, self._process = max(fitted, key=lambda found: round(found[1].log_marginal_likelihood_value_, DIGITS))

    def mean(self, features: Floats) -> Floats:
        """Give the mean of m candidates, rounded to `DIGITS`."""
        with _one_thread():
            mean: Floats = self._process.predict(self._standard(features))
        return np.round(mean, DIGITS)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Give the mean and the standard deviation of m candidates, rounded to `DIGITS`.

        The deviation is of what the network is worth, without the luck of a scoring.
        """
        with _one_thread():
            mean, deviation = self._process.predict(self._standard(features), return_std=True)
        assert self._chosen is not None
        own = np.sqrt(np.maximum(deviation**2 - self._chosen[1], 0.0))
        return np.round(mean, DIGITS), np.round(own, DIGITS)

    def _standard(self, features: Floats) -> Floats:
        found: Floats = (features[:, self._kept] - self._centre) / self._scale
        return found if found.shape[1] else np.zeros((len(found), 1))  # candidates that are all alike


def _process(pair: tuple[float, float], features: Floats, values: Floats) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor  # half a second that other algorithms do not need
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    length, noise = pair
    reach = length * math.sqrt(features.shape[1])
    kernel = Matern(length_scale=reach, nu=2.5) + WhiteKernel(noise_level=noise)
    process = GaussianProcessRegressor(kernel, alpha=1e-9, optimizer=None)
    return process.fit(features, values)


def _one_thread() -> Any:
    """Have the linear algebra in one thread: its sums are then the same anywhere, and workers beside it keep their cores."""
    return _threads().limit(limits=1)


@cache
def _threads() -> Any:
    import sklearn.gaussian_process  # noqa: F401 what it brings is to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # it looks through the libraries of the process, which takes ten milliseconds


def normal_scores(values: Sequence[float] | Floats) -> Floats:
    """Turn n values, higher is better, into quantiles of the normal distribution by their ranks; ties share one."""
    found: Floats = special.ndtri((ranks(values) - 0.5) / len(values))
    return found
