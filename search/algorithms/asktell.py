"""Ask and tell: the window, the randomness and the bookkeeping that every algorithm shares.

The rule that makes a search reproducible with any number of workers: ask k sees exactly the results of asks 0 .. k - W, where W
is the window. Results may be reported (`tell`) in any order and at any time before that; they are held back until the ask that
may see them. With `order="completion"` a result is seen at once, and a replay of the search has to repeat the order.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from search.algorithms.candidate import Candidate, Finite, Rejected, Space
from search.ranking.objective import Objective, Scores
from search.ranking.ranks import LOWEST, Key
from uninas.errors import InputError

DUPLICATES = 1_000
"""An algorithm whose tries gave so many known networks in one ask has seen what it can reach."""

LEAST_DUPLICATES = 16
"""So many are enough, after several asks without anything new from the algorithm: it need not show that again at length."""

SAMPLES = 100
"""So many samples are then tried: where none of them is new and within the budget, hardly any is, and each may take a second."""


class OrderError(ValueError):
    """Ask and tell were called in an order that they do not allow: a mistake of the caller, not of the user."""


class SpaceExhaustedError(InputError):
    """Very many tries gave no new candidate within the budget.

    Attributes:
        whole: whether that is sure: every candidate of a finite space has been asked.
    """

    def __init__(self, message: str, *, whole: bool = False) -> None:
        super().__init__(message)
        self.whole = whole


@dataclass(frozen=True, slots=True)
class Reported:
    """A candidate with its result: its key in each column of the objective, and its costs, counted and measured."""

    index: int
    candidate: Candidate
    keys: tuple[Key, ...]
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether it has no score at all."""
        return all(key == LOWEST for key in self.keys)


@dataclass(frozen=True, slots=True)
class Proposal:
    """The answer to an ask.

    Attributes:
        index: number of the ask, from 0.
        candidate: what to score; no earlier ask gave this digest, or one that is alike.
        rejected: how many tries were rejected on the way, by reason.
        duplicates: how many tries gave a digest asked before.
        seen: how many results the ask saw: in ask order those of asks 0 .. seen - 1, else the first that were reported.
    """

    index: int
    candidate: Candidate
    rejected: Mapping[str, int]
    duplicates: int
    seen: int = 0


class Strategy(Protocol):
    """What an algorithm decides: where a candidate comes from, and what is learnt from a score."""

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """Make one try for ask `index`; called again with the same `rng` when the try is rejected or its digest is known.

        `unscored` are the candidates asked so far while no result is visible, and none from then on. A window of W lets W asks
        pass before the first result: were all of them neighbours of the starts, a large window would run out of those (from one
        CoAtNet, thirty tries of each ask around the 12,000th were duplicates).
        """
        ...

    def learn(self, reported: Reported) -> None:
        """Take in one result. Called once per candidate, in the order in which the results become visible."""
        ...


@runtime_checkable
class Estimating(Protocol):
    """What an algorithm with a model of the scores offers beside `Strategy`."""

    def estimates(self, waiting: Sequence[Reported]) -> Mapping[int, float]:
        """Give what each candidate is expected to be worth, by index, on a scale of the algorithm's own; higher is better.

        From all that was learnt and `waiting`, the results that no ask has seen. Changes nothing.
        """
        ...


class AskTell:
    """One run of one algorithm.

    Randomness: ask k draws from a generator made from (seed, phase, k), so no ask depends on how many tries an earlier
    one needed.

    Args:
        strategy: the algorithm.
        objective: turns raw scores into what the algorithm compares.
        seed: seed of the run.
        phase: name of the run's part, so that two parts with one seed draw differently.
        window: W >= 1, see the module's head.
        order: "ask" or "completion".
        tries: tries of one ask by the algorithm; then come samples of the space, then all that a finite space has.
        space: where the algorithm's candidates come from; without it an ask ends with the algorithm's tries.
    """

    def __init__(
        self,
        strategy: Strategy,
        objective: Objective,
        *,
        seed: int,
        phase: str,
        window: int,
        order: str = "ask",
        tries: int = 10_000,
        space: Space | None = None,
    ) -> None:
        if window < 1:
            raise ValueError(f"window: expected at least 1, got {window}")
        if order not in ("ask", "completion"):
            raise ValueError(f"order: expected ask or completion, got '{order}'")
        self._strategy = strategy
        self._objective = objective
        self._seed = seed
        self._phase = phase
        self._window = window
        self._order = order
        self._tries = tries
        self._space = space
        self._patience = DUPLICATES
        self._rest: Iterator[Candidate | Rejected] | None = None  # of a finite space, what has not been gone through yet
        self._seen: set[bytes] = set()
        self._pending: dict[int, Candidate] = {}
        self._held: dict[int, Reported] = {}
        self._asked = 0
        self._told = 0
        self._visible = 0
        self._unscored: list[Candidate] | None = []  # asked while no result is visible; None from then on

    @property
    def asked(self) -> int:
        """Number of asks so far; the next one has this index."""
        return self._asked

    @property
    def told(self) -> int:
        """Number of results reported so far, visible or not."""
        return self._told

    def ready(self) -> bool:
        """Say whether the window allows the next ask now."""
        if self._order == "completion":
            return self._asked - self._told < self._window
        return all(index in self._held for index in range(self._visible, self._asked - self._window + 1))

    def ask(self) -> Proposal:
        """Give the next candidate to score.

        Raises:
            OrderError: the window does not allow it yet.
            SpaceExhaustedError: no new candidate in `tries` tries of the algorithm and `SAMPLES` samples; or there is none.
        """
        if not self.ready():
            raise OrderError(
                f"ask {self._asked}: expected "
                + (
                    f"fewer than {self._window} candidates in flight; {self._asked - self._told} are"
                    if self._order == "completion"
                    else f"the results of asks 0 .. {self._asked - self._window} first (window {self._window})"
                )
            )
        while self._order == "ask" and self._visible <= self._asked - self._window:
            self._learn(self._held.pop(self._visible))
            self._visible += 1
        rng = generator(self._seed, self._phase, self._asked)
        rejected: dict[str, int] = {}
        duplicates = 0
        for candidate in self._tries_of(rng):
            if isinstance(candidate, Rejected):
                rejected[candidate.reason] = rejected.get(candidate.reason, 0) + 1
            elif (mark := _mark(candidate)) in self._seen:
                duplicates += 1
            else:
                self._seen.add(mark)
                for reason, count in candidate.rejected.items():
                    rejected[reason] = rejected.get(reason, 0) + count
                self._pending[self._asked] = candidate
                if self._unscored is not None:
                    self._unscored.append(candidate)
                self._asked += 1
                seen = self._visible if self._order == "ask" else self._told
                return Proposal(self._asked - 1, candidate, dict(sorted(rejected.items())), duplicates, seen)
        if self._rest is not None:
            said = f"the space has {self._asked} candidates within the budget, and all have been asked"
            raise SpaceExhaustedError(f"ask {self._asked} ({self._phase}): {said}", whole=True)
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(rejected.items(), key=lambda pair: -pair[1]))
        tries = duplicates + sum(rejected.values())
        raise SpaceExhaustedError(
            f"ask {self._asked} ({self._phase}): expected a new candidate within the budget; {tries} tries gave none "
            f"(rejected: {counts or 'none'}; duplicates: {duplicates}): loosen the budget, or search for fewer evaluations"
        )

    def _tries_of(self, rng: random.Random) -> Iterator[Candidate | Rejected]:
        """Give the tries of an ask: of the algorithm; then, where all it can reach is known, of the space at large.

        What a finite space has is gone through once in a run: what was found asked already, stays so.
        """
        duplicates, patience = 0, self._patience
        self._patience = min(DUPLICATES, 4 * patience)  # stays so where one of these tries is new, which ends the ask
        for _ in range(self._tries):
            candidate = self._strategy.propose(self._asked, rng, self._unscored or ())
            yield candidate
            duplicates += isinstance(candidate, Candidate)  # asked for another try, it was one
            if duplicates >= patience:
                break
        self._patience = max(LEAST_DUPLICATES, patience // 4)
        if self._space is None:
            return
        if self._rest is None:
            for _ in range(min(self._tries, SAMPLES)):
                yield self._space.sample(rng)
            self._rest = self._space.every() if isinstance(self._space, Finite) else None
        if self._rest is not None:
            for candidate in self._rest:  # not `yield from`, which would end what is left when this ask does
                yield candidate

    def tell(self, index: int, scores: Scores, measured: Mapping[str, float] | None = None) -> None:
        """Report the scores of the candidate of ask `index`; an empty one where it failed or is over a budget.

        `measured` are its costs that cannot be counted (latency_ms), beside those that the candidate has.

        Raises:
            OrderError: there was no such ask, or its result has been reported already.
        """
        candidate = self._pending.pop(index, None)
        if candidate is None:
            what = f"ask {index} has been reported already" if index < self._asked else f"only {self._asked} asks have been made"
            raise OrderError(f"tell {index}: expected the index of a candidate in flight; {what}")
        reported = Reported(index, candidate, self._objective.keys(scores), {**candidate.cost, **(measured or {})})
        self._told += 1
        if self._order == "completion":
            self._learn(reported)
        else:
            self._held[index] = reported

    def estimates(self) -> Mapping[int, float]:
        """Give what the algorithm's model expects of each candidate told so far, by index; empty where it has no model."""
        if not isinstance(self._strategy, Estimating):
            return {}
        return self._strategy.estimates([self._held[index] for index in sorted(self._held)])

    def _learn(self, reported: Reported) -> None:
        self._unscored = None
        self._strategy.learn(reported)

    def pending(self, index: int) -> Candidate:
        """Give the candidate of an ask whose result has not been reported yet."""
        return self._pending[index]


def _mark(candidate: Candidate) -> bytes:
    return bytes.fromhex(candidate.alike or candidate.digest)


def generator(seed: int, phase: str, index: int) -> random.Random:
    """Make the random generator of one ask: the same on every platform and Python version we support."""
    return random.Random(derive(seed, phase, index))


def derive(seed: int, *place: object) -> int:
    """Derive a seed in [0, 2^63) from a seed and a place: independent streams from one number."""
    text = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
