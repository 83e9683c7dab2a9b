"""The Pareto front of a search: the candidates that no other one beats in every objective. It follows from the journal alone.

"score" is the rank by the configured objective among all candidates of the search, as for best.json; so the front of an
unfinished run is that of its journal so far. Costs, counted or measured, are minimised as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.engine.finals.finalists import choose
from search.engine.phase import Entry
from search.ranking.dominance import first_front, spread
from search.ranking.objective import SCORE, Objective
from search.ranking.ranks import DIGITS, ranks


@dataclass(frozen=True)
class Member:
    """A candidate of the front.

    Attributes:
        entry: the candidate with its raw scores and its costs.
        place: rank by the objective among all candidates, 1 is the best; equals share the best of their ranks.
        value: the objective's value within the population of all candidates.
        point: what dominance compares, every column to be minimised, in the order of the objectives.
    """

    entry: Entry
    place: int
    value: float
    point: tuple[float, ...]


def front(entries: Sequence[Entry], objective: Objective, objectives: Sequence[str]) -> list[Member]:
    """Give the front of all candidates with every score of the objective, best score first, ties by what decides them."""
    values = np.round(objective.rank([entry.scores for entry in entries]), DIGITS)
    rank = ranks(values) if len(entries) else values
    better = np.sort(-values)
    scored = [place for place, entry in enumerate(entries) if objective.complete(entry.scores)]
    if not scored:
        return []
    points = [[-float(rank[place]) if name == SCORE else entries[place].costs[name] for name in objectives] for place in scored]
    members = [
        Member(
            entry=entries[scored[place]],
            place=int(np.searchsorted(better, -values[scored[place]])) + 1,
            value=float(values[scored[place]]),
            point=tuple(points[place]),
        )
        for place in first_front(points)
    ]
    return sorted(members, key=lambda member: (member.place, member.entry.tie, member.entry.index))


def spread_over(members: Sequence[Member], count: int) -> list[Member]:
    """Choose at most `count` members: the one with the best score, then each time the one farthest from those chosen."""
    if not members:
        return []
    return [members[place] for place in spread([member.point for member in members], count, first=0)]


def leaders(entries: Sequence[Entry], objective: Objective, objectives: Sequence[str], count: int) -> list[Entry]:
    """Choose `count` finalists: spread over the front where there are several objectives, else the best by the objective.

    A network over the latency budget has no scores, and is never chosen.
    """
    if not objectives:
        return choose(entries, objective, count)
    return [member.entry for member in spread_over(front(entries, objective, objectives), count)]
