"""A second seed for some networks of a plan: how far scores can be trusted, see `search.ranking.reliability`.

    plan = with_second_seed(plan, indices)      the same plan, and these networks are scored under another seed too
    second("vkdnw")                             the label of that score in the journal, first(..) the way back

Weights, noise and every other draw are of the second seed; real images are those of the first, whose batch the run was given.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from search.algorithms import derive
from search.bench.scoring.plan import ScoringPlan

_MARK = "#2"  # no name of a proxy holds it


def second(label: str) -> str:
    """Give the label of a score under the second seed."""
    return label + _MARK


def first(label: str) -> str:
    """Give the label without regard to the seed."""
    return label.removesuffix(_MARK)


def with_second_seed(plan: ScoringPlan, networks: Collection[int]) -> ScoringPlan:
    """Score also under a second seed.

    Args:
        plan: of the first seed.
        networks: by their indices.
    """
    setups = {second(name): replace(setup, seed=derive(setup.seed, "reliability")) for name, setup in plan.setups.items()}
    requests = {second(label): replace(request, setup=second(request.setup)) for label, request in plan.requests.items()}
    return replace(
        plan,
        setups={**plan.setups, **setups},
        requests={**plan.requests, **requests},
        limited={**plan.limited, **dict.fromkeys(requests, frozenset(networks))},
    )
