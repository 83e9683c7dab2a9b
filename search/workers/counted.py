"""Scores that are counts follow from an architecture's exact cost: nothing is built for them, and no weight is drawn."""

from __future__ import annotations

from collections.abc import Collection

import uninas

COUNTS = {"params": "params", "flops": "macs", "aleph": "layers"}
"""What each proxy that counts is called among the costs of an architecture. They are equal, see the tests of both."""


def only_counts(names: Collection[str]) -> bool:
    """Whether all of some scores are counts."""
    return bool(names) and all(name in COUNTS for name in names)


def counted(
    architecture: uninas.Architecture, names: Collection[str], *, size: tuple[int, int], classes: int
) -> dict[str, float]:
    """Give these scores, those that are counts, of an architecture as it is written.

    Raises:
        GraphError: it is ill-typed.
    """
    cost = uninas.cost(architecture, size, classes)
    return {name: float(getattr(cost, COUNTS[name])) for name in names if name in COUNTS}
