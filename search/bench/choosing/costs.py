"""What a set of scores costs a network, from the seconds that a run measured: an upper bound.

Scores share passes, and a run charges a pass to the first of its scores that needs it. Whoever uses one score pays for all its
passes, so the cost of a set is that of its members and, for each pass that they need, of the score that the run charged with
it, each counted once. That is a bound: the charged score does more than its pass, and the training pass of a run measures all
that any of its scores asked for. Building the network, and drawing its weights, is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proxies import registry
from search.bench.choosing.referees import NetworkSet, Referee
from search.bench.judging.aggregates import PAIRS
from search.bench.scoring.plan import SAMPLES
from search.bench.scoring.run import stored
from search.ranking.ranks import Floats
from uninas.errors import InputError

_SLOWEST = 50
"""Of so many networks the slowest is left out of a mean: the first one in a worker loads libraries."""


@dataclass(frozen=True, eq=False)
class Costs:
    """What the components of a choice cost at one referee.

    Attributes:
        key: of the referee.
        components: that a set may have.
        charged: for each component, which scores it is charged, shape (components, scores).
        seconds: CPU-seconds of a network by score.
    """

    key: str
    components: tuple[str, ...]
    charged: NDArray[np.bool_]
    seconds: Floats

    def of(self, sets: NDArray[np.intp]) -> Floats:
        """Give CPU-seconds of a network for sets of one size, rows of places in `components`: shape (sets,)."""
        found = self.charged[sets[:, 0]]
        for column in range(1, sets.shape[1]):
            found |= self.charged[sets[:, column]]
        total: Floats = found @ self.seconds
        return total


def costs_of(referee: Referee, components: Sequence[str]) -> Costs | None:
    """Read what the components of a choice cost at a referee; None where its journal does not say it of all of them.

    Raises:
        InputError: the journal cannot be read.
    """
    if not (referee.run / "journal.jsonl").is_file():
        return None
    scores = stored(referee.run)
    order = [label for label in referee.settings.proxies if label in scores.scored()]
    means = {label: _mean([spent[label] for spent in scores.seconds.values() if label in spent]) for label in order}
    passes = {label: passes_of(label, referee) for label in order}
    first: dict[str, str] = {}
    for label in order:
        for one in passes[label]:
            first.setdefault(one, label)
    charged = np.zeros((len(components), len(order)), dtype=np.bool_)
    for place, component in enumerate(components):
        for label in PAIRS.get(component, (component,)):
            if label not in order or math.isnan(means[label]):
                return None
            for payer in (label, *(first[one] for one in passes[label])):
                charged[place, order.index(payer)] = True
    return Costs(referee.key, tuple(components), charged, np.nan_to_num(np.array([means[label] for label in order])))


def passes_of(label: str, referee: Referee) -> Collection[str]:
    """Name the passes that a score shares with others of a run: what is done, on which batch."""
    spec = registry.find(label)
    if spec is None:
        return ()
    samples: Mapping[str, int] = (referee.settings.extra or {}).get("samples", SAMPLES)
    real = spec.real_input and referee.settings.pictures is not None
    batch = f"{'images' if real else 'noise'} {min(samples.get(label, referee.settings.batch), referee.settings.batch)}"
    return [f"{one} of {batch}" for one in (*(["training"] if spec.parts else []), *sorted(spec.shares))]


def _mean(spent: Sequence[float]) -> float:
    kept = sorted(spent)[: max(1, len(spent) - math.ceil(len(spent) / _SLOWEST))]
    return math.fsum(kept) / len(kept) if kept else math.nan


@dataclass(frozen=True, eq=False)
class Prices:
    """What sets cost at all referees that measured it.

    Attributes:
        by_set: for each set of networks, the costs at each of its referees that measured them.
    """

    by_set: tuple[tuple[Costs, ...], ...]

    def of(self, sets: NDArray[np.intp]) -> Floats:
        """Give CPU-seconds of a network where it is dearest, as `Costs.of`: of the data sets of one set the mean."""
        found: Floats = np.max([np.mean([one.of(sets) for one in costs], axis=0) for costs in self.by_set], axis=0)
        return found

    def each(self, components: Sequence[str]) -> dict[str, float]:
        """Give the CPU-seconds of one set of components by referee."""
        every = [one for costs in self.by_set for one in costs]
        return {one.key: float(one.of(self.places(components))[0]) for one in every}

    def total(self, components: Sequence[str]) -> float:
        """Give what `of` gives of one set of components."""
        return float(self.of(self.places(components))[0])

    def places(self, components: Sequence[str]) -> NDArray[np.intp]:
        """Give a set as `of` takes it."""
        known = self.by_set[0][0].components
        return np.array([[known.index(name) for name in components]], dtype=np.intp)


def prices_of(sets: Sequence[NetworkSet], components: Sequence[str]) -> Prices | None:
    """Read what the components cost; None where no run says it.

    Raises:
        InputError: a journal cannot be read.
    """
    found = [[costs_of(referee, components) for referee in one.referees] for one in sets]
    by_set = tuple(tuple(one for one in costs if one is not None) for costs in found)
    return Prices(tuple(costs for costs in by_set if costs)) if any(by_set) else None


def check_limit(prices: Prices | None, limit: float | None) -> None:
    """Reject a limit that nothing can be held against.

    Raises:
        InputError: no run has a journal with seconds, or no component is that cheap.
    """
    if limit is None:
        return
    if prices is None:
        raise InputError("--cost: expected runs with the seconds of their scores in journal.jsonl; no run has them")
    cheapest = float(prices.of(np.arange(len(prices.by_set[0][0].components))[:, None]).min())
    if cheapest > limit:
        raise InputError(f"--cost: expected at least what the cheapest score takes, {cheapest:.3g} CPU-seconds; got {limit:g}")
