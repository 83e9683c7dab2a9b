"""Scores that follow from an architecture alone, its cost or the shapes of its weights: nothing is built, no weight is drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import uninas
from proxies.formulas.matrices import WeightMatrix, depth_entropy, spectral_capacity
from uninas.analysis.matrices import weight_matrices

COSTS: Mapping[str, str] = {"params": "params", "flops": "macs", "aleph": "layers"}
"""What each proxy that counts is called among the costs of an architecture. They are equal, see the tests of both."""

SHAPES: Mapping[str, Callable[[Sequence[WeightMatrix]], float]] = {"nsc": spectral_capacity, "entropy": depth_entropy}
"""Which function of the weight matrices each proxy of shapes is. Those of a module and of its architecture are equal, too."""

COUNTS = (*COSTS, *SHAPES)
"""The scores that need no network."""


def only_counts(names: Collection[str]) -> bool:
    """Whether no score of some needs a network."""
    return bool(names) and all(name in COUNTS for name in names)


def counted(
    architecture: uninas.Architecture, names: Collection[str], *, size: tuple[int, int], classes: int
) -> dict[str, float]:
    """Give these scores, those that need no network, of an architecture as it is written.

    Raises:
        GraphError: it is ill-typed.
    """
    cost = uninas.cost(architecture, size, classes) if COSTS.keys() & set(names) else None
    shapes = [name for name in names if name in SHAPES]
    matrices = [WeightMatrix(*matrix) for matrix in weight_matrices(architecture, size)] if shapes else []
    found: dict[str, float] = {}
    for name in names:
        if name in SHAPES:
            found[name] = SHAPES[name](matrices)
        elif cost is not None and name in COSTS:
            found[name] = float(getattr(cost, COSTS[name]))
    return found
