"""`uninas search CONFIG --dry-run`: candidates are drawn and scored here; nothing is started or written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from search.config import loading
from search.config.plan import SearchPlan
from search.engine import driver
from search.preview import pace, samples
from search.preview.preview import preview
from search.spaces.from_config import from_config
from search.training.recipe import Recipe
from tests.search.commands.test_commands import TINY as BY_SPECTRA
from tests.search.commands.test_commands import refused, uninas_command
from tests.search.conftest import ROOT, Notes, records
from tests.search.training.conftest import make_images
from uninas.errors import InputError

TINY = BY_SPECTRA.replace("vkdnw_agg", "synflow")
TRAINED = """
space: {preset: resnet, widths: [8, 8, 8, 8], depths: [1, 1, 1, 1], random_edits: 2}
algorithm: walk
evaluations: 6
size: 32
classes: 3
budget: {params: 100000}
pool: {kind: serial}
finalists: {count: 1, seeds: 2, controls: []}
training: {pixels: 16, recipe: {epochs: 2, batch: 12}}
"""


def patient(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let candidates be drawn for so long, however busy this machine is."""
    monkeypatch.setattr(samples.draw, "__kwdefaults__", {**(samples.draw.__kwdefaults__ or {}), "seconds": seconds})


@pytest.fixture(autouse=True)
def without_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch, 1e9)


def lines(*overrides: str, text: str = TINY, place: str = "runs/tiny-0") -> list[str]:
    return list(preview(loading.parse(text, overrides), place))


def beginnings(said: list[str]) -> list[str]:
    return [line.partition(":")[0] for line in said]


def test_it_says_what_would_be_searched_and_what_it_would_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = [line for line in lines("evaluations=20") if not line.startswith("warning: ")]  # of little memory or disk here
    assert beginnings(said) == [
        "space",
        "start",
        "budget",
        "objective",
        "algorithm",
        "workers",
        "run folder",
        "speed",
        "time",
        "memory",
        "disk",
    ]
    assert said[2] == "budget: params 100,000"
    assert said[4].endswith(
        "20 candidates, then a random search of 20, then 2 scores of finalists and controls on held-out seeds"
    )
    assert re.search(r"\(measured on 8 candidates\)$", said[7])
    assert list(tmp_path.iterdir()) == []


def test_the_candidates_are_those_that_the_search_begins_with(tmp_path: Path) -> None:
    settings = loading.parse(TINY)
    plan = SearchPlan.resolve(settings)
    first, again = (samples.draw(plan, from_config(settings)) for _ in range(2))
    stable = [(one.phase, one.digest, one.reason) for one in first]
    assert stable == [(one.phase, one.digest, one.reason) for one in again]
    assert {one.reason for one in first} == {None}
    driver.begin(settings, tmp_path / "run", view=Notes().view)
    asked = {phase: [] for phase in ("search", "random")}
    for line in records(tmp_path / "run"):
        if line["kind"] == "candidate":
            asked[line["phase"]].append(line["digest"])
    for phase, digests in asked.items():
        assert [one.digest for one in first if one.phase == phase][:3] == digests[:3]
    assert all(one.peak_bytes is None or one.peak_bytes > 50_000_000 for one in first)
    sizes = [len(line) for line in (tmp_path / "run/journal.jsonl").read_bytes().splitlines() if b'"candidate"' in line]
    assert 0.5 < sizes[0] / first[0].line_bytes < 2


def test_a_minute_that_is_over_leaves_one_of_each_kind() -> None:
    settings = loading.parse(TINY)
    found = samples.draw(SearchPlan.resolve(settings), from_config(settings), seconds=0.0)
    assert [one.phase for one in found] == ["search", "random"]


def test_ray_is_not_started_for_a_search_on_ray(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    code = (
        "import sys; from uninas.cli import program\n"
        "program.main(['search', 'tiny.yaml', '--dry-run', 'pool={kind: ray, workers: 9999}'], standalone_mode=False)\n"
        "import ray; print('started:', ray.is_initialized())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1] == "started: False"
    assert "warning: pool.workers is 9999, and this process may use " in made.stdout
    assert "workers: 9999 on a Ray of this machine, a processor core each" in made.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_the_command_and_a_folder_that_exists(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "runs/tiny-0").mkdir(parents=True)
    (tmp_path / "runs/tiny-0/notes.txt").touch()
    done = uninas_command("search", "tiny.yaml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: runs/tiny-0 exists: the search would be rejected" in done.stdout
    assert "candidate 2 (random): " in done.stderr
    assert [path.name for path in (tmp_path / "runs/tiny-0").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("search", "--resume", "none", "--dry-run"), "--dry-run: expected a configuration; got --resume"),
        (("search", "--dry-run"), "expected a configuration file"),
        (("search", "demo", "--dry-run", "budgt.params=1"), "nearest known key is 'budget'"),
        (("search", "demo", "--dry-run", "budget.params=1000"), "> 1,000 (by "),
    ],
)
def test_what_would_stop_the_search_stops_its_preview(words: tuple[str, ...], message: str) -> None:
    assert message in refused(*words)


def test_a_short_training_is_done_whole_and_a_long_one_told_by_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_images(tmp_path / "colours")
    override = f"training.images={tmp_path / 'colours'}"
    said = "\n".join(lines(override, "objective=top1", "finalists.epochs=4", text=TRAINED))
    assert "objective: top-1 after 2 epochs on all images of" in said
    assert "finalists by 4 epochs" in said
    assert re.search(r"\(measured on 3 candidates: 1 of 3 scorings whole, the others by [1-6] steps of training each\)", said)
    patient(monkeypatch, 0.0)
    said = "\n".join(lines(override, "objective=top1", text=TRAINED))
    assert re.search(r"\(measured on 2 candidates: 0 of 2 scorings whole, the others by [1-6] steps of training each\)", said)


def test_a_training_takes_its_steps_and_its_looks_at_held_out_images() -> None:
    measured = pace.Pace(build=1.0, step=0.5, held=0.125, steps=8)
    assert measured.seconds(100, 40, Recipe(epochs=2, batch=32)) == 1.0 + 2 * (3 * 0.5 + 40 * 0.125)


def test_fewer_images_than_a_batch_are_an_error(tmp_path: Path) -> None:
    make_images(tmp_path / "colours", train=2)
    with pytest.raises(InputError, match=r"training\.recipe\.batch: expected at most the 6 training images; got 12"):
        lines(f"training.images={tmp_path / 'colours'}", "objective=top1", text=TRAINED)


def test_a_ladder_is_climbed_by_those_of_the_search() -> None:
    settings = loading.parse(TINY, ["ladder=[{score: snip, keep: 0.5}]"])
    found = samples.draw(SearchPlan.resolve(settings), from_config(settings), seconds=0.0)
    assert [len(one.rungs) for one in found] == [1, 0]
    assert "ladder: rung 1, snip: the best 50% go on" in lines("ladder=[{score: snip, keep: 0.5}]")
