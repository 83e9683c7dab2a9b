"""What a training was trained on: kept in its folder, and compared before a resume goes on.

RUN/data.json    one entry, and one more for each time that a resume was told to go on with other data
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from downstream.data.fingerprint import Fingerprint, changes
from downstream.train.history import read_history
from uninas.errors import InputError
from uninas.files.run_files import odd, read_run_json
from uninas.files.writing import write_json

__all__ = ["FILE", "TrainedOn", "check", "compare", "write"]

FILE = "data.json"
FORMAT, VERSION = "uninas-training-data", 1
_EXPECTED = "what a training was trained on"


@final
@dataclass(frozen=True)
class TrainedOn:
    """The data that a training has now.

    Attributes:
        folder: where they lie; the same data may lie elsewhere.
        describe: gives what tells them from others; called in one process.
        accepted: whether to go on with them whatever was trained on before.
        note: called with what the user should know.
    """

    folder: Path
    describe: Callable[[], Fingerprint]
    accepted: bool = False
    note: Callable[[str], None] = lambda text: None


def write(run: Path, on: TrainedOn) -> None:
    """Write down the data of a training that begins. Raises InputError: the disk is full."""
    _write(run, [_entry(1, on, on.describe())])


def compare(run: Path, on: TrainedOn) -> list[str]:
    """Say how the data differ from those that epochs were trained on, a phrase for each part; nothing is written.

    Raises:
        InputError: they do, and that is not accepted.
    """
    entries = _read(run)
    if not entries or not read_history(run):  # not known, or nothing was learnt
        return []
    with odd(run / FILE, expected=_EXPECTED):
        different, folder = changes(on.describe(), entries[-1]["parts"]), str(entries[-1]["folder"])
    if different and not on.accepted:
        raise InputError(
            f"{run}: expected the data that it was trained on, those of {folder}; {'; '.join(different)}: give them by --data, "
            "begin another training, or go on all the same with --accept-changes"
        )
    return different


def check(run: Path, on: TrainedOn) -> None:
    """Compare the data of a resume with those before, and write down what was accepted, or not known.

    Raises:
        InputError: as `compare`.
    """
    different, entries, epochs = compare(run, on), _read(run), len(read_history(run))
    if entries and epochs and not different:
        return
    if different:
        on.note(f"warning: {'; '.join(different)}: trained on other data from epoch {epochs + 1} on")
    elif epochs:
        on.note(f"{run}: was begun before its data were recorded, so they cannot be checked; recorded from here on")
    _write(run, [*(entries if epochs else []), _entry(epochs + 1, on, on.describe())])


def _entry(epoch: int, on: TrainedOn, parts: Fingerprint) -> dict[str, Any]:
    return {"from_epoch": epoch, "folder": str(on.folder.absolute()), "parts": parts}


def _write(run: Path, entries: list[dict[str, Any]]) -> None:
    write_json(run / FILE, {"format": FORMAT, "version": VERSION, "data": entries})


def _read(run: Path) -> list[dict[str, Any]]:
    """Give what was trained on, none where the training is older than this file."""
    if not (run / FILE).exists():
        return []
    data = read_run_json(run, FILE, place="the folder of a training", content=_EXPECTED)
    with odd(run / FILE, expected=_EXPECTED):
        if (data["format"], data["version"]) != (FORMAT, VERSION) or not data["data"]:
            raise ValueError("another format")
        return list(data["data"])
