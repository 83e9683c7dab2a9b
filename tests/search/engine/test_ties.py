"""Of candidates of equal value the cheaper one is better: in best.json, among the finalists, on the front, in the report."""

from __future__ import annotations

import random
from typing import Any

import pytest

from search.engine.finals.finalists import choose, settle
from search.engine.pareto_front import front
from search.engine.phase import Entry
from search.journal.records import Candidate, Rescore
from search.ranking.objective import find
from search.report.data import placing

OBJECTIVE = find("flops x jacov")
COSTS = [(5, 9, "d"), (5, 9, "c"), (5, 8, "f"), (4, 9, "e"), (6, 1, "a"), (4, 9, "b")]
"""Parameters, MACs and digest of six candidates of equal scores."""
CHEAPEST_FIRST = ["b", "e", "f", "c", "d", "a"]


def record(index: int, params: int, macs: int, digest: str, score: float = 1.0) -> Candidate:
    cost = {"params": params, "macs": macs, "layers": 1, "attention_tokens": 0}
    more: dict[str, Any] = {"phase": "search", "parent": None, "edit": None, "rejected": {}, "duplicates": 0, "seconds": {}}
    scores = {"flops": score, "jacov": score}
    return Candidate(
        index=index, digest=digest, cost=cost, status="ok", reason=None, results=scores, worker="w", attempts=1, **more
    )


def entries(ties: str, costs: tuple[str, ...] = ()) -> list[Entry]:
    return [Entry.of(record(index, *cost), costs, ties) for index, cost in enumerate(COSTS)]


@pytest.mark.parametrize(("ties", "expected"), [("cheaper", CHEAPEST_FIRST), ("older", list("dcfeab"))])
def test_everywhere(ties: str, expected: list[str]) -> None:
    population = entries(ties)
    chosen = choose(population, OBJECTIVE, 6)
    assert [entry.digest for entry in chosen] == expected
    rescores = [
        Rescore(entry.digest, 0, 1, "ok", None, {"flops": 2.0, "jacov": 2.0}, {}, "w", 1) for entry in random.sample(chosen, 6)
    ]
    settled, _ = settle(population, chosen, {}, rescores, OBJECTIVE)
    assert [finalist.entry.digest for finalist in settled] == expected
    assert {finalist.place for finalist in settled} == {1}
    places = placing(OBJECTIVE, [record(index, *cost) for index, cost in enumerate(COSTS)], ties)
    assert sorted(places, key=places.__getitem__) == [("search", [cost[2] for cost in COSTS].index(one)) for one in expected]


@pytest.mark.parametrize(("ties", "expected"), [("cheaper", ["b", "e"]), ("older", ["e", "b"])])
def test_on_the_front(ties: str, expected: list[str]) -> None:
    members = front(entries(ties, ("params",)), OBJECTIVE, ("score", "params"))
    assert [member.entry.digest for member in members] == expected


def test_a_better_score_comes_before_any_cost() -> None:
    population = [*entries("cheaper"), Entry.of(record(6, 99, 99, "z", score=2.0), (), "cheaper")]
    assert [entry.digest for entry in choose(population, OBJECTIVE, 3)] == ["z", "b", "e"]
