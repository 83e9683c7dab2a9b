"""T-CET's Table 1: what a combination of two scores keeps of its parts, accuracy taken out, as printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from search.bench.judging.papers import DATASETS


@dataclass(frozen=True, slots=True)
class RankAverage:
    """A column of T-CET's Table 1: how much of its parts X and Y = lnwot a combination A keeps, accuracy taken out.

    Attributes:
        combination: "rank_average" or "t_cet".
        saliency: X: "ssnr_synflow" or "ssnr_snip".
        with_saliency, with_lnwot: dataset -> partial correlation of A with X, and with Y.
    """

    combination: str
    saliency: str
    with_saliency: Mapping[str, float] = field(default_factory=dict)
    with_lnwot: Mapping[str, float] = field(default_factory=dict)


def _column(combination: str, saliency: str, x: tuple[float, ...], y: tuple[float, ...]) -> RankAverage:
    return RankAverage(combination, saliency, dict(zip(DATASETS, x, strict=True)), dict(zip(DATASETS, y, strict=True)))


COMBINATIONS: tuple[RankAverage, ...] = (
    _column("rank_average", "ssnr_synflow", (0.80, 0.80, 0.80), (0.80, 0.80, 0.80)),
    _column("rank_average", "ssnr_snip", (0.79, 0.79, 0.79), (0.80, 0.80, 0.79)),
    _column("t_cet", "ssnr_synflow", (0.87, 0.87, 0.81), (0.62, 0.61, 0.57)),
    _column("t_cet", "ssnr_snip", (0.94, 0.94, 0.89), (0.59, 0.59, 0.58)),
)
"""T-CET's Table 1 (partial correlation by Kendall's tau, equation 1). Its Figure 1 prints no numbers in the text: the partial
correlations of ZiCo, SynFlow and NASWOT on NAS-Bench-201, and of a larger set with the proxies of the paper."""
