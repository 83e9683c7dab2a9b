"""What a run leaves beside its journal: config.yaml, run.json, best.json, finalists/."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from search import config as configuration
from search.candidate import Candidate, Space
from search.finalists import Finalist
from search.objective import Objective
from search.progress import View
from search.schema import SearchConfig
from uninas.errors import InputError
from uninas.files import write_json, write_text

_DECISIVE = ("torch", "device", "precision")  # two scores are comparable only where these are equal


def write_config(folder: Path, config: SearchConfig) -> None:
    """Write the whole configuration, defaults included."""
    write_text(folder / "config.yaml", configuration.to_yaml(config))


def write_run(folder: Path, data: Mapping[str, Any]) -> None:
    """Write run.json."""
    write_json(folder / "run.json", data)


def finalist_rows(finalists: Sequence[Finalist], candidates: Mapping[str, Candidate]) -> list[dict[str, Any]]:
    """Describe the finalists, best first, as run.json has them."""
    return [
        {
            "file": f"finalists/{number:02}.json",
            "digest": finalist.entry.digest,
            "index": finalist.entry.index,
            "place": finalist.place,
            "value": finalist.value,
            "cost": dict(candidates[finalist.entry.digest].cost),
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
) -> None:
    """Write the finalists as architecture files, best first, and the best once more as best.json.

    Raises:
        InputError: not one candidate of the run has a score, so there is no best network.
    """
    if not finalists:
        raise InputError(
            f"{folder}: expected at least one candidate with a score; every one failed: see the reasons in journal.jsonl"
        )
    (folder / "finalists").mkdir(exist_ok=True)
    written = set()
    for row, finalist in zip(finalist_rows(finalists, candidates), finalists, strict=True):
        metadata = {name: row[name] for name in ("digest", "index", "place", "cost", "scores", "mean", "spread")}
        text = space.document(candidates[finalist.entry.digest], {"objective": objective.name, **metadata})
        write_text(folder / row["file"], text)
        written.add(folder / row["file"])
        if len(written) == 1:
            write_text(folder / "best.json", text)
    for stale in set((folder / "finalists").glob("[0-9]*.json")) - written:  # of before an extension
        stale.unlink()


@final
class Sessions:
    """The sessions of a run: one row each time a driver scored for it."""

    def __init__(self, folder: Path, view: View) -> None:
        self._view = view
        self._began: float | None = None
        self._data = _previous(folder)
        self.rows: list[dict[str, Any]] = list(self._data.get("sessions", []))

    def name(self, given: str | None) -> str:
        """Give the run's name: the one given now, or the one it began with."""
        return given or str(self._data.get("name", "search"))

    def begin(self, environment: Mapping[str, str]) -> None:
        """Note what this session runs on; warn where scores are not comparable with those before."""
        before = self.rows[-1]["environment"] if self.rows else environment
        for name in _DECISIVE:
            if before.get(name) != environment.get(name):
                self._view.note(
                    f"warning: {name} is '{environment.get(name)}' now and was '{before.get(name)}': scores may differ"
                )
        self._began = time.monotonic()
        self.rows.append(
            {
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "wall_seconds": 0.0,
                "environment": {**environment, "platform": platform.machine(), "uninas": _version()},
            }
        )

    def note_time(self) -> None:
        """Bring the running session's wall time up to date."""
        if self._began is not None:
            self.rows[-1]["wall_seconds"] = round(time.monotonic() - self._began, 3)


def _previous(folder: Path) -> dict[str, Any]:
    """Read the run.json of earlier sessions; it only describes, so a missing or harmed one means: nothing known."""
    try:
        data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) and isinstance(data.get("sessions", []), list) else {}


def _version() -> str:
    try:
        return importlib.metadata.version("uninas-ray")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
