"""The files of a refine in the run folder of its search: JSON and tables, without Ray.

RUN/refine/settings.json       the plan
RUN/refine/01/, 02/, ...       one training each, as `uninas train` leaves it; numbered as finalists/ was at its begin
RUN/refine/start/, resnet/, .. those of the controls that were asked for, named as in controls/
RUN/refine/decisions.json      every epoch in the order in which they ended, and whether the training continued
RUN/refine/results.json, .csv  proxy rank and trained rank

The decisions are the only record of what was stopped: a resume repeats them in order, and continues from there. A search that
goes on (evaluations=N) numbers its finalists anew: a training's network is that of its digest, and of its own architecture.json.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, final

from downstream.train import run_folder
from downstream.train.settings import Settings, read_settings
from downstream.train.trained_on import TrainedOn
from uninas.errors import InputError
from uninas.files.paths import below
from uninas.files.run_files import read_run_json
from uninas.files.tables import write_csv
from uninas.files.writing import write_json

__all__ = [
    "Decisions",
    "Finalist",
    "RefinePlan",
    "begin",
    "check_networks",
    "finalists_of",
    "numbers_now",
    "read_plan",
    "results",
    "write_results",
]

FOLDER = "refine"
FORMAT, VERSION = "uninas-refine", 1
ENDS = ("stop", "done", "failed")
"""Decisions that end a training."""


@dataclass(frozen=True)
class Finalist:
    """A finalist of the search, or a control that is trained beside them.

    Raises:
        InputError: the name is neither a number nor that of a control, and must not become a folder; a digest that is no text, a
            place that is no integer.

    Attributes:
        name: of its training's folder, and of its file when the refine began: "01" was the best of finalists/ then, "start" is
            controls/start.json.
        digest: of its network.
        proxy_place: rank among those that are trained by their scores on held-out seeds, when the refine began; 1 is the best.
        place, value: rank among all finalists and controls of the search, and the value of the objective, likewise.
    """

    name: str
    digest: str
    proxy_place: int
    place: int
    value: float

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and re.fullmatch(r"[0-9]+|[a-z]+", self.name)):
            raise InputError(f"finalists: expected files named by numbers or controls, such as 01.json; got {self.name!r}")
        if not isinstance(self.digest, str):
            raise InputError(f"finalists: expected the digest of {self.name} as text; got {self.digest!r}")
        if not isinstance(self.place, int):
            raise InputError(f"finalists: expected the place of {self.name} as an integer; got {self.place!r}")

    @property
    def file(self) -> str:
        """Its architecture file in the folder of the search, as it was named when the refine began."""
        return f"{'finalists' if self.name.isdecimal() else 'controls'}/{self.name}.json"


@dataclass(frozen=True)
class RefinePlan:
    """The settings of a refine; those of its trainings are in their folders.

    Attributes:
        finalists: best first.
        data: folder of images.
        epochs: of a training that is not stopped.
        grace: epochs that every training gets.
        reduction: at each rung (grace, grace * reduction, ...) a training continues only if it is among the best 1 / reduction of
            those that have reached it.
        device: of torch, in a trial.
        cpus, gpus: per trial; a fraction shares a GPU.
        workers: processes per trial that read images.
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


def finalists_of(run: Path, top: int | None = None, beside: Sequence[str] = ()) -> tuple[Finalist, ...]:
    """Read the finalists of a finished search, the best `top` of them, and controls, by name; all in one order, best first.

    A control that is the network of a finalist is left out.

    Raises:
        InputError: not the run of a search, or one without finalists yet, or without such a control.
    """
    data = read_run_json(run, "run.json", place="the run folder of a search", content="what a search writes")
    rows = data.get("finalists") if isinstance(data, dict) and data.get("format") == "uninas-run" else None
    if not rows:
        raise InputError(f"{run}: expected a finished search with finalists; finish it with: uninas search --resume {run}")
    try:
        found = tuple(
            Finalist(Path(row["file"]).stem, row["digest"], number, row["place"], row["value"])
            for number, row in enumerate(rows, start=1)
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{run / 'run.json'}: expected file, digest, place and value of each finalist; {error}") from None
    if top is not None and top > len(found):
        raise InputError(f"--top: expected at most the {len(found)} finalists of the run; got {top}")
    return _in_one_order(found[:top], _controls_of(run, data, beside))


def _controls_of(run: Path, data: Mapping[str, Any], names: Sequence[str]) -> list[Finalist]:
    """Read controls of run.json by name."""
    try:
        rows = [(row["name"], row["digest"], row["place"], row["value"]) for row in data.get("controls", ())]
        there = {name: Finalist(name, digest, 0, place, value) for name, digest, place, value in rows}
    except (KeyError, TypeError) as error:
        raise InputError(f"{run / 'run.json'}: expected name, digest, place and value of each control; {error}") from None
    for name in names:
        if name not in there:
            have = f"one of the run's controls, {', '.join(there)}" if there else "none, for the search had no finalists.controls"
            raise InputError(f"--with: expected {have}; got '{name}'")
    return [there[name] for name in dict.fromkeys(names)]


def _in_one_order(finalists: Sequence[Finalist], controls: Sequence[Finalist]) -> tuple[Finalist, ...]:
    """Number finalists and controls together; of equal place the finalist comes first, and finalists keep their order."""
    known = {finalist.digest for finalist in finalists}
    together = [*finalists, *(control for control in controls if control.digest not in known)]
    order = sorted(together, key=lambda one: (one.place, not one.name.isdecimal())) if controls else together
    return tuple(replace(one, proxy_place=number) for number, one in enumerate(order, start=1))


def begin(run: Path, plan: RefinePlan, trainings: Mapping[str, Settings], on: TrainedOn | None = None) -> None:
    """Create RUN/refine atomically: the plan, and one folder per training, named after the finalist; `on`: the data of all.

    Raises:
        InputError: it exists, or it cannot be written.
    """
    folder, part = run / FOLDER, run / f".{FOLDER}.part"
    if folder.exists():
        raise InputError(
            f"{folder}: expected no refine yet: resume it with uninas refine --resume {run}, or move it away to start again"
        )
    try:
        if part.is_symlink():  # a kill leaves no link: what it leads to is not ours to remove, or to write to
            part.unlink()
        shutil.rmtree(part, ignore_errors=True)  # left by a kill
        for name, settings in trainings.items():
            run_folder.create(settings, part / name, on)
        write_json(part / "settings.json", {"format": FORMAT, "version": VERSION, **asdict(plan)})
        os.rename(part, folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created: {error.strerror or error}") from None


def read_plan(run: Path) -> RefinePlan:
    """Read the plan back.

    Raises:
        InputError: there is none, or not one of this version.
    """
    place = "the run of a search with a refine (uninas refine RUN --data FOLDER)"
    below(run, FOLDER)
    data = read_run_json(run / FOLDER, "settings.json", place=place, content="the settings of a refine")
    names = {field.name for field in fields(RefinePlan)}
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION or names - set(data):
        raise InputError(
            f"{run / FOLDER / 'settings.json'}: expected the settings of a refine, version {VERSION}; got something else"
        )
    try:
        finalists = tuple(Finalist(**row) for row in data["finalists"])
    except TypeError as error:
        raise InputError(f"{run / FOLDER / 'settings.json'}: expected the finalists of a refine; {error}") from None
    return RefinePlan(**{**{name: data[name] for name in names}, "finalists": finalists})


def check_networks(run: Path, plan: RefinePlan) -> None:
    """See that each training's folder has the network of its finalist, by digest.

    Raises:
        InputError: one has another, or cannot be read.
    """
    for finalist in plan.finalists:
        folder = below(run / FOLDER, finalist.name)
        digest = read_settings(folder).architecture.digest
        if digest != finalist.digest:
            raise InputError(
                f"{folder}: expected a training of the network {finalist.digest[:12]}, as {run / FOLDER / 'settings.json'} says; "
                f"got {digest[:12]}: it was moved here"
            )


def numbers_now(run: Path) -> dict[str, str]:
    """Give the names of the files in finalists/ and controls/ as they are now, by digest; none while the search is going on."""
    try:
        data = read_run_json(run, "run.json", place="the run folder of a search", content="what a search writes")
        beside = [row["name"] for row in data.get("controls", ())]
        return {one.digest: one.name for one in finalists_of(run, beside=beside)}
    except (InputError, AttributeError, KeyError, TypeError):
        return {}


@final
class Decisions:
    """Every epoch in the order in which they ended, each with the decision: go_on, stop, done or failed.

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
        """Read the decisions, none where there are none yet. Failures are left out, because a resume tries them again.

        Raises:
            InputError: the file was changed.
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
            raise InputError(
                f"{folder / 'decisions.json'}: expected finalist, epoch, top1 and decision of each record; the file was changed"
            )
        return Decisions(folder, kept)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a record; it is on disk when this returns."""
        self.records.append(record)
        write_json(self.path, self.records)

    def has(self, finalist: str, epoch: int) -> bool:
        """Whether there is a decision on that epoch."""
        return any(record["finalist"] == finalist and record.get("epoch") == epoch for record in self.records)

    def end(self, finalist: str) -> str | None:
        """Give the decision that ended a training: stop, done or failed; None if it has not ended."""
        of = (record["decision"] for record in self.records if record["finalist"] == finalist)
        return next((decision for decision in of if decision in ENDS), None)


def results(plan: RefinePlan, decisions: Decisions, held_out: int | None = None) -> dict[str, Any]:
    """Rank the finalists by their training, as successive halving does: first by epochs, then by accuracy there.

    Equal ones share a rank; a training that failed has none. `held_out`: how many images the accuracies are of.
    """
    rows = []
    for finalist in plan.finalists:
        of = [record for record in decisions.records if record["finalist"] == finalist.name]
        curve = [record["top1"] for record in of if "top1" in record]
        end = decisions.end(finalist.name)
        reason = next((record["reason"] for record in of if record["decision"] == "failed"), None)
        rows.append(
            {
                "finalist": finalist.name,
                "digest": finalist.digest,
                "proxy_place": finalist.proxy_place,
                "place": finalist.place,
                "value": finalist.value,
                "status": end or "open",
                "reason": reason,
                "epochs": len(curve),
                "top1": curve[-1] if curve else None,
                "top1_at_grace": curve[plan.grace - 1] if len(curve) >= plan.grace else None,
                "curve": curve,
            }
        )
    reached = [(row["epochs"], row["top1"]) for row in rows if row["curve"] and row["status"] != "failed"]
    for row in rows:
        ranked = row["curve"] and row["status"] != "failed"
        row["trained_place"] = 1 + sum(other > (row["epochs"], row["top1"]) for other in reached) if ranked else None
    return {
        "format": "uninas-refine-results",
        "version": 1,
        "complete": all(row["status"] != "open" for row in rows),
        "epochs": plan.epochs,
        "grace": plan.grace,
        "reduction": plan.reduction,
        "held_out": held_out,
        "finalists": rows,
    }


_COLUMNS = (
    "finalist",
    "digest",
    "status",
    "epochs",
    "top1",
    "top1_at_grace",
    "proxy_place",
    "trained_place",
    "place",
    "value",
    "reason",
)


def write_results(run: Path, found: Mapping[str, Any]) -> None:
    """Write results.json and results.csv."""
    write_json(run / FOLDER / "results.json", found)
    write_csv(run / FOLDER / "results.csv", found["finalists"], _COLUMNS)
