"""Picks of searches and presets trained whole: what is left to train, what the page says of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.trained import search_by_training, whole_trainings
from benchmarks.trained.whole_trainings import COLUMNS, FILE, known, left, networks

PRESETS = ["resnet", "efficientnet", "vit", "coatnet"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(search_by_training.FOLDER / "model-0", tmp_path / "model-0")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "journal.jsonl").write_text("")
    return tmp_path


def add(folder: Path, seed: int, top1: float) -> None:
    digest = networks(folder)["model-0"].digest
    file = folder / FILE
    before = file.read_text() if file.exists() else ",".join(COLUMNS) + "\n"
    file.write_text(f"{before}model-0,{digest},{seed},{top1},9.5\n")


def test_the_picks_of_finished_runs_and_the_presets_are_trained(folder: Path) -> None:
    assert list(networks(folder)) == ["model-0", *PRESETS]


def test_what_the_truth_has_is_not_trained_again(folder: Path) -> None:
    wanted = networks(folder)
    assert left(folder, wanted, range(3)) == [("model-0", 0), ("model-0", 1), ("model-0", 2), *((name, 2) for name in PRESETS)]
    add(folder, 1, 66.0)
    assert left(folder, wanted, range(2)) == [("model-0", 0)]
    assert len(known(folder, wanted)) == 2 * len(PRESETS) + 1


def test_the_page_compares_picks_with_the_presets_and_the_truth(folder: Path) -> None:
    assert search_by_training.trained_whole(folder) == [], "nothing to say yet"
    add(folder, 0, 99.0)
    add(folder, 1, 98.0)
    text = "\n".join(search_by_training.trained_whole(folder))
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert lines[0].startswith("| model-0 | 98.50 | 99.00 98.00 | 0 | ")
    assert lines[1].startswith("| **efficientnet** | 64.97 | 65.56 64.39 | ")
    assert len(lines) == 5
    truth = whole_trainings.truth()
    above = {line.split(" | ")[0].strip("| *"): int(line.split(" | ")[3]) for line in lines}
    for name in PRESETS:
        own = truth.loc[networks(folder)[name].digest, "accuracy"]
        assert above[name] == int((truth["accuracy"] > own).sum()), "on one seed, the same for all"
    assert above["vit"] > 100 > above["efficientnet"]
