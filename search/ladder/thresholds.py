"""How much is enough to go on from a rung: a share of those that came so far, by the results that an ask may see.

    thresholds([{"rung 1": 5.0}, ..], [0.5, 0.25])       [the median of rung 1, the upper quartile of rung 2]

An ask sees the same results however many workers there are, so its thresholds are the same. Of the values 1 2 3 4, a share of a
half goes on with at least 3; of 1 2 3 3, with at least 3 too; until an ask sees `LEAST` on a rung, everybody goes on. Only the
`RECENT` last count: a search gets better, and what was good among its first candidates is not later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

LEAST = 8
"""So many values on a rung before any candidate is stopped there."""

RECENT = 64
"""Of how many values on a rung, the last ones, a share goes on."""


def name_of(number: int) -> str:
    """Name the score of a rung, from 1 on, among those of a candidate."""
    return f"rung {number}"


def thresholds(results: Iterable[Mapping[str, float]], shares: Sequence[float]) -> list[float | None]:
    """Give for each rung the least value that goes on; None where any does.

    Args:
        results: scores of those that the ask may see, latest first.
        shares: by rung, what share of those that come to it is to go on, between 0 and 1.
    """
    names = [name_of(number) for number in range(1, len(shares) + 1)]
    values: dict[str, list[float]] = {name: [] for name in names}
    for scores in results:
        for name in names:
            if name in scores and len(values[name]) < RECENT:
                values[name].append(scores[name])
        if all(len(one) == RECENT for one in values.values()):
            break
    return [_least(sorted(values[name], reverse=True), share) for name, share in zip(names, shares, strict=True)]


def _least(ordered: Sequence[float], share: float) -> float | None:
    """Give the value of the last that goes on, of values in falling order."""
    if len(ordered) < LEAST:
        return None
    return ordered[max(1, math.floor(share * len(ordered) + 1e-9)) - 1]
