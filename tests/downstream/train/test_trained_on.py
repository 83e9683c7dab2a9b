"""A training goes on with the data that it was trained on: others are refused, or accepted and written down."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from downstream.data.fingerprint import below_folder, changes, of_files
from downstream.train import trained_on
from downstream.train.classify import train
from downstream.train.dense_data import LAYOUT, described
from downstream.train.history import read_history
from downstream.train.result import Watch
from downstream.train.run_folder import alone
from downstream.train.settings import read_settings
from downstream.train.trained_on import TrainedOn
from tests.downstream import pictures
from tests.downstream.trainings import ROOT, rows_of, settings
from tests.uninas.files.read_only import run_with_read_only
from uninas import InputError


class Notes(Watch):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Stop(Watch):
    """Ends a training after its first epoch."""

    def epoch(self, row: object) -> None:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, and a training on them of which one epoch of two is done."""
    folder = tmp_path_factory.mktemp("first")
    data = pictures.make(folder / "data", train=4, val=2)
    with pytest.raises(KeyboardInterrupt):
        train(settings(epochs=2, batch=4), data, folder / "run", workers=0, watch=Stop())
    return folder


@pytest.fixture
def begun(first: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The data and the training in a folder of the test's own."""
    shutil.copytree(first, tmp_path / "here")
    return tmp_path / "here" / "data", tmp_path / "here" / "run"


def one_more(data: Path) -> None:
    shutil.copy(data / "train/red/00.png", data / "train/red/99.png")


def another_resolution(data: Path) -> None:
    shutil.rmtree(data)
    pictures.make(data, train=4, val=2, side=16)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (one_more, "train has 13 files and had 12: give them"),
        (another_resolution, "train has other files, 12 as before; val has other files, 6 as before: give them"),
    ],
)
def test_other_data_are_refused_and_change_nothing(change: Callable[[Path], None], said: str, begun: tuple[Path, Path]) -> None:
    data, run = begun
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    change(data)
    with pytest.raises(InputError, match=rf"run: expected the data that it was trained on, .*data; {said}.*--accept-changes"):
        train(read_settings(run), data, run, workers=0, resume=True)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_accepted_data_go_on_and_the_folder_says_from_which_epoch(begun: tuple[Path, Path]) -> None:
    data, run = begun
    one_more(data)
    watch = Notes()
    train(read_settings(run), data, run, workers=0, resume=True, watch=watch, accept_changes=True)
    assert "warning: train has 13 files and had 12: trained on other data from epoch 2 on" in watch.notes
    entries = json.loads((run / "data.json").read_text())["data"]
    assert [(entry["from_epoch"], entry["parts"]["train"]["files"]) for entry in entries] == [(1, 12), (2, 13)]
    assert len(rows_of(run)) == 2
    train(read_settings(run), data, run, workers=0, resume=True)  # accepted once


def test_the_same_data_elsewhere_are_the_same(begun: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = begun
    before = (run / "data.json").read_bytes()
    elsewhere = shutil.move(data, tmp_path / "elsewhere")
    watch = Notes()
    train(read_settings(run), elsewhere, run, workers=0, resume=True, watch=watch)
    assert watch.notes == []
    assert (run / "data.json").read_bytes() == before


def test_a_training_from_before_is_resumed_with_a_line_that_says_so(begun: tuple[Path, Path]) -> None:
    data, run = begun
    (run / "data.json").unlink()
    watch = Notes()
    train(read_settings(run), data, run, workers=0, resume=True, watch=watch)
    assert sum("cannot be checked" in note for note in watch.notes) == 1
    assert json.loads((run / "data.json").read_text())["data"][0]["from_epoch"] == 2


def test_data_of_a_training_without_an_epoch_may_change(begun: tuple[Path, Path]) -> None:
    data, run = begun
    for name in ("log.csv", "checkpoint.pth"):
        (run / name).unlink()
    one_more(data)
    train(read_settings(run), data, run, workers=0, resume=True)
    assert [entry["parts"]["train"]["files"] for entry in json.loads((run / "data.json").read_text())["data"]] == [13]
    assert len(read_history(run)) == 2


@pytest.mark.parametrize("text", ["{}", "[]", '{"format": "uninas-training-data", "version": 1, "data": [3]}', "{"])
def test_an_odd_file_is_one_line(text: str, begun: tuple[Path, Path]) -> None:
    data, run = begun
    (run / "data.json").write_text(text)
    with pytest.raises(InputError, match=r"data\.json") as raised:
        trained_on.check(run, TrainedOn(data, lambda: {}))
    assert "\n" not in str(raised.value)


def test_names_and_sizes_tell_files_and_order_does_not(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "22")):
        (tmp_path / name).write_text(text)
    first = of_files(tmp_path, ["a", "b"])
    assert of_files(tmp_path, ["b", "a"]) == first == below_folder(tmp_path)
    (tmp_path / "b").write_text("333")
    assert of_files(tmp_path, ["a", "b"]) != first
    (tmp_path / "b").write_text("22")
    (tmp_path / ".hidden").write_text("")
    assert below_folder(tmp_path) == first
    (tmp_path / "b").rename(tmp_path / "c")
    assert changes({"x": below_folder(tmp_path)}, {"x": first}) == ["x has other files, 2 as before"]


ALONE = """
import sys
from pathlib import Path
from downstream.train.run_folder import alone
from uninas.errors import InputError

try:
    with alone(Path(sys.argv[1])):
        pass
except InputError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_one_line(begun: tuple[Path, Path]) -> None:
    """Of a training and of a refine: both are held so."""
    _, run = begun
    done = run_with_read_only(run, sys.executable, "-c", ALONE, str(run), cwd=ROOT)
    assert done.stderr == ""
    said = f"{run}/settings.json: expected a training to go on with; cannot write it: Read-only file system\n"
    assert done.stdout == said


def test_a_folder_that_is_no_training_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"settings\.json: expected a training to go on with; cannot write it: No such file"),
        alone(tmp_path),
    ):
        raise AssertionError("there is nothing to hold")


def test_annotations_are_told_by_their_content_and_images_as_files(tmp_path: Path) -> None:
    for name in LAYOUT["detect"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_text("{}")
        else:
            path.mkdir()
            (path / "1.jpg").write_text("one")
    first = described("detect", tmp_path)
    (tmp_path / LAYOUT["detect"][0]).write_text("[]")
    (tmp_path / "val2017/2.jpg").write_text("two")
    said = ["annotations/instances_train2017.json is another file", "val2017 has 2 files and had 1"]
    assert changes(described("detect", tmp_path), first) == said
