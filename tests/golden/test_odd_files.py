"""Files of a run with one value that is another or missing: read for what they say, or one line; never a traceback."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import search
import uninas
from downstream.refine import run_folder
from downstream.train.settings import read as read_settings
from search.distributed import sweep
from search.engine.session import Session, previous
from search.monitor.follow import RunFollower
from search.report import refined, spectra
from search.report.data import read_run
from tests.amounts import amount
from uninas.errors import InputError

HERE = Path(__file__).parent / "written_by_0_1_0"
VALUES = (None, "x", -1, [], {}, True, [1], {"a": 1}, 1e308, [None], "\x1b[31m", [[[]]])


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield before
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*before, key))
    elif isinstance(value, list):
        for number in range(min(len(value), 2)):
            yield from places(value[number], (*before, number))


def changed(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The document with another value at a place; with none where the value is the place itself."""
    if not place:
        return None if value is place else value
    made = copy.deepcopy(document)
    at = made
    for key in place[:-1]:
        at = at[key]
    if value is place:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    return made


def of_a_status(run: Path) -> None:
    RunFollower(run).look().lines()
    run_folder.finalists_of(run)
    repr(search.open(run))


def of_earlier_sessions(run: Path) -> None:
    rows = Session(run, None, None, None, None, previous(run)).rows  # type: ignore[arg-type]
    assert all(row["environment"].get("torch", "") is not rows for row in rows)


USES: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "status": ("walk", "run.json", of_a_status),
    "sessions": ("walk", "run.json", of_earlier_sessions),
    "report": ("walk", "run.json", read_run),
    "finalist": ("walk", "finalists/01.json", lambda run: uninas.load(run / "finalists" / "01.json").digest),
    "spectra": ("walk", "spectra.json", lambda run: spectra.cached(read_run(run), run)),
    "refined": ("refined", "refine/results.json", lambda run: refined.read_refined(run / "refine")),
    "refine's settings": ("refined", "refine/settings.json", run_folder.read_plan),
    "refine's decisions": (
        "refined",
        "refine/decisions.json",
        lambda run: run_folder.results(run_folder.read_plan(run), run_folder.Decisions.read(run / "refine")),
    ),
    "sweep": ("sweep", "sweep.json", sweep.read_plan),
    "sweep's rows": ("sweep", "000-seed0/run.json", sweep.rows),
    "training": ("train", "settings.json", read_settings),
}


@pytest.mark.parametrize("use", USES)
def test_an_odd_value_is_one_line(use: str, tmp_path: Path) -> None:
    name, file, read = USES[use]
    run = Path(shutil.copytree(HERE / name, tmp_path / name))
    document, rng = json.loads((run / file).read_text(encoding="utf-8")), random.Random(0)
    cases = [(place, value) for place in places(document) for value in (*VALUES, place)]
    for place, value in rng.sample(cases, min(amount(200), len(cases))):
        (run / file).write_text(json.dumps(changed(document, place, value)), encoding="utf-8")
        try:
            read(run)
        except InputError as error:
            assert "\n" not in str(error), (place, value)  # noqa: PT017 to be read is as good


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "null", '{"format": 1, "format": 2}', "\x00", '{"a": ' + "9" * 5000 + "}"]
)
def test_what_is_no_json_object_is_one_line(use: str, text: str, tmp_path: Path) -> None:
    name, file, read = USES[use]
    run = Path(shutil.copytree(HERE / name, tmp_path / name))
    (run / file).write_text(text, encoding="utf-8")
    if use in ("sessions", "spectra") or (use, text) == ("sweep's rows", "null"):  # only describes; is computed again; is begun
        read(run)
        return
    with pytest.raises(InputError) as raised:
        read(run)
    assert "\n" not in str(raised.value)
