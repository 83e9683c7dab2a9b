"""What finalists are compared with: the search's start, the random search's best, and hand-made networks of the same budget.

A preset is fitted to the bounds of the budget; where it bounds no parameters or MACs, to those of the search's leader.

RUN/controls/start.json, random.json, resnet.json, ..    their architecture files, once they have been scored
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uninas
from search.algorithms.candidate import Candidate, Space
from search.config.plan import SearchPlan
from search.config.schema import RANDOM, START
from search.engine.finals.finalists import Control, choose, rebuild
from search.engine.phase import Entry
from search.journal.endings import Controls
from search.spaces.budget import bounds_of
from uninas.errors import InputError
from uninas.files.paths import own_folder
from uninas.files.writing import write_text
from uninas.networks.fitted import fitted
from uninas.networks.presets import PRESETS

FOLDER = "controls"


@dataclass(frozen=True)
class Network:
    """The network of a control.

    Attributes:
        digest: of its canonical form.
        cost: counted, by name.
        text: what is scored.
        document: writes its architecture file, with metadata.
    """

    digest: str
    cost: Mapping[str, int]
    text: str
    document: Callable[[Mapping[str, Any]], str]


def networks(
    plan: SearchPlan, space: Space, journal: Path, random: Sequence[Entry], leader: Candidate
) -> tuple[dict[str, Network], dict[str, str]]:
    """Make the networks that a plan wants as controls; give them by name, and by name why there is none.

    Args:
        plan: of the run.
        space: of the run.
        journal: of the run.
        random: candidates of the random search; empty where there was none, which then is no control and needs no reason.
        leader: the best of the search.

    Raises:
        JournalError: as `rebuild`.
    """
    found: dict[str, Network] = {}
    left_out: dict[str, str] = {}
    for name in plan.controls:
        if name == START:
            found[name] = _of_space(space, space.starts()[0])
        elif name == RANDOM:
            best = choose(random, plan.objective, 1)
            if best:
                found[name] = _of_space(space, rebuild(journal, space, [best[0].digest], RANDOM)[best[0].digest])
        else:
            try:
                found[name] = _preset(plan, name, leader.cost)
            except InputError as error:
                left_out[name] = str(error)
    start = found.get(START)
    same = next((name for name in found if name in PRESETS and start and found[name].digest == start.digest), None)
    if same is not None:  # as with space.fitted: one network, one name
        del found[START]
        left_out[START] = f"it is {same}"
    return found, left_out


def _of_space(space: Space, candidate: Candidate) -> Network:
    return Network(candidate.digest, candidate.cost, space.text(candidate), lambda more: space.document(candidate, more))


def _preset(plan: SearchPlan, name: str, leader: Mapping[str, int]) -> Network:
    bounds = {key: leader[key] for key in ("params", "macs") if key in leader} | bounds_of(plan.budget)
    made = uninas.canonicalise(fitted(name, bounds, classes=plan.classes, input_size=plan.size))
    cost = uninas.cost(made, plan.size).as_dict()
    return Network(made.digest, cost, uninas.to_text(made), lambda more: uninas.to_text(made, more))


def written(folder: Path, controls: Iterable[Control], made: Mapping[str, Network], objective: str) -> list[dict[str, Any]]:
    """Write the architecture files of controls into a run's folder; give the controls as run.json has them, best first."""
    rows, files = [], set()
    own_folder(folder, FOLDER)
    for one in controls:
        network, file = made[one.name], f"{FOLDER}/{one.name}.json"
        row = {"digest": one.digest, "place": one.place, "cost": dict(network.cost), "mean": dict(one.mean)}
        write_text(folder / file, network.document({"objective": objective, "control": one.name, **row}))
        rows.append({"name": one.name, "file": file, "value": one.value, "values": list(one.values), **row})
        files.add(folder / file)
    for stale in set((folder / FOLDER).glob("*.json")) - files:  # of before an extension
        stale.unlink()
    return rows


def still(record: Controls | None, candidates: int) -> Mapping[str, str]:
    """Give the digests of a run's controls by name; none where they are those of before an extension, or not chosen yet."""
    return record.digests if record is not None and record.candidates == candidates else {}
