"""Where a space ends: a finite one is asked whole, and a local optimum is no end of a walk."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from search.algorithms import ALGORITHMS, SpaceExhaustedError, make
from search.algorithms.candidate import Candidate, Rejected
from search.ranking.objective import OBJECTIVES, Objective
from tests.search.finite import FiniteToySpace
from uninas.rejections import Reason

OPTIONS: dict[str, Mapping[str, int]] = {
    "model": {"initial": 3, "looked_at": 8, "parents": 4, "memory": 40},
    "evolution": {"population": 4},
    "aging_evolution": {"population": 4, "tournament": 2},
    "pareto": {"population": 4},
}
HEIGHT = Objective("height", (("flops",),))


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_finite_space_is_asked_whole_before_it_is_exhausted(name: str) -> None:
    space = FiniteToySpace(budget=2)
    run = make(name, space, OBJECTIVES["vkdnw"], seed=0, window=1, options=OPTIONS.get(name), tries=40)
    asked: list[str] = []
    said = "the space has 28 candidates within the budget, and all have been asked"
    with pytest.raises(SpaceExhaustedError, match=said) as end:  # noqa: PT012 it is the ask behind the last candidate
        for index in range(100):
            asked.append(run.ask().candidate.digest)
            run.tell(index, {"vkdnw": float(index % 5)})
    assert end.value.whole
    assert sorted(asked) == sorted(one.digest for one in space.every() if isinstance(one, Candidate))


class Road:
    """Whole numbers from 0 to 60; the neighbours of one are the two beside it."""

    def starts(self) -> list[Candidate]:
        return [self.at(10)]

    def at(self, place: int, parent: str | None = None) -> Candidate:
        return Candidate(f"{place:064x}", place, {}, parent, {"place": place})

    def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
        place = parent.body + rng.choice((-1, 1))
        return self.at(place, parent.digest) if 0 <= place <= 60 else Rejected(Reason.NO_LEGAL_NEIGHBOUR)

    def sample(self, rng: random.Random) -> Candidate | Rejected:
        return self.at(rng.randrange(61), self.starts()[0].digest)

    def text(self, candidate: Candidate) -> str:
        return str(candidate.body)

    def document(self, candidate: Candidate, metadata: Mapping[str, Any]) -> str:
        return str(candidate.body)

    def replay(self, parent: Candidate, edit: Mapping[str, Any]) -> Candidate:
        return self.at(edit["place"], parent.digest)


def height(place: int) -> float:
    """A hill at 10, a valley, and a higher hill at 50."""
    return max(100.0 - 3 * abs(place - 10), 120.0 - 3 * abs(place - 50))


def test_a_walk_goes_on_from_the_best_that_has_new_neighbours() -> None:
    """It climbs down both sides of the hill, always from the better side, and up the next one."""
    run = make("walk", Road(), HEIGHT, seed=0, window=1)
    places = []
    for index in range(52):
        places.append(run.ask().candidate.body)
        run.tell(index, {"flops": height(places[-1])})
    assert places[0] == 10
    assert set(places[:21]) == set(range(21))  # both sides of the hill; the left end of the road is at 0
    assert max(map(height, places)) == 120.0


def test_a_walk_without_any_neighbour_left_samples() -> None:
    class Island(Road):
        def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
            return self.at(10, parent.digest)

    run = make("walk", Island(), HEIGHT, seed=0, window=1)
    places = []
    for index in range(8):
        places.append(run.ask().candidate.body)
        run.tell(index, {"flops": height(places[-1])})
    assert len(set(places)) == 8


def test_what_a_space_rejects_is_passed_over_and_counted() -> None:
    class Gaps(FiniteToySpace):
        def every(self) -> Iterator[Candidate | Rejected]:
            yield Rejected(Reason.UNBUILDABLE)
            yield from super().every()

        def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
            return Rejected(Reason.NO_CHANGE)

        def sample(self, rng: random.Random) -> Candidate | Rejected:
            return Rejected(Reason.NO_CHANGE)

    run = make("evolution", Gaps(budget=1), OBJECTIVES["vkdnw"], seed=0, window=1, options={"population": 4}, tries=5)
    run.tell(run.ask().index, {"vkdnw": 1.0})
    proposal = run.ask()
    assert proposal.rejected == {Reason.NO_CHANGE: 10, Reason.UNBUILDABLE: 1}
    assert proposal.duplicates == 1  # the start


def test_an_algorithm_that_has_seen_all_it_can_reach_is_not_asked_at_length_each_time() -> None:
    """It is asked a thousand times at first, and sixteen times later; the rest are samples."""

    class Island(Road):
        asked = 0

        def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
            Island.asked += 1
            return self.at(10, parent.digest)

    run = make("evolution", Island(), HEIGHT, seed=0, window=1, options={"population": 1})
    spent = []
    for index in range(12):
        before = Island.asked
        run.tell(index, {"flops": height(run.ask().candidate.body)})
        spent.append(Island.asked - before)
    assert spent == [0, 1000, 250, 62, 16, 16, 16, 16, 16, 16, 16, 16]
