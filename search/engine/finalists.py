"""The end of a search: the best candidates, scored again on held-out seeds, which the search never saw, and ranked anew.

The best of a thousand noisy scores is partly luck. So each finalist's raw scores are averaged over the held-out seeds only, the
average replaces the finalist's scores in the final population, and the ranks of that population decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.algorithms import derive
from search.algorithms.candidate import Candidate, Space
from search.engine.phase import Entry, Tie
from search.journal.journal import JournalError, consistent, records
from search.journal.records import KINDS, Rescore
from search.journal.records import Candidate as Record
from search.ranking.objective import Objective, Scores


@dataclass(frozen=True)
class Finalist:
    """A finalist after rescoring.

    Attributes:
        entry: the candidate and its raw scores in the search.
        place: 1 for the best of the final population.
        value: the objective's value within the final population.
        mean: raw scores averaged over the held-out seeds; a proxy that failed on any seed has none.
        spread: sample standard deviation over the held-out seeds, where there are two or more.
        rescores: each seed's scores.
    """

    entry: Entry
    place: int
    value: float
    mean: Mapping[str, float]
    spread: Mapping[str, float]
    rescores: Sequence[Rescore]


def held_out_seeds(seed: int, count: int) -> list[int]:
    """Derive the seeds of the rescoring from the run's seed."""
    return [derive(seed, "rescore", repeat) for repeat in range(count)]


def choose(entries: Sequence[Entry], objective: Objective, count: int) -> list[Entry]:
    """Give the best `count` candidates by the objective among all of them, best first, ties by what decides them, see `Entry`.

    A candidate that lacks a score of the objective is never chosen.
    """
    values = objective.rank([entry.scores for entry in entries])
    order = sorted(range(len(entries)), key=lambda place: _order(float(values[place]), entries[place]))
    return [entries[place] for place in order if objective.complete(entries[place].scores)][:count]


def settle(
    entries: Sequence[Entry], finalists: Sequence[Entry], rescores: Iterable[Rescore], objective: Objective
) -> list[Finalist]:
    """Place the averaged finalists in the final population; give them best first, ties by what decides them, see `Entry`."""
    by_digest: dict[str, list[Rescore]] = {}
    for rescore in rescores:
        by_digest.setdefault(rescore.digest, []).append(rescore)
    averages = {entry.digest: _average(by_digest.get(entry.digest, []), objective) for entry in finalists}
    population: list[Scores] = [averages[entry.digest][0] if entry.digest in averages else entry.scores for entry in entries]
    values = objective.rank(population)
    value_of = {entry.digest: float(value) for entry, value in zip(entries, values, strict=True)}
    better = np.sort(-np.round(values, 9))
    result = []
    for entry in sorted(finalists, key=lambda entry: _order(value_of[entry.digest], entry)):
        mean, spread = averages[entry.digest]
        value = value_of[entry.digest]
        place = int(np.searchsorted(better, -np.round(value, 9))) + 1
        result.append(Finalist(entry, place, value, mean, spread, by_digest.get(entry.digest, [])))
    return result


def _order(value: float, entry: Entry) -> tuple[float, Tie, int]:
    return (-round(value, 9), entry.tie, entry.index)


def _average(rescores: Sequence[Rescore], objective: Objective) -> tuple[dict[str, float], dict[str, float]]:
    mean, spread = {}, {}
    for name in objective.proxies:
        values = [rescore.scores[name] for rescore in rescores if name in rescore.scores]
        if values and len(values) == len(rescores):
            mean[name] = float(np.mean(values))
            if len(values) > 1:
                spread[name] = float(np.std(values, ddof=1))
    return mean, spread


def rebuild(journal: Path, space: Space, digests: Iterable[str], phase: str = "search") -> dict[str, Candidate]:
    """Make architectures again from the journal alone: from a start, edit by edit, down to each digest.

    So a search of any length keeps no architecture that its algorithm does not need. Reads the journal twice.

    Raises:
        JournalError: a parent is not in the journal, or the edits no longer give the digests they gave then.
    """
    with consistent(journal):
        return _rebuilt(journal, space, digests, phase)


def _rebuilt(journal: Path, space: Space, digests: Iterable[str], phase: str) -> dict[str, Candidate]:
    made = {start.digest: start for start in space.starts()}
    parents: dict[str | None, str | None] = {record.digest: record.parent for record in _candidates(journal, phase)}
    needed: set[str | None] = set()
    for wanted in digests:
        digest: str | None = wanted
        while digest not in made and digest not in needed:
            needed.add(digest)
            if digest not in parents:
                raise JournalError(f"{journal}: expected every parent in the journal; {str(digest)[:12]} is not")
            digest = parents[digest]
    lines = {record.digest: record for record in _candidates(journal, phase) if record.digest in needed}
    for record in sorted(lines.values(), key=lambda record: record.index):  # a parent was asked before its child
        if record.parent is None or record.edit is None:
            raise JournalError(  # a start, and none of this space's
                f"{journal}: candidate {record.index}: expected a start of this space, or a parent and an edit; got neither"
            )
        candidate = space.replay(made[record.parent], record.edit)
        if candidate.digest != record.digest:
            raise JournalError(
                f"{journal}: candidate {record.index}: expected {record.digest[:12]} from its edit; got {candidate.digest[:12]}"
            )
        made[record.digest] = candidate
    return {digest: made[digest] for digest in digests}


def _candidates(journal: Path, phase: str) -> Iterable[Record]:
    return (record for record in records(journal, KINDS) if isinstance(record, Record) and record.phase == phase)
