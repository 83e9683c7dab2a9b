"""The best candidate so far: by ranks in the whole population, as a search's end has it."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.monitor.tally import Best
from search.ranking.objective import Objective, find

ONE, SEVERAL = find("jacov"), find("vkdnw_agg")
number = st.sampled_from([1.0, 2.0, 3.0, -1.0])


def best_of(objective: Objective, population: list[dict[str, float]]) -> dict[str, float]:
    """By the definition: the largest value among those with every score, the oldest of equals."""
    values = np.round(objective.rank(population), 9)
    able = [place for place, scores in enumerate(population) if objective.complete(scores)]
    return population[max(able, key=lambda place: (values[place], -place))] if able else {}


@given(st.lists(st.dictionaries(st.sampled_from(SEVERAL.proxies), number, min_size=4), max_size=20))
def test_it_is_the_best_of_the_whole_population(population: list[dict[str, float]]) -> None:
    best = Best(SEVERAL)
    for scores in population:
        best.add(scores)
    assert best.scores() == best_of(SEVERAL, population)


def test_of_equals_it_is_the_oldest_and_others_lack_a_score() -> None:
    best = Best(Objective("two", (("jacov",), ("flops",))))
    assert (dict(best.scores()), best.text()) == ({}, "")
    best.add({"jacov": 9.0})
    assert best.scores() == {}
    for jacov, flops in ((1.0, 2.0), (2.0, 1.0)):
        best.add({"jacov": jacov, "flops": flops})
    assert best.scores() == {"jacov": 2.0, "flops": 1.0} or best.scores() == {"jacov": 1.0, "flops": 2.0}
    assert best.text() == "two: " + ", ".join(f"{name} {value:.5g}" for name, value in best.scores().items())


def test_roughly_is_seldom_but_never_long_behind() -> None:
    best, looked = Best(ONE), 0
    exactly = best._find

    def find_it() -> dict[str, float]:
        nonlocal looked
        looked += 1
        return exactly()

    best._find = find_it  # type: ignore[method-assign]
    for count in range(1, 2001):
        best.add({"jacov": float(count)})
        known = best.scores(roughly=True)["jacov"]
        assert known >= math.floor(count * 49 / 50)
    assert looked < 300
    assert best.scores()["jacov"] == 2000.0
