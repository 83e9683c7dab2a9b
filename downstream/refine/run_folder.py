"""What the short trainings of a search's finalists leave in the search's run folder. Files of JSON and tables alone, no Ray.

RUN/refine/settings.json       what was asked for: the plan
RUN/refine/01/, 02/, ...       a training each, as `uninas train` leaves it; 01 is finalists/01.json
RUN/refine/decisions.json      every epoch in the order in which they ended, and whether the training then went on
RUN/refine/results.json, .csv  proxy place and trained place

The decisions are the truth of what was stopped: a resume repeats them in their order, and goes on behind them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, final

from downstream.train import run_folder
from downstream.train.settings import Settings
from uninas.errors import InputError
from uninas.runtime.files import read_run_json, write_csv, write_json

__all__ = ["Decisions", "Finalist", "Plan", "begin", "finalists_of", "read", "results", "write_results"]

FOLDER = "refine"
FORMAT, VERSION = "uninas-refine", 1
ENDS = ("stop", "done", "failed")
"""Decisions after which a training does not go on."""


@dataclass(frozen=True)
class Finalist:
    """A finalist of the search.

    Raises:
        InputError: a name that is no number, which no folder is to be made of.

    Attributes:
        name: of its file in finalists/ and of its training's folder: "01" is the best.
        digest: of its network.
        proxy_place: among the finalists, by the search: 1 is the best.
        place, value: within the search's final population, and the objective's value there.
    """

    name: str
    digest: str
    proxy_place: int
    place: int
    value: float

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.isdecimal()):
            raise InputError(f"finalists: expected files named by numbers, such as 01.json; got {self.name!r}")


@dataclass(frozen=True)
class Plan:
    """What a refine was asked for; the trainings' own settings lie in their folders.

    Attributes:
        finalists: best first.
        data: folder of pictures.
        epochs: of a training that is never stopped.
        grace: epochs that every training gets.
        reduction: at each rung (grace, grace * reduction, ..) a training goes on only within the best 1 / reduction of those that
            were there before.
        device: of torch, in a trial.
        cpus, gpus: of each trial; a fraction of a GPU is shared.
        workers: processes that read pictures, of each trial.
        concurrent: trials at a time.
    """

    finalists: tuple[Finalist, ...]
    data: str
    epochs: int
    grace: int
    reduction: float
    device: str
    cpus: int
    gpus: float
    workers: int
    concurrent: int


def finalists_of(run: Path, top: int | None = None) -> tuple[Finalist, ...]:
    """Read the finalists of a finished search, best first; the best `top` of them.

    Raises:
        InputError: no run of a search, or one that has no finalists yet.
    """
    data = read_run_json(run, "run.json", place="the run folder of a search", content="what a search writes")
    rows = data.get("finalists") if isinstance(data, dict) and data.get("format") == "uninas-run" else None
    if not rows:
        raise InputError(f"{run}: expected a finished search with finalists; bring it to its end: uninas search --resume {run}")
    try:
        found = tuple(
            Finalist(Path(row["file"]).stem, row["digest"], number, row["place"], row["value"])
            for number, row in enumerate(rows, start=1)
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{run / 'run.json'}: expected file, digest, place and value of each finalist; {error}") from None
    if top is not None and top > len(found):
        raise InputError(f"--top: expected at most the {len(found)} finalists of the run; got {top}")
    return found[:top]


def begin(run: Path, plan: Plan, trainings: Mapping[str, Settings]) -> None:
    """Make RUN/refine at once: the plan, and a folder for each training, by the finalists' names.

    Raises:
        InputError: there is one already, or the disk refuses.
    """
    folder, part = run / FOLDER, run / f".{FOLDER}.part"
    if folder.exists():
        raise InputError(f"{folder}: expected none yet: go on with uninas refine --resume {run}, or move it away to begin anew")
    try:
        shutil.rmtree(part, ignore_errors=True)  # of a kill
        for name, settings in trainings.items():
            run_folder.create(settings, part / name)
        write_json(part / "settings.json", {"format": FORMAT, "version": VERSION, **asdict(plan)})
        os.rename(part, folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {error.strerror or error}") from None


def read(run: Path) -> Plan:
    """Read the plan back.

    Raises:
        InputError: there is none, or not one that this version wrote.
    """
    place = "the run of a search that was refined (uninas refine RUN --data FOLDER)"
    data = read_run_json(run / FOLDER, "settings.json", place=place, content="the settings of a refine")
    names = {field.name for field in fields(Plan)}
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION or names - set(data):
        raise InputError(f"{run / FOLDER / 'settings.json'}: expected the settings of a refine, version {VERSION}; got others")
    try:
        finalists = tuple(Finalist(**row) for row in data["finalists"])
    except TypeError as error:
        raise InputError(f"{run / FOLDER / 'settings.json'}: expected the finalists of a refine; {error}") from None
    return Plan(**{**{name: data[name] for name in names}, "finalists": finalists})


@final
class Decisions:
    """Every epoch that ended, in the order in which they did, each with what was decided: go_on, stop, done or failed.

    Args:
        folder: RUN/refine.
        records: {"finalist", "epoch", "top1", "decision"}; of a failure {"finalist", "decision", "reason"}.

    Attributes:
        path: of the file.
    """

    def __init__(self, folder: Path, records: Sequence[Mapping[str, Any]] = ()) -> None:
        self.path = folder / "decisions.json"
        self.records = list(records)

    @staticmethod
    def read(folder: Path) -> Decisions:
        """Read them, none where there are none yet; failures are left out, for a resume tries again.

        Raises:
            InputError: a file that is not as written.
        """
        if not (folder / "decisions.json").exists():
            return Decisions(folder)
        records = read_run_json(folder, "decisions.json", place="the folder of a refine", content="its decisions")
        try:
            kept = [record for record in records if record["decision"] != "failed"]
            complete = all(isinstance(record["top1"], float) and record["finalist"] and record["epoch"] for record in kept)
        except (TypeError, KeyError):
            complete = False
        if not complete:
            raise InputError(f"{folder / 'decisions.json'}: expected finalist, epoch, top1 and decision of each; it was changed")
        return Decisions(folder, kept)

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep one more; on disk when this returns."""
        self.records.append(record)
        write_json(self.path, self.records)

    def has(self, finalist: str, epoch: int) -> bool:
        """Say whether that epoch has been decided on."""
        return any(record["finalist"] == finalist and record.get("epoch") == epoch for record in self.records)

    def end(self, finalist: str) -> str | None:
        """Give how a training ended: stop, done, failed; None where it has not."""
        of = (record["decision"] for record in self.records if record["finalist"] == finalist)
        return next((decision for decision in of if decision in ENDS), None)


def results(plan: Plan, decisions: Decisions) -> dict[str, Any]:
    """Order the finalists by their training, as successive halving does: who got further, then who is better there.

    Equals share a place; a training that failed is behind all others, and has no place.
    """
    rows = []
    for finalist in plan.finalists:
        of = [record for record in decisions.records if record["finalist"] == finalist.name]
        curve = [record["top1"] for record in of if "top1" in record]
        end = decisions.end(finalist.name)
        reason = next((record["reason"] for record in of if record["decision"] == "failed"), None)
        rows.append(
            {
                "finalist": finalist.name, "digest": finalist.digest, "proxy_place": finalist.proxy_place,
                "place": finalist.place, "value": finalist.value, "status": end or "open", "reason": reason,
                "epochs": len(curve), "top1": curve[-1] if curve else None,
                "top1_at_grace": curve[plan.grace - 1] if len(curve) >= plan.grace else None, "curve": curve,
            }
        )  # fmt: skip
    reached = [(row["epochs"], row["top1"]) for row in rows if row["curve"] and row["status"] != "failed"]
    for row in rows:
        ranked = row["curve"] and row["status"] != "failed"
        row["trained_place"] = 1 + sum(other > (row["epochs"], row["top1"]) for other in reached) if ranked else None
    return {
        "format": "uninas-refine-results", "version": 1, "complete": all(row["status"] != "open" for row in rows),
        "epochs": plan.epochs, "grace": plan.grace, "reduction": plan.reduction, "finalists": rows,
    }  # fmt: skip


_COLUMNS = (
    "finalist", "digest", "status", "epochs", "top1", "top1_at_grace", "proxy_place", "trained_place", "place", "value", "reason",
)  # fmt: skip


def write_results(run: Path, found: Mapping[str, Any]) -> None:
    """Write results.json and results.csv."""
    write_json(run / FOLDER / "results.json", found)
    write_csv(run / FOLDER / "results.csv", found["finalists"], _COLUMNS)
