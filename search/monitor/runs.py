"""Run folders below a folder, each in a row: what it is, how it stands, how far it is, the best so far. Nothing is written.

A search is read as `uninas watch` reads it. Of other kinds the few files are read that their own programs leave for others:
run.json of a ground truth and of a benchmark, sweep.json, settings.json and log.csv of a training, and of a refine its decisions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.monitor.follow import RunFollower
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.run_files import odd
from uninas.files.tables import read_numbers

__all__ = ["Row", "below"]

DEPTH = 3
"""Folders below the given one that are looked into: runs/<sweep>/<search>, runs/<group>/<run>."""

JOURNAL = "journal.jsonl"
_SETTINGS = "settings.json"
_METRICS = ("top1", "top1_ema", "box_ap", "mask_ap", "miou")  # columns that a training is judged by


@dataclass(frozen=True)
class Row:
    """One run folder.

    Attributes:
        path: as it was found: below the folder that was asked for.
        kind: search, truth, bench, sweep, training or refine.
        state: complete, running, interrupted, failed, starting, unreadable; or incomplete: whether it runs is not known.
        done, total: of `unit`; None where it is not known.
        unit: what is counted: candidates, trainings, networks, searches, epochs.
        best: scores of the best so far, by name; empty where there is none.
        age_seconds: since something of it last changed.
        reason: why it is unreadable; None for any other.
    """

    path: str
    kind: str
    state: str
    done: int | None
    total: int | None
    unit: str
    best: Mapping[str, float]
    age_seconds: float
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give the row as JSON-able data."""
        return {**asdict(self), "age_seconds": round(self.age_seconds, 1)}


def below(folder: Path, now: Callable[[], float] = time.time) -> list[Row]:
    """List the run folders in a folder and below, and the folder itself where it is one: the one that changed last first.

    Args:
        folder: that holds runs.
        now: seconds since the epoch.
    """
    rows = [_row(place, kind, now()) for place, kind in _found(folder, DEPTH)]
    return sorted(rows, key=lambda row: (row.age_seconds, row.path))


def kind_of(folder: Path) -> str | None:
    """Say of which kind a run folder is by the names of its files and the format that one of them states; None for any other."""
    if (folder / "sweep.json").is_file():
        return "sweep"
    stated = _KINDS.get(str(_object(folder / _SETTINGS).get("format")))
    if stated is not None:
        return stated
    if (folder / "config.yaml").is_file() and ((folder / JOURNAL).is_file() or (folder / "run.json").is_file()):
        return "truth" if (folder / "networks.csv").is_file() else "search"
    return None


_KINDS = {"uninas-bench": "bench", "uninas-training": "training", "uninas-refine": "refine"}


def _found(folder: Path, depth: int) -> Iterator[tuple[Path, str]]:
    """Give run folders with their kinds; a link to a folder is not followed, which may lead anywhere."""
    try:
        kind = kind_of(folder)
        refined = kind == "search" and kind_of(folder / "refine") == "refine"
        below = kind in (None, "sweep") and depth > 0
        found = sorted(folder.iterdir()) if below else []
        inner = [path for path in found if path.is_dir() and not path.is_symlink() and path.name[0] != "."]
    except OSError:
        return  # of another user
    if kind is not None:
        yield folder, kind
        if refined:
            yield folder / "refine", "refine"
    if below:
        for place in inner:
            yield from _found(place, depth - 1)


def _row(folder: Path, kind: str, now: float) -> Row:
    """Read one run; a damaged one is a row that says so."""
    age = max(0.0, now - _changed(folder))
    try:
        with odd(folder):
            state, done, total, unit, best = _READERS[kind](folder)
    except (InputError, OSError) as error:  # of another user, or removed by now
        return Row(str(folder), kind, "unreadable", None, None, "", {}, age, str(error))
    return Row(str(folder), kind, state, done, total, unit, {name: one for name, one in best.items() if math.isfinite(one)}, age)


Figures = tuple[str, int | None, int | None, str, Mapping[str, float]]


def _search(folder: Path) -> Figures:
    if not (folder / JOURNAL).is_file():
        return "starting", 0, None, "candidates", {}
    snapshot = RunFollower(folder).look()
    candidates = [name for name in snapshot.totals if name != "finalists"]
    done = sum(snapshot.phases[name].done for name in candidates if name in snapshot.phases)
    return (
        snapshot.status,
        done,
        sum(snapshot.totals[name] for name in candidates),
        "candidates",
        dict(snapshot.state.best_scores),
    )


def _truth(folder: Path) -> Figures:
    said = _object(folder / "run.json")
    families = _object(folder / "truth.json").get("families", {})
    best = {"top1": float(max(row["best"] for row in families.values()))} if families else {}
    if not said:
        return "starting", 0, None, "trainings", best
    return str(said["status"]), int(said["trainings"]), int(said["trainings"]) + int(said["left"]), "trainings", best


def _bench(folder: Path) -> Figures:
    said = _object(folder / "run.json")
    if not said:
        return "starting", 0, None, "networks", {}
    return str(said["status"]), int(said["networks"]) - int(said["left"]), int(said["networks"]), "networks", {}


def _sweep(folder: Path) -> Figures:
    names = list(_object(folder / "sweep.json")["searches"])
    states = [str(_object(folder / name / "run.json").get("status", "")) for name in names]
    done = states.count("complete")
    state = "complete" if done == len(names) else "running" if "running" in states else "incomplete"
    return state, done, len(names), "searches", {}


def _training(folder: Path) -> Figures:
    epochs, rows = int(_object(folder / _SETTINGS)["epochs"]), _log(folder)
    done = int(rows[-1]["epoch"]) if rows else 0
    best = {name: max(row[name] for row in rows if name in row) for name in _METRICS if any(name in row for row in rows)}
    return "complete" if done >= epochs else "incomplete", done, epochs, "epochs", best


def _refine(folder: Path) -> Figures:
    wanted = len(_object(folder / _SETTINGS)["finalists"])
    try:
        records = read_json(folder / "decisions.json")
    except FileNotFoundError:
        records = []
    ended = {record["finalist"] for record in records if record["decision"] in ("stop", "done")}
    top1 = [float(record["top1"]) for record in records if "top1" in record]
    state = "complete" if len(ended) >= wanted else "incomplete"
    return state, len(ended), wanted, "trainings", {"top1": max(top1)} if top1 else {}


_READERS: Mapping[str, Callable[[Path], Figures]] = {
    "search": _search,
    "truth": _truth,
    "bench": _bench,
    "sweep": _sweep,
    "training": _training,
    "refine": _refine,
}


def _object(path: Path) -> Mapping[str, Any]:
    """Read a JSON object; nothing where there is no such file, or another value."""
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _log(folder: Path) -> list[dict[str, float]]:
    path = folder / "log.csv"
    return read_numbers(path) if path.exists() else []


def _changed(folder: Path) -> float:
    """When a file at the top of a run last changed, in seconds since the epoch; 0 where nothing can be read."""
    times = []
    try:
        for path in [folder, *folder.iterdir()]:
            if path.is_file() or path == folder:
                times.append(path.stat().st_mtime)
    except OSError:
        pass  # removed, or of another user
    return max(times, default=0.0)
