"""The bounds that a budget sets on what is counted of a network."""

from __future__ import annotations

from collections.abc import Mapping

from search.algorithms.candidate import Candidate, Rejected
from search.config.schema import BudgetConfig
from uninas.errors import InputError
from uninas.rejections import OVER_BUDGET

BUDGETED = tuple(OVER_BUDGET)
"""Costs that a budget may bound."""


def bounds_of(budget: BudgetConfig) -> dict[str, int]:
    """Give the upper bounds that are set, by the name of the cost."""
    return {name: bound for name in BUDGETED if (bound := getattr(budget, name)) is not None}


def within(candidate: Candidate, bounds: Mapping[str, int]) -> Candidate | Rejected:
    """Pass a candidate on, or reject it for the first bound that it breaks."""
    breach = next((name for name, bound in bounds.items() if candidate.cost[name] > bound), None)
    return candidate if breach is None else Rejected(OVER_BUDGET[breach])


def check_within(start: Candidate, bounds: Mapping[str, int], name: str) -> None:
    """Raise InputError for a start that is over one of the bounds; `name` is how the message calls it."""
    breaches = [
        f"{key} {start.cost[key]:,} > {bound:,} (by {start.cost[key] - bound:,})"
        for key, bound in bounds.items()
        if start.cost[key] > bound
    ]
    if breaches:
        raise InputError(f"{name}: expected a start within the budget; {', '.join(breaches)}: narrow it or raise the budget")
