"""Search algorithms, pure: no torch, no Ray, no architecture. They meet a space only through `search.algorithms.candidate.Space`.

run = make("walk", space, objective, seed=0, window=1)
while True:
    proposal = run.ask()
    run.tell(proposal.index, score(proposal.candidate))

An algorithm of one's own is a `Strategy`, made by what is registered here; a configuration names its file:

@register("mine", window=16, options={"population": 64})
class Mine:
    def __init__(self, space, objective, *, population): ...
    def propose(self, index, rng, unscored): ...
    def learn(self, told): ...

An installed package offers one as an entry point of the group `uninas.algorithms`, whose value is what `register` decorates.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from search.algorithms.aging import AgingEvolution
from search.algorithms.asktell import AskTell, OrderError, Proposal, Reported, SpaceExhaustedError, Strategy, derive
from search.algorithms.candidate import Space
from search.algorithms.evolution import Evolution
from search.algorithms.independent import Independent
from search.algorithms.model import Model
from search.algorithms.pareto import Pareto
from search.algorithms.walk import Walk
from search.ranking.objective import Objective
from uninas.errors import InputError
from uninas.runtime.own_code import Catalogue

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
    "described",
    "make",
    "register",
]

M = TypeVar("M", bound=Callable[..., Strategy])


@dataclass(frozen=True)
class Algorithm:
    """A known algorithm: how to make it, its default window, its options with their defaults.

    An option is a whole number, at least 1, or at least 0 where 0 is the default; or a share from 0 to 1 where that is a float.
    `objectives` are the default ones of a multi-objective algorithm, which is made with them as one more option; any other
    algorithm has none. `renamed` are former names of options, which keep working for one version.
    `estimates`: whether it has a model of the scores, see `Estimating`.
    """

    make: Callable[[Space, Objective, Mapping[str, Any]], Strategy]
    window: int
    options: Mapping[str, int | float] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    estimates: bool = False

    def current(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Give options under their present names."""
        return {self.renamed.get(name, name): value for name, value in options.items()}


_OURS: dict[str, Algorithm] = {
    "random": Algorithm(lambda space, objective, options: Independent(space), 128),
    "walk": Algorithm(lambda space, objective, options: Walk(space, objective), 1),
    "evolution": Algorithm(
        lambda space, objective, options: Evolution(space, objective, **options),
        128,
        {"population": 1024, "crossover": 0.0, "max_per_niche": 0, "largest_stride": 1},
        renamed={"niche": "max_per_niche"},
    ),
    "aging_evolution": Algorithm(
        lambda space, objective, options: AgingEvolution(space, objective, **options),
        128,
        {"population": 100, "tournament": 25, "crossover": 0.0, "largest_stride": 1},
    ),
    "model": Algorithm(
        lambda space, objective, options: Model(space, objective, **options),
        16,
        {"initial": 20, "looked_at": 64, "parents": 16, "memory": 500, "largest_stride": 1},
        estimates=True,
    ),
    "pareto": Algorithm(
        lambda space, objective, options: Pareto(space, objective, **options),
        128,
        {"population": 128, "crossover": 0.0, "largest_stride": 1},
        ("score", "params", "macs"),
    ),
}


def _accept(name: str, made: object) -> Algorithm:
    """Make an algorithm of what an installed package offers."""
    if isinstance(made, Algorithm):
        return made
    if not callable(made):
        raise ValueError(f"expected a class or function that makes a Strategy; got {type(made).__name__}")
    return _algorithm(made)


def _algorithm(
    made: Callable[..., Strategy],
    window: int = 128,
    options: Mapping[str, int | float] | None = None,
    objectives: Sequence[str] = (),
) -> Algorithm:
    return Algorithm(
        lambda space, objective, options: made(space, objective, **options), window, dict(options or {}), tuple(objectives)
    )


ALGORITHMS: Catalogue[Algorithm] = Catalogue("algorithm", "uninas.algorithms", _OURS, _accept)
"""Every algorithm, and those of installed packages, by the name that a configuration gives it."""


def described(name: str) -> Algorithm:
    """Give what is known of an algorithm by its name; of one from a file that is not loaded here, no more than that it exists.

    The configuration of a run states the window and the objectives of such a one, so that the run can be reported.
    """

    def unknown(space: Space, objective: Objective, options: Mapping[str, Any]) -> Strategy:
        raise InputError(f"algorithm: expected one of {', '.join(ALGORITHMS)}; got '{name}'")

    return ALGORITHMS.get(name) or Algorithm(unknown, window=1)


def register(
    name: str,
    *,
    window: int = 128,
    options: Mapping[str, int | float] | None = None,
    objectives: Sequence[str] = (),
) -> Callable[[M], M]:
    """Make a class or function an algorithm of that name, in this process.

    It is called as ``made(space, objective, **options)`` and gives a `Strategy`: ``propose`` and ``learn``, see
    `search.algorithms.asktell`. A search needs it in a file that its configuration names, `algorithm: {file: my_search.py}`:
    the run keeps the file, and a resume runs it.

    Args:
        name: as a configuration has it.
        window: ask k sees the tells 0 .. k - window, where the configuration does not say.
        options: its options with their defaults, see `Algorithm`.
        objectives: of a multi-objective algorithm, the default ones; it is made with them as one more option, `objectives`.

    Returns:
        A decorator that gives the class or function back as it is. A second registration of a name replaces the first.

    Raises:
        InputError: the name is that of an algorithm of this package, or the window is below 1.
    """
    if window < 1:
        raise InputError(f"algorithm {name}: expected a window of at least 1; got {window}")

    def add(made: M) -> M:
        ALGORITHMS.add(name, _algorithm(made, window, options, objectives))
        return made

    return add


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
    chosen: dict[str, Any] = {**algorithm.options, **algorithm.current(options or {})}
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
        space=space,
    )


def __getattr__(name: str) -> Any:
    if name == "Told":
        warnings.warn("search.algorithms.Told is called Reported now", DeprecationWarning, stacklevel=2)
        return Reported
    raise AttributeError(f"module 'search.algorithms' has no attribute '{name}'")
