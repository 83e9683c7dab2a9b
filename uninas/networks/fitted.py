"""A preset at the widths and depths that fill a budget best: what a network that was found has to be compared with.

    fitted("efficientnet", {"params": 600_000, "macs": 13_000_000}, classes=10, input_size=(64, 64))

A budget of parameters and one of MACs pull apart: late stages cost parameters, early ones MACs. So from the preset's own widths,
scaled until they fit, one or two widths at a time are changed by a step as long as the less filled of the two bounds is filled
better. At widths 8 16 24 32 a step may lead to 16 16 24 32, to 8 16 24 40, or to 8 24 24 24.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import permutations

from uninas.analysis.cost import cost
from uninas.errors import InputError
from uninas.graph import Architecture
from uninas.networks.catalogue import preset
from uninas.networks.presets import PRESETS

__all__ = ["fitted"]

_DEPTHS = ((1, 1, 1, 1), (1, 1, 2, 1), (1, 2, 2, 1), (1, 2, 3, 1), (2, 2, 3, 2), (2, 3, 5, 2), (3, 4, 6, 3))
_STEMS = ((8, 16), (16, 32), (32, 64))
_STEPS = {"T": 32}  # of attention's heads; other blocks take any multiple of 8
_SMALLEST = 1 / 16  # of a preset's own widths
_WELL = 0.95  # filled: more is no reason for other proportions


def fitted(name: str, bounds: Mapping[str, int], *, classes: int, input_size: tuple[int, int]) -> Architecture:
    """Give the preset whose depths, stem and widths fill the bounds best.

    Args:
        name: of `PRESETS`.
        bounds: inclusive upper bounds, of "params" and "macs" at least; others, such as "layers", are kept, not filled.
        classes: outputs.
        input_size: (H, W) in pixels at which costs are counted.

    Raises:
        InputError: no such preset, or none so small.
    """
    if name not in PRESETS:
        raise InputError(f"expected a preset ({', '.join(PRESETS)}); got {name!r}")
    return _best(name, tuple(bounds.items()), classes, input_size)


@lru_cache(maxsize=32)
def _best(name: str, bounds: tuple[tuple[str, int], ...], classes: int, input_size: tuple[int, int]) -> Architecture:
    """Do what `fitted` does, once for each budget: half a second and more."""
    fits = _Fits(name, bounds, classes, input_size)
    found = [end for depths in _DEPTHS for stem in _STEMS if (end := fits.climb(depths, stem)) is not None]
    if not found:
        wanted = ", ".join(f"{key} {value:,}" for key, value in bounds)
        raise InputError(f"preset {name}: expected a budget that its smallest widths are within; got {wanted}")
    usual = PRESETS[name][0]
    _, depths, stem, widths = max(found, key=lambda end: (min(end[0][0], _WELL), -_distortion(end[3], usual), end[0][1]))
    return preset(name, widths=widths, depths=depths, stem=stem, classes=classes, input_size=input_size)


def _distortion(widths: Sequence[int], usual: Sequence[int]) -> float:
    """Say how unlike the proportions of the usual widths these are: the deviation of the logarithms of their ratios."""
    return statistics.pstdev(math.log(width / own) for width, own in zip(widths, usual, strict=True))


class _Fits:
    """How well the widths of a preset fill the bounds."""

    def __init__(self, name: str, bounds: tuple[tuple[str, int], ...], classes: int, input_size: tuple[int, int]) -> None:
        usual, letters = PRESETS[name]
        self._name, self._bounds, self._classes, self._input_size = name, bounds, classes, input_size
        self._usual = usual
        self._steps = tuple(_STEPS.get(letter, 8) for letter in letters)
        self.filled = cache(self._filled)

    def _filled(self, depths: tuple[int, ...], stem: tuple[int, int], widths: tuple[int, ...]) -> tuple[float, float]:
        """Give which share of the less filled bound is filled, then the sum of both; negative where one is exceeded."""
        made = preset(self._name, widths=widths, depths=depths, stem=stem, classes=self._classes, input_size=self._input_size)
        costs = cost(made).as_dict()
        if any(costs[name] > bound for name, bound in self._bounds):
            return (-1.0, -1.0)
        shares = [costs[name] / bound for name, bound in self._bounds if name in ("params", "macs")]
        return (min(shares), sum(shares))

    def climb(
        self, depths: tuple[int, ...], stem: tuple[int, int]
    ) -> tuple[tuple[float, float], tuple[int, ...], tuple[int, int], tuple[int, ...]] | None:
        """Give the best widths of these depths behind this stem, how well they fill before them; None where none fits."""
        scale, widths = 1.0, self._scaled(1.0)
        while (here := self.filled(depths, stem, widths)) < (0.0, 0.0):
            scale *= 0.9
            if scale < _SMALLEST:
                return None
            widths = self._scaled(scale)
        while True:
            better, moved = max((self.filled(depths, stem, near), near) for near in self._near(widths))
            if better <= here:
                return here, depths, stem, widths
            here, widths = better, moved

    def _scaled(self, scale: float) -> tuple[int, ...]:
        return tuple(
            max(step, math.floor(width * scale / step) * step) for width, step in zip(self._usual, self._steps, strict=True)
        )

    def _near(self, widths: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Give widths with one more or less by a step, or with one more and another less."""
        places = range(len(widths))
        changes = [{place: sign} for place in places for sign in (1, -1)]
        changes += [{more: 1, less: -1} for more, less in permutations(places, 2)]
        for change in changes:
            made = tuple(width + change.get(place, 0) * self._steps[place] for place, width in enumerate(widths))
            if min(made) > 0:
                yield made
