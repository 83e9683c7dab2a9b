"""What a search was good for, in a few plain sentences: is what it found better than what one had, as far as the score can tell?

Every comparison is on equal footing: single scores with single scores, and under held-out seeds, which selected nobody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from search.config.schema import RANDOM, START
from search.config.trained import Longer
from search.engine.finals import agreement
from search.engine.finals.finalists import Control, Finalist
from search.engine.phase import Entry
from search.ranking.objective import Objective
from search.ranking.ranks import DIGITS, Floats

_NORMAL = 1.96
"""Deviations on both sides of a mean that hold 95% of a normal distribution."""


def outranks(search: Sequence[Entry], random: Sequence[Entry], objective: Objective) -> dict[str, Any] | None:
    """Say how likely a candidate of the search outranks one of the random search; both were scored once. None without both.

    The estimate is the share of pairs that the search wins, ties counting half (Mann and Whitney's U), its interval that of
    DeLong, DeLong and Clarke-Pearson (Biometrics, 1988): search values 3 5, random values 1 4 win 3 of 4 pairs, .75.

    One that a rung of a ladder stopped ranks lowest, lest survivors alone speak for the search; a failure is left out.

    Returns:
        value, low and high (95%), and of how many candidates: search and random.
    """
    ours, theirs = (
        [entry.scores for entry in of if entry.stopped or objective.complete(entry.scores)] for of in (search, random)
    )
    if len(ours) < 2 or len(theirs) < 2:
        return None
    values = np.round(objective.rank([*ours, *theirs]), DIGITS)
    mine, other = values[: len(ours)], values[len(ours) :]
    won = _shares(mine, other)
    lost = _shares(other, mine)
    value = float(won.mean())
    error = _NORMAL * math.sqrt(float(won.var(ddof=1)) / len(won) + float(lost.var(ddof=1)) / len(lost))
    bounds = {"low": round(max(0.0, value - error), 4), "high": round(min(1.0, value + error), 4)}
    return {"value": round(value, 4), **bounds, "search": len(ours), "random": len(theirs)}


def _shares(values: Floats, others: Floats) -> Floats:
    """Give for each value the share of the others that it is above, equals counting half."""
    ordered = np.sort(others)
    below, upto = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((below + upto) / (2 * len(others)), dtype=np.float64)


def of(
    search: Sequence[Entry],
    random: Sequence[Entry],
    finalists: Sequence[Finalist],
    controls: Sequence[Control],
    left_out: Mapping[str, str],
    objective: Objective,
    longer: Longer | None = None,
) -> dict[str, Any]:
    """Give the numbers of a verdict as run.json has them.

    Returns:
        outranks: see there.
        seeds: how many held-out ones.
        networks: how many of them are placed: finalists and controls.
        place: of the pick, the best finalist.
        controls: by name, place and on how many of the seeds the pick is above; best first.
        is: names of the controls that are the pick itself.
        left_out: by name, why a control is not there.
        training: of finalists and controls, in words, where it is longer than that of candidates.
    """
    pick = finalists[0]
    beside = {
        one.name: {"place": one.place, "ahead": sum(mine > theirs for mine, theirs in zip(pick.values, one.values, strict=True))}
        for one in controls
        if one.digest != pick.entry.digest
    }
    return {
        "outranks": outranks(search, random, objective),
        "seeds": len(pick.values),
        "networks": len({one.entry.digest for one in finalists} | {one.digest for one in controls}),
        "place": pick.place,
        "controls": beside,
        "is": [one.name for one in controls if one.digest == pick.entry.digest],
        "left_out": dict(left_out),
        **({} if longer is None else {"training": longer.in_words()}),
    }


def in_words(run: Mapping[str, Any]) -> list[str]:
    """Say what run.json's `verdict` and `reliability` mean, a sentence each, without full stops."""
    said = []
    found, objective = run.get("verdict"), run.get("objective", "")
    if found is not None:
        said += _standing(found)
        if found["outranks"] is not None:
            chance = found["outranks"]
            bounds = f"[{chance['low']:.2f}, {chance['high']:.2f}]"
            said.append(
                f"a candidate of the search outranks a random one with probability {chance['value']:.2f} {bounds} by {objective},"
                " each scored once"
            )
        said += [f"{name} is not among them: {why}" for name, why in found["left_out"].items()]
    if "reliability" in run:
        said += agreement.in_words(run["reliability"], objective)
    return said


def _standing(found: Mapping[str, Any]) -> list[str]:
    """Say where the pick stands among finalists and controls."""
    if found["is"]:
        return [f"the best of the search is {_named(found['is'][0])}: nothing better was found"]
    if not found["controls"]:
        return []
    seeds = found["seeds"]
    on = "one held-out seed" if seeds == 1 else f"{seeds} held-out seeds"
    training = f"after {found['training']}, " if "training" in found else ""
    among = f"{found['networks']} finalists and controls"
    text = f"{training}on {on}, the same for all, the pick has rank {found['place']} of {among}"
    beside: dict[str, list[str]] = {"behind": [], "level with": [], "ahead of": []}
    for name, one in found["controls"].items():
        where = "behind" if one["place"] < found["place"] else "level with" if one["place"] == found["place"] else "ahead of"
        beside[where].append(f"{_named(name)} ({one['ahead']} of {seeds})")
    text += "".join(f"; {where} {', '.join(names)}" for where, names in beside.items() if names)
    return [f"{text} (in brackets: seeds on which the pick is above)"]


def _named(name: str) -> str:
    return {START: "the start", RANDOM: "the random search's best"}.get(name, name)
