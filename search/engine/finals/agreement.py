"""How far a run's objective can be trusted where the search has arrived: others of the best on a held-out seed.

A search keeps what scored high under one seed. Among its best quarter networks are alike, and what is left to tell them apart may
be the luck of that seed. So some of them, drawn by the run's seed, are scored once more under the first held-out seed: the
correlation of the two (`search.ranking.reliability`) is how much of the order there belongs to the networks. The finalists are
scored under that seed, too, so that all stand on equal footing there.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from search.algorithms import derive
from search.engine.finals.finalists import choose
from search.engine.phase import Entry
from search.journal.records import Rescore
from search.ranking import reliability
from search.ranking.correlation import Estimate
from search.ranking.objective import Objective
from search.ranking.ranks import DIGITS

BEST = 0.25
"""The share of the candidates that are the best: where a search looks for parents late."""


def drawn(entries: Sequence[Entry], finalists: Sequence[Entry], objective: Objective, count: int, seed: int) -> list[Entry]:
    """Draw `count` of the best quarter of the candidates that are no finalists, or all of them; in the journal's order."""
    apart = {entry.digest for entry in finalists}
    scored = sum(not entry.stopped for entry in entries)
    quarter = choose(entries, objective, int(BEST * scored)) if count else []
    best = [entry for entry in quarter if entry.digest not in apart]
    rng = random.Random(derive(seed, "agreement"))
    return sorted(rng.sample(best, min(count, len(best))), key=lambda entry: entry.index)


def agreement(networks: Sequence[Entry], rescores: Iterable[Rescore], objective: Objective) -> Estimate:
    """Give Spearman's rho of two seeds over these networks: that of the search, and the first held-out one."""
    again = first_of(rescores)
    found = [entry for entry in networks if entry.digest in again]
    return reliability.of_objective(objective, [[entry.scores for entry in found], [again[entry.digest] for entry in found]])


def as_row(networks: Sequence[Entry], rescores: Iterable[Rescore], objective: Objective) -> dict[str, Any]:
    """Give what run.json says of the agreement: of how many networks, the estimate, and whether it is noise."""
    found = agreement(networks, rescores, objective)
    return {"networks": len(networks), **found.as_dict(), "noise": reliability.is_noise(found)}


def on_one_seed(networks: Iterable[str], rescores: Iterable[Rescore], objective: Objective) -> dict[str, int]:
    """Rank networks by their scores under the first held-out seed, 1 = best, by digest; those that lack a score are left out."""
    again = first_of(rescores)
    digests = [digest for digest in dict.fromkeys(networks) if objective.complete(again.get(digest, {}))]
    values = np.round(objective.rank([again[digest] for digest in digests]), DIGITS) if digests else np.zeros(0)
    return {digest: 1 + int((values > value).sum()) for digest, value in zip(digests, values, strict=True)}


def in_words(found: Mapping[str, Any], objective: str) -> list[str]:
    """Say in one or two lines what run.json's `reliability` means.

    Args:
        found: networks, value, low, high and noise.
        objective: its name.
    """
    among = f"among {found['networks']} of the best quarter"
    if found["value"] is None:
        return [f"too few of the best quarter ({found['networks']}) to say how far two seeds of {objective} agree"]
    said = f"two seeds of {objective} agree by {found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}] {among} (Spearman)"
    if not found["noise"]:
        return [said]
    return [said, "warning: there the luck of the seed decides more than the network: raise repeats, or search by another score"]


def first_of(rescores: Iterable[Rescore]) -> dict[str, Mapping[str, float]]:
    """Give the scores under the first held-out seed, by digest."""
    return {rescore.digest: rescore.scores for rescore in rescores if rescore.repeat == 0}
