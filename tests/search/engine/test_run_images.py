"""A search that is scored on real images: drawn by the seed, sent to every worker, and the same ones on a resume."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import proxies
import uninas
import uninas.compile
from search.config import loading
from search.engine import driver
from search.engine.finals.finalists import held_out_seeds
from search.workers import real_batches
from search.workers.pictures import STATISTICS, draw_batch, read_batch
from tests.search.conftest import Notes, records, stable
from tests.search.pictured import paint, pictured_pool
from uninas.errors import InputError

TEXT = """
space: nats_bench_size
objective: {product: [jacov, flops]}
images: images
algorithm: random
evaluations: 4
size: 8
classes: 10
batch: 4
finalists: {count: 1, seeds: 2, controls: []}
pool: {kind: serial}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user is, with a folder of images."""
    monkeypatch.chdir(tmp_path)
    return paint(tmp_path / "images")


def search(*overrides: str, folder: str = "run", pool: Any = pictured_pool, notes: Notes | None = None) -> dict[str, Any]:
    view = (notes or Notes()).view
    return driver.begin(loading.parse(TEXT, overrides), Path(folder), view=view, pool_maker=pool)


def resume(folder: str = "run", **overrides: int) -> dict[str, Any]:
    return driver.resume(Path(folder), overrides, view=Notes().view, pool_maker=pictured_pool)


def cut_off(lines: int = 4) -> None:
    """Leave of the journal what a kill would."""
    journal = Path("run/journal.jsonl")
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:lines]))


def drawn(seed: int) -> Any:
    """What the bench would draw."""
    how: dict[str, Any] = {"count": 8, "classes": 10, "size": (8, 8), "statistics": STATISTICS["imagenet"]}
    return read_batch(draw_batch(Path("images"), seed=seed, **how)[0])


def test_scores_are_those_of_the_batch_that_the_bench_draws(place: Path) -> None:
    search(pool=driver.make_pool)
    first = next(record for record in records(Path("run")) if record["kind"] == "candidate")
    rescores = [record for record in records(Path("run")) if record["kind"] == "rescore"]
    assert [record["seed"] for record in rescores] == held_out_seeds(0, 2)
    again = uninas.load("run/best.json")
    assert rescores[0]["digest"] == again.digest
    for seed, found in ((rescores[0]["seed"], rescores[0]["scores"]), (rescores[1]["seed"], rescores[1]["scores"])):
        inputs, targets = drawn(seed)
        given = proxies.Images(torch.tensor(inputs), torch.tensor(targets))
        module = uninas.compile.build(again, classes=10)
        expected = proxies.score(module, ["jacov", "flops"], input_shape=(3, 8, 8), batch=4, seed=seed, images=given)
        assert found == pytest.approx(expected)
    noise = search("images=null", folder="noise", pool=driver.make_pool)
    assert noise["status"] == "complete"
    of_noise = next(record for record in records(Path("noise")) if record["kind"] == "candidate")
    assert (of_noise["digest"], of_noise["scores"]["flops"]) == (first["digest"], first["scores"]["flops"])
    assert of_noise["scores"]["jacov"] != first["scores"]["jacov"]
    assert [record for record in records(Path("noise")) if record["kind"] == "images"] == []


def test_the_journal_says_what_was_drawn_before_any_candidate(place: Path) -> None:
    search()
    kinds = [record["kind"] for record in records(Path("run"))]
    assert kinds.index("images") < kinds.index("candidate")
    assert kinds.count("images") == 1


@pytest.mark.usefixtures("ray_address")
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_of_ray_are_sent_the_images_and_leave_the_same_journal(place: Path, workers: int) -> None:
    search()
    shutil.move("images", "away")  # no worker looks for it; the driver has read it by then
    away = f"images={Path('away').absolute()}"
    search(away, "pool.kind=ray", f"pool.workers={workers}", folder="ray")
    assert stable(Path("ray")) == stable(Path("run"))


def test_a_resume_goes_on_with_the_same_images_wherever_they_lie(place: Path) -> None:
    search()
    whole = stable(Path("run"))
    cut_off()
    shutil.move("images", "away")
    config = Path("run/config.yaml")
    config.write_text(config.read_text().replace(f"images: {place}", f"images: {place.parent / 'away'}"))
    real_batches.hold(())  # as in another process
    resume()
    assert stable(Path("run")) == whole


def test_other_images_are_rejected_in_one_line_before_anything_is_scored(place: Path) -> None:
    search()
    cut_off()
    before = Path("run/journal.jsonl").read_bytes()
    shutil.copyfile(place / "class0" / "0.png", place / "class1" / "0.png")
    for number in range(1, 8):
        shutil.copyfile(place / "class0" / "0.png", place / "class1" / f"{number}.png")
    with pytest.raises(InputError, match=r"run: expected the images that scored this run.*are \w{12} now and were \w{12}$"):
        resume()
    assert Path("run/journal.jsonl").read_bytes() == before


def test_a_complete_run_needs_its_images_only_when_it_is_extended(place: Path) -> None:
    search()
    shutil.rmtree("images")
    assert resume()["status"] == "complete"
    with pytest.raises(InputError, match=r"images: expected a folder with one folder of images per class; No such file"):
        resume(evaluations=5)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["images=nowhere"], "nowhere: expected a folder with one folder of images per class; No such file or directory"),
        (["images=images/class0"], "class0: expected a folder with one folder of images per class; it holds no folders"),
        (["classes=1", "objective=flops"], "images: expected at most 1 class folders, one for each class; got 2"),
        (["batch=9"], "images: expected 18 readable images"),
    ],
)
def test_a_wrong_folder_is_one_line_and_leaves_no_run(place: Path, overrides: list[str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        search(*overrides)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("run").exists()


def test_networks_of_other_channels_take_no_images(place: Path) -> None:
    grey = uninas.parse(uninas.to_text(uninas.load("resnet"))).replace(in_channels=1)
    Path("grey.json").write_text(uninas.to_text(grey))
    with pytest.raises(InputError, match="images: expected networks of 3 channels, red, green and blue; got 1"):
        search("space={architecture: grey.json}", "size=32", "algorithm=walk")


def test_what_a_person_should_know_of_the_folder_is_noted(place: Path) -> None:
    (place / "class0" / "notes.txt").write_text("")
    notes = Notes()
    search(notes=notes)
    found = [note for note in notes.notes if "warning" in note]
    assert len([note for note in found if "files of other kinds" in note]) == 1
    assert any("2 class folders for 10 classes" in note for note in found)


def test_images_that_no_score_takes_are_warned_of(place: Path) -> None:
    notes = Notes()
    search("objective=flops", notes=notes)
    assert "warning: no effect of images: flops has no score that takes real ones" in notes.notes


def test_a_run_is_another_with_images_than_with_noise_but_not_with_another_folder(place: Path) -> None:
    digests = [loading.digest(loading.parse(TEXT, [f"images={given}"])) for given in ("images", "elsewhere", "null")]
    assert digests[0] == digests[1] != digests[2]
    assert digests[2] == loading.digest(loading.parse(TEXT.replace("images: images\n", "")))
