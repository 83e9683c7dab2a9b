"""The results of a search as files: best.json, finalists/, front/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.algorithms.candidate import Candidate, Space
from search.engine.finals.finalists import Finalist
from search.engine.pareto_front import Member
from search.engine.phase import Entry
from search.ranking.objective import LATENCY, Objective
from uninas.errors import InputError
from uninas.files.paths import own_folder
from uninas.files.writing import write_text


def _rows(finalists: Sequence[Finalist], candidates: Mapping[str, Candidate]) -> list[dict[str, Any]]:
    """Describe the finalists, best first, as run.json has them."""
    return [
        {
            "file": f"finalists/{number:02}.json",
            "digest": finalist.entry.digest,
            "index": finalist.entry.index,
            "place": finalist.place,
            "value": finalist.value,
            "cost": dict(candidates[finalist.entry.digest].cost),
            **_measured(finalist.entry),
            "scores": dict(finalist.entry.scores),
            "mean": dict(finalist.mean),
            "spread": dict(finalist.spread),
            "rescores": [
                {"repeat": rescore.repeat, "seed": rescore.seed, "scores": dict(rescore.scores)} for rescore in finalist.rescores
            ],
        }
        for number, finalist in enumerate(finalists, start=1)
    ]


def write_finalists(
    folder: Path,
    finalists: Sequence[Finalist],
    candidates: Mapping[str, Candidate],
    space: Space,
    objective: Objective,
) -> list[dict[str, Any]]:
    """Write the finalists as architecture files, best first, and the best once more as best.json; give them as run.json has them.

    Raises:
        InputError: not one candidate of the run has every score, so there is no best network.
    """
    if not finalists:
        raise InputError(
            f"{folder}: expected at least one candidate with every score of {objective.name}; all failed: see the reasons in "
            "journal.jsonl"
        )
    own_folder(folder, "finalists")
    written = set()
    rows = _rows(finalists, candidates)
    for row, finalist in zip(rows, finalists, strict=True):
        names = ("digest", "index", "place", "cost", LATENCY, "device", "scores", "mean", "spread")
        metadata = {name: row[name] for name in names if name in row}
        text = space.document(candidates[finalist.entry.digest], {"objective": objective.name, **metadata})
        write_text(folder / row["file"], text)
        written.add(folder / row["file"])
        if len(written) == 1:
            write_text(folder / "best.json", text)
    for stale in set((folder / "finalists").glob("[0-9]*.json")) - written:  # of before an extension
        stale.unlink()
    return rows


def _measured(entry: Entry) -> dict[str, Any]:
    """Give the latency with its device, where it was measured."""
    return {LATENCY: entry.costs[LATENCY], "device": entry.device} if LATENCY in entry.costs else {}


def write_front(
    folder: Path,
    members: Sequence[Member],
    candidates: Mapping[str, Candidate],
    space: Space,
    objectives: Sequence[str],
) -> list[dict[str, Any]]:
    """Write architecture files of the front's members that are among `candidates`; give all members as run.json has them.

    front/ stands beside finalists/: the finalists are few, rescored on held-out seeds, best first; the front is the whole
    trade-off as the search saw it, best score first. A member without a file can be made again from the journal.
    """
    own_folder(folder, "front")
    digits = max(2, len(str(len(members))))
    rows, written = [], set()
    for number, member in enumerate(members, start=1):
        entry, candidate = member.entry, candidates.get(member.entry.digest)
        file = None if candidate is None else f"front/{number:0{digits}}.json"
        row = {
            "digest": entry.digest,
            "index": entry.index,
            "place": member.place,
            "value": member.value,
            "costs": {name: entry.costs[name] for name in objectives if name in entry.costs},
            **({"device": entry.device} if LATENCY in entry.costs else {}),
            "scores": dict(entry.scores),
        }
        if candidate is not None and file is not None:
            write_text(folder / file, space.document(candidate, {"objectives": list(objectives), **row}))
            written.add(folder / file)
        rows.append({"file": file, **row})
    for stale in set((folder / "front").glob("[0-9]*.json")) - written:  # of before an extension
        stale.unlink()
    return rows
