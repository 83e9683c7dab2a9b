"""Training a classifier: what is learnt, what a killed run resumes to, what bad data does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from downstream.data.images import Folder, Images, loader
from downstream.evaluation.accuracy import accuracy
from downstream.train.classify import train
from downstream.train.history import write_history
from downstream.train.result import Watch
from downstream.train.settings import read_settings
from downstream.weights import weight_files
from tests.downstream import pictures
from tests.downstream.trainings import MIXED, ROOT, rows_of, settings
from tests.uninas.examples import tiny
from uninas import InputError, preset
from uninas.runtime.device import device_of
from uninas.text import to_document


def test_it_learns_and_leaves_what_it_says(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = train(settings(augment="", drop_path=0.0), data, run, workers=0)
    assert found.best > 90
    assert {path.name for path in run.iterdir()} == {
        "settings.json",
        "architecture.json",
        "data.json",
        "checkpoint.pth",
        "best.safetensors",
        "last.safetensors",
        "log.csv",
        "curves.svg",
    }
    assert [row["epoch"] for row in rows_of(run)] == ["1", "2", "3"]
    assert read_settings(run) == settings(augment="", drop_path=0.0)
    model = timm.create_model("uninas", arch=str(run / "architecture.json"), num_classes=3)
    weight_files.load(model, run / "best.safetensors")
    weight_files.load(model, run / "checkpoint.pth")
    assert (run / "curves.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize("options", [{}, {"ema": 0.9, "precision": "bfloat16"}, MIXED])
def test_one_seed_one_curve(options: dict[str, Any], data: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(settings(**options, epochs=2), data, tmp_path / name, workers=2 if name == "a" else 0)
    train(settings(**options, epochs=2, seed=1), data, tmp_path / "c", workers=0)
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    assert rows_of(tmp_path / "a") != rows_of(tmp_path / "c")
    one, other = (weight_files.read_tensors(tmp_path / name / "last.safetensors") for name in ("a", "b"))
    assert all(torch.equal(one[key], other[key]) for key in one)


KILLED = """
import os, signal, sys
from pathlib import Path
from downstream.train.classify import train
from downstream.train.result import Watch
from tests.downstream.trainings import settings

class Fatal(Watch):
    def step(self, epoch, epochs, step, steps, loss):
        if (epoch, step) == (2, 3):
            os.kill(os.getpid(), signal.SIGKILL)

train(settings(ema=0.9, epochs=4), Path(sys.argv[1]), Path(sys.argv[2]), workers=1, watch=Fatal())
"""


def test_a_killed_training_resumes_to_the_same_curve(data: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(settings(ema=0.9, epochs=4), data, whole, workers=1)
    done = subprocess.run([sys.executable, "-c", KILLED, str(data), str(broken)], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(rows_of(broken)) == 2
    assert train(read_settings(broken), data, broken, workers=2, resume=True).best_epoch >= 1
    assert rows_of(broken) == rows_of(whole)
    for name in ("last.safetensors", "best.safetensors"):
        one, other = weight_files.read_tensors(whole / name), weight_files.read_tensors(broken / name)
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_killed_reader_is_one_line(data: Path, tmp_path: Path) -> None:
    """Killed as the system does when the memory is full; it may have read the epoch's last image already."""

    class Killing(Watch):
        def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Any) -> None:
            if epoch > 1:
                for one in multiprocessing.active_children():  # psutil's children would have multiprocessing's own helper, too
                    one.kill()

    with pytest.raises(InputError, match=r"^--workers: expected the processes that read images to live; one was killed"):
        train(settings(epochs=9), data, tmp_path / "run", workers=1, watch=Killing())
    assert rows_of(tmp_path / "run"), "to be resumed"


def test_killed_in_the_first_epoch(data: Path, tmp_path: Path) -> None:
    class Stop(Watch):
        def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings(epochs=1), data, tmp_path / "run", workers=0, watch=Stop())
    assert train(read_settings(tmp_path / "run"), data, tmp_path / "run", workers=0, resume=True).best_epoch == 1


def test_a_loss_is_shown_without_its_gradient(data: Path, tmp_path: Path) -> None:
    """Else torch warns, between the lines of the progress; here a warning is an error."""
    shown: list[float] = []

    class Look(Watch):
        def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Callable[[], float]) -> None:
            shown.append(loss())

    torch.set_warn_always(True)
    try:
        train(settings(epochs=1), data, tmp_path / "run", workers=0, watch=Look())
    finally:
        torch.set_warn_always(False)
    assert len(shown) > 1


def test_a_folder_has_one_training_at_a_time(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said: list[str] = []

    class Twice(Watch):
        def epoch(self, row: Mapping[str, float]) -> None:
            with pytest.raises(InputError) as rejected:
                train(read_settings(run), data, run, workers=0, resume=True)
            said.append(str(rejected.value))

    found = train(settings(epochs=2), data, run, workers=0, watch=Twice())
    assert said == [f"{run}: expected to be the only training of this run; another process is writing it"] * 2
    assert len(rows_of(run)) == len(found.rows) == 2


def test_a_folder_that_a_kill_left_without_settings_is_begun_again(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.settings.json.part").write_text("{")
    assert len(train(settings(epochs=1), data, tmp_path / "run", workers=0).rows) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a new folder; it is a file"):
        train(settings(epochs=1), data, tmp_path / "file", workers=0)


@pytest.mark.parametrize(("name", "said"), [("gpu", "such as cpu, cuda or cuda:1; got gpu: "), ("cuda:99", "got cuda:99, and")])
def test_a_device_that_is_not_there(name: str, said: str) -> None:
    with pytest.raises(InputError, match=f"^--device: expected a device .*{said}"):
        device_of(name)


def test_mistakes(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder train or training"):
        train(settings(), tmp_path, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="1 are not, the first is red"):
        train(settings(classes=("blue", "green")), data, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="at least one batch of 100"):
        train(settings(batch=100), data, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="expected 4 processes"):
        train(settings(processes=4), data, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="--batch: expected an even number, because --mixup mixes images in pairs; got 3"):
        train(settings(batch=3, mixup=0.2), data, tmp_path / "run", workers=0)
    grey = to_document(preset("resnet").replace(in_channels=1))
    with pytest.raises(InputError, match="expected a network with 3 input channels, for images; got 1"):
        train(settings(arch=grey), data, tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()
    train(settings(epochs=1), data, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="resume with --resume"):
        train(settings(), data, tmp_path / "run", workers=0)
    (tmp_path / "run" / "checkpoint.pth").write_bytes(b"PK half")
    with pytest.raises(InputError, match="expected a checkpoint of torch"):
        train(read_settings(tmp_path / "run"), data, tmp_path / "run", workers=0, resume=True)
    with pytest.raises(InputError, match="expected the folder of a training"):
        read_settings(tmp_path)


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(settings(epochs=1), data, run, workers=0)
    before = (run / "checkpoint.pth").read_bytes()
    with pytest.raises(InputError, match=r"epoch 2: expected a finite loss; got none in 5 of 6 steps: try a smaller"):
        train(settings(lr=1e30, clip=None, epochs=2), data, run, workers=0, resume=True)
    assert (run / "checkpoint.pth").read_bytes() == before


def test_what_a_kill_left_out_is_written_by_the_resume(data: Path, tmp_path: Path) -> None:
    """The log and the curves follow the checkpoint; the weights that a training began from may be gone by a resume."""
    first = tmp_path / "first.safetensors"
    weight_files.save(timm.create_model("uninas", arch=tiny("ET", (32, 32)), num_classes=5).state_dict(), first)
    run = tmp_path / "run"
    train(settings(epochs=1, weights=str(first)), data, run, workers=0)
    rows = rows_of(run)
    (run / "log.csv").unlink()
    (run / "curves.svg").unlink()
    first.unlink()
    train(read_settings(run), data, run, workers=0, resume=True)
    assert rows_of(run) == rows
    assert (run / "curves.svg").is_file()


def test_the_better_of_trained_and_averaged_weights_are_the_best(data: Path, tmp_path: Path) -> None:
    averaged = set()
    for decay in (0.5, 0.9999):
        run = tmp_path / str(decay)
        found = train(settings(epochs=2, ema=decay), data, run, workers=0)
        rows = [{name: float(value) for name, value in row.items()} for row in rows_of(run)]
        best = max(max(row["top1"], row["top1_ema"]) for row in rows)
        assert found.best == pytest.approx(best, abs=1e-4)
        about = weight_files.metadata(run / "best.safetensors")
        row = rows[int(about["epoch"]) - 1]
        assert row["top1_ema" if about["averaged"] == "yes" else "top1"] == pytest.approx(best, abs=1e-4)
        averaged.add(about["averaged"])
        model = timm.create_model("uninas", arch=str(run / "architecture.json"), num_classes=3)
        weight_files.load(model, run / "best.safetensors")
        batches = loader(
            Images(Folder.of(data, "val"), pictures.CLASSES),
            batch=8,
            size=(32, 32),
            training=False,
            augment="",
            mean=model.pretrained_cfg["mean"],
            std=model.pretrained_cfg["std"],
            workers=0,
            device=torch.device("cpu"),
        )
        assert accuracy(model, batches, torch.device("cpu")).top1 == pytest.approx(best, abs=1e-4)
    assert "no" in averaged


def test_a_norm_that_would_see_one_value_is_rejected(data: Path, tmp_path: Path) -> None:
    """Of one image whose last maps are one pixel, as torch says; larger maps, or a network without such norms, train."""
    small = {"batch": 1, "epochs": 1, "augment": ""}
    arch = to_document(tiny("RRRR", (64, 64)))
    with pytest.raises(InputError, match=r"^--batch: expected at least 2 images, .* at 32x32 .* got 1$"):
        train(settings(arch=arch, **small), data, tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()
    assert train(settings(arch=arch, **small, size=(64, 64)), data, tmp_path / "large", workers=0).best_epoch == 1
    plain = to_document(tiny("TTTT", (64, 64)))
    assert train(settings(arch=plain, **small), data, tmp_path / "plain", workers=0).best_epoch == 1


def test_history_is_written_whole(tmp_path: Path) -> None:
    rows: list[Mapping[str, float]] = [{"epoch": 1, "a": 0.5}, {"epoch": 2, "a": 0.25, "b": 1.0}]
    write_history(tmp_path, rows, {"both": ("a", "b"), "none": ("c",)})
    assert (tmp_path / "log.csv").read_text() == "epoch,a,b\n1,0.5,\n2,0.25,1\n"
    assert sorted(os.listdir(tmp_path)) == ["curves.svg", "log.csv"]
