"""Search algorithms, pure: no torch, no Ray, no architecture. They meet a space only through `search.candidate.Space`.

run = make("walk", space, objective, seed=0, window=1)
while True:
    proposal = run.ask()
    run.tell(proposal.index, score(proposal.candidate))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from search.algorithms.aging import AgingEvolution
from search.algorithms.asktell import AskTell, OrderError, Proposal, SpaceExhaustedError, Strategy, Told, derive
from search.algorithms.evolution import Evolution
from search.algorithms.independent import Independent
from search.algorithms.walk import Walk
from search.candidate import Space
from search.objective import Objective

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "AskTell",
    "OrderError",
    "Proposal",
    "SpaceExhaustedError",
    "Strategy",
    "Told",
    "derive",
    "make",
]


@dataclass(frozen=True)
class Algorithm:
    """A known algorithm: how to make it, its default window, its options with their defaults (whole numbers >= 1)."""

    make: Callable[[Space, Objective, Mapping[str, int]], Strategy]
    window: int
    options: Mapping[str, int] = field(default_factory=dict)


ALGORITHMS: dict[str, Algorithm] = {
    "random": Algorithm(lambda space, objective, options: Independent(space), 128),
    "walk": Algorithm(lambda space, objective, options: Walk(space, objective), 1),
    "evolution": Algorithm(lambda space, objective, options: Evolution(space, objective, **options), 128, {"population": 1024}),
    "aging_evolution": Algorithm(
        lambda space, objective, options: AgingEvolution(space, objective, **options),
        128,
        {"population": 100, "tournament": 25},
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
    options: Mapping[str, int] | None = None,
    tries: int = 10_000,
) -> AskTell:
    """Make one run of the algorithm `name`. See `AskTell` for the arguments; `options` replace the defaults."""
    algorithm = ALGORITHMS[name]
    strategy = algorithm.make(space, objective, {**algorithm.options, **(options or {})})
    return AskTell(
        strategy,
        objective,
        seed=seed,
        phase=phase,
        window=algorithm.window if window is None else window,
        order=order,
        tries=tries,
    )
