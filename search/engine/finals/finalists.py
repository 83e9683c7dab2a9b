"""The best of a search and what they are compared with, scored on held-out seeds, which the search never saw, and ranked there.

The best of a thousand noisy scores is partly luck. So finalists and controls are scored on the same held-out seeds, and only what
they scored there counts. The value of an objective of several scores depends on the population: that of a seed is the search's
own, in which finalists and controls have what they scored under this seed. A network's value is the mean over the seeds. Trained
accuracy has a unit of its own, percent: there the value is the mean accuracy, whatever the others have.

With two finalists (a, b), a control (c), two seeds and a population of 200: rank all 201 with a, b and c as scored under the
first seed, say 190 150 199; then as under the second, say 180 186 100. By the means 185, 168 and 149.5, a is first and c third.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.algorithms import derive
from search.algorithms.candidate import Candidate, Space
from search.config.trained import TOP1
from search.engine.phase import Entry, Tie
from search.journal.endings import Finalists
from search.journal.journal import JournalError, consistent, records
from search.journal.records import KINDS, Rescore
from search.journal.records import Candidate as Record
from search.ranking.objective import Objective, Scores
from search.ranking.ranks import DIGITS


@dataclass(frozen=True)
class Standing:
    """How a network does on the held-out seeds.

    Attributes:
        place: 1 for the best of finalists and controls; equals share the best of their places.
        value: the mean of `values`.
        values: by held-out seed, the objective's value within the population of the search, or the trained accuracy.
        mean: raw scores averaged over the held-out seeds; a proxy that failed on any seed has none.
        spread: sample standard deviation over the held-out seeds, where there are two or more.
        rescores: each seed's scores.
    """

    place: int
    value: float
    values: tuple[float, ...]
    mean: Mapping[str, float]
    spread: Mapping[str, float]
    rescores: Sequence[Rescore]


@dataclass(frozen=True)
class Finalist(Standing):
    """A finalist after rescoring; `entry` is the candidate and its raw scores in the search."""

    entry: Entry


@dataclass(frozen=True)
class Control(Standing):
    """A control after scoring: "start", "random" or a preset's name, and the digest of its network."""

    name: str
    digest: str


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


def expected(
    entries: Sequence[Entry], chosen: Sequence[Entry], objective: Objective, estimates: Mapping[int, float], count: int
) -> list[Entry]:
    """Give those `count` candidates beside the `chosen` ones of which most is expected, best first, ties as in `choose`.

    Args:
        entries: of the search.
        chosen: some of them, by their own scores.
        objective: a candidate that lacks a score of it is never chosen.
        estimates: by index, higher is better.
        count: how many.
    """
    apart = {entry.index for entry in chosen}
    able = [entry for entry in entries if entry.index not in apart and objective.complete(entry.scores)]
    return sorted(able, key=lambda entry: _order(estimates[entry.index], entry))[:count]


def named(entries: Sequence[Entry], record: Finalists | None) -> list[Entry] | None:
    """Give the finalists that a journal names among these candidates; None where it names none, or those of fewer candidates.

    Raises:
        JournalError: a candidate that it names is not there.
    """
    if record is None or record.candidates != len(entries):
        return None
    by_index = {entry.index: entry for entry in entries}
    unknown = [index for index in record.indices if index not in by_index]
    if unknown:
        raise JournalError(f"finalists: expected indices of candidates of the search; got {unknown[0]}")
    return [by_index[index] for index in record.indices]


def settle(
    entries: Sequence[Entry],
    finalists: Sequence[Entry],
    controls: Mapping[str, str],
    rescores: Iterable[Rescore],
    objective: Objective,
) -> tuple[list[Finalist], list[Control]]:
    """Rank finalists and controls on the held-out seeds; give both best first, ties by what decides them, see `Entry`.

    Args:
        entries: of the search.
        finalists: some of them.
        controls: digests by name; a network may be a finalist too.
        rescores: at least one of each of them, and of all of them under the same seeds.
        objective: what decides.
    """
    field = dict.fromkeys([*(entry.digest for entry in finalists), *controls.values()])
    by_digest: dict[str, list[Rescore]] = {digest: [] for digest in field}
    for rescore in rescores:
        if rescore.digest in by_digest:
            by_digest[rescore.digest].append(rescore)
    values = _values(entries, by_digest, objective)
    means = {digest: round(float(np.mean(of)), DIGITS) for digest, of in values.items()}

    def standing(digest: str) -> dict[str, Any]:
        mean, spread = _average(by_digest[digest], objective)
        place = 1 + sum(other > means[digest] for other in means.values())
        found = {"place": place, "value": means[digest], "values": values[digest]}
        return {**found, "mean": mean, "spread": spread, "rescores": by_digest[digest]}

    ranked = sorted(finalists, key=lambda entry: _order(means[entry.digest], entry))
    beside = sorted(controls.items(), key=lambda item: -means[item[1]])
    return (
        [Finalist(**standing(entry.digest), entry=entry) for entry in ranked],
        [Control(**standing(digest), name=name, digest=digest) for name, digest in beside],
    )


def _values(
    entries: Sequence[Entry], rescores: Mapping[str, Sequence[Rescore]], objective: Objective
) -> dict[str, tuple[float, ...]]:
    """Give each network's values by held-out seed: its accuracy, or else within the search's population under that seed."""
    others: list[Scores] = [entry.scores for entry in entries if entry.digest not in rescores]
    if objective.name == TOP1:  # it has a unit, which a mean is of; a training that failed is worth nothing
        return {digest: tuple(one.scores.get(TOP1, 0.0) for one in of) for digest, of in rescores.items()}
    by_seed = []
    for repeat in sorted({one.repeat for of in rescores.values() for one in of}):
        under = [next((one.scores for one in of if one.repeat == repeat), {}) for of in rescores.values()]
        by_seed.append(objective.rank([*under, *others])[: len(under)])
    return {digest: tuple(float(values[place]) for values in by_seed) for place, digest in enumerate(rescores)}


def _order(value: float, entry: Entry) -> tuple[float, Tie, int]:
    return (-round(value, DIGITS), entry.tie, entry.index)


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
