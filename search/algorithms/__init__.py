"""Search algorithms, pure: no torch, no Ray, no architecture. They meet a space only through `search.algorithms.candidate.Space`.

run = make("walk", space, objective, seed=0, window=1)
while True:
    proposal = run.ask()
    run.tell(proposal.index, score(proposal.candidate))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.algorithms.aging import AgingEvolution
from search.algorithms.asktell import AskTell, OrderError, Proposal, Reported, SpaceExhaustedError, Strategy, derive
from search.algorithms.candidate import Space
from search.algorithms.evolution import Evolution
from search.algorithms.independent import Independent
from search.algorithms.pareto import Pareto
from search.algorithms.walk import Walk
from search.ranking.objective import Objective

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "AskTell",
    "OrderError",
    "Proposal",
    "Reported",
    "SpaceExhaustedError",
    "Strategy",
    "derive",
    "make",
]


@dataclass(frozen=True)
class Algorithm:
    """A known algorithm: how to make it, its default window, its options with their defaults.

    An option is a whole number, at least 1, or at least 0 where 0 is the default; or a share from 0 to 1 where that is a float.
    `objectives` are the default ones of a multi-objective algorithm, which is made with them as one more option; any other
    algorithm has none.
    """

    make: Callable[[Space, Objective, Mapping[str, Any]], Strategy]
    window: int
    options: Mapping[str, int | float] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()


ALGORITHMS: dict[str, Algorithm] = {
    "random": Algorithm(lambda space, objective, options: Independent(space), 128),
    "walk": Algorithm(lambda space, objective, options: Walk(space, objective), 1),
    "evolution": Algorithm(
        lambda space, objective, options: Evolution(space, objective, **options),
        128,
        {"population": 1024, "crossover": 0.0, "niche": 0},
    ),
    "aging_evolution": Algorithm(
        lambda space, objective, options: AgingEvolution(space, objective, **options),
        128,
        {"population": 100, "tournament": 25, "crossover": 0.0},
    ),
    "pareto": Algorithm(
        lambda space, objective, options: Pareto(space, objective, **options),
        128,
        {"population": 128, "crossover": 0.0},
        ("score", "params", "macs"),
    ),
}
"""Every algorithm by the name a configuration gives it."""


def make(
    name: str,
    space: Space,
    objective: Objective,
    *,
    seed: int,
    phase: str = "search",
    window: int | None = None,
    order: str = "ask",
    options: Mapping[str, int | float] | None = None,
    objectives: Sequence[str] | None = None,
    tries: int = 10_000,
) -> AskTell:
    """Make one run of the algorithm `name`. See `AskTell` for the arguments; `options` and `objectives` replace the defaults."""
    algorithm = ALGORITHMS[name]
    chosen: dict[str, Any] = {**algorithm.options, **(options or {})}
    if algorithm.objectives:
        chosen["objectives"] = tuple(objectives or algorithm.objectives)
    elif objectives:
        raise ValueError(f"objectives: expected none beside {name}, which has one objective; got {', '.join(objectives)}")
    strategy = algorithm.make(space, objective, chosen)
    return AskTell(
        strategy,
        objective,
        seed=seed,
        phase=phase,
        window=algorithm.window if window is None else window,
        order=order,
        tries=tries,
    )
