"""Training a classifier: what is learnt, what a killed run resumes to, what bad data does."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.scheduler import create_scheduler_v2

from downstream import weights
from downstream.train.classify import train
from downstream.train.history import write_history
from downstream.train.protocols import PROTOCOLS
from downstream.train.result import Watch
from downstream.train.settings import Settings, read
from tests.downstream import pictures
from tests.uninas.networks import tiny
from uninas import InputError
from uninas.text import to_text

ROOT = Path(__file__).resolve().parents[2]
TIMES = {"seconds", "pictures_per_second"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures.make(tmp_path_factory.mktemp("data"))


def settings(**changes: Any) -> Settings:
    made = Settings(
        arch=json.loads(to_text(tiny("ET", (32, 32)))), classes=pictures.CLASSES, size=(32, 32), batch=8, processes=1, epochs=3,
        warmup_epochs=0, optimiser="adamw", weight_decay=0.05, schedule="cosine", lr=2e-3, warmup_lr=1e-6, min_lr=1e-5,
        augment="rand-m15-n2-mstd0.5", clip=1.0, drop_path=0.1,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open() as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def test_it_learns_and_leaves_what_it_says(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = train(settings(augment="", drop_path=0.0), data, run, workers=0)
    assert found.best > 90
    assert {path.name for path in run.iterdir()} == {
        "settings.json", "architecture.json", "checkpoint.pth", "best.safetensors", "last.safetensors", "log.csv", "curves.svg"
    }  # fmt: skip
    assert [row["epoch"] for row in rows_of(run)] == ["1", "2", "3"]
    assert read(run) == settings(augment="", drop_path=0.0)
    model = timm.create_model("uninas", arch=str(run / "architecture.json"), num_classes=3)
    weights.load(model, run / "best.safetensors")
    weights.load(model, run / "checkpoint.pth")
    assert (run / "curves.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize("options", [{}, {"ema": 0.9, "precision": "bfloat16"}])
def test_one_seed_one_curve(options: dict[str, Any], data: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(settings(**options, epochs=2), data, tmp_path / name, workers=2 if name == "a" else 0)
    train(settings(**options, epochs=2, seed=1), data, tmp_path / "c", workers=0)
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    assert rows_of(tmp_path / "a") != rows_of(tmp_path / "c")
    one, other = (weights.read(tmp_path / name / "last.safetensors") for name in ("a", "b"))
    assert all(torch.equal(one[key], other[key]) for key in one)


KILLED = """
import os, signal, sys
from pathlib import Path
from downstream.train.classify import train
from downstream.train.result import Watch
from tests.downstream.test_train import settings

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
    assert train(read(broken), data, broken, workers=2, resume=True).best_epoch >= 1
    assert rows_of(broken) == rows_of(whole)
    for name in ("last.safetensors", "best.safetensors"):
        one, other = weights.read(whole / name), weights.read(broken / name)
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_killed_in_the_first_epoch(data: Path, tmp_path: Path) -> None:
    class Stop(Watch):
        def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings(epochs=1), data, tmp_path / "run", workers=0, watch=Stop())
    assert train(read(tmp_path / "run"), data, tmp_path / "run", workers=0, resume=True).best_epoch == 1


def test_unreadable_pictures_are_counted_and_skipped(tmp_path: Path) -> None:
    data = pictures.make(tmp_path / "data")
    whole = data / "train/red/03.png"
    whole.write_bytes(whole.read_bytes()[:200])
    (data / "val/blue/01.png").write_bytes(b"no picture")
    said: list[str] = []

    class Notes(Watch):
        def note(self, text: str) -> None:
            said.append(text)

    found = train(settings(epochs=2), data, tmp_path / "run", workers=1, watch=Notes())
    assert found.unreadable == ("blue/01.png", "red/03.png")
    assert len(said) == 2
    assert all("cannot be read and are skipped" in text for text in said)
    shares = [float(row["top1"]) * 23 / 100 for row in rows_of(tmp_path / "run")]  # of 24 pictures 23 count
    assert shares == pytest.approx([round(share) for share in shares], abs=1e-3)


def test_an_unreadable_picture_teaches_nothing() -> None:
    from downstream.train.classify import _Labels

    logits = torch.randn(4, 3, requires_grad=True)
    targets = torch.tensor([0, -7, 2, -1])
    _Labels(0.0)(logits, targets).backward()
    assert logits.grad is not None
    assert bool((logits.grad[[1, 3]] == 0).all())
    expected = torch.nn.functional.cross_entropy(logits[[0, 2]], targets[[0, 2]])
    assert torch.equal(_Labels(0.0)(logits, targets), expected)
    assert float(_Labels(0.0)(logits.detach(), torch.tensor([-1, -1, -1, -1]))) == 0


def test_mistakes(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder train or training"):
        train(settings(), tmp_path, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="1 are not, the first is red"):
        train(settings(classes=("blue", "green")), data, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="at least one batch of 100"):
        train(settings(batch=100), data, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="expected 4 processes"):
        train(settings(processes=4), data, tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()
    train(settings(epochs=1), data, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="go on with --resume"):
        train(settings(), data, tmp_path / "run", workers=0)
    (tmp_path / "run" / "checkpoint.pth").write_bytes(b"PK half")
    with pytest.raises(InputError, match="expected a checkpoint of torch"):
        train(read(tmp_path / "run"), data, tmp_path / "run", workers=0, resume=True)
    with pytest.raises(InputError, match="expected the folder of a training"):
        read(tmp_path)


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(data: Path, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="try a smaller learning rate"):
        train(settings(lr=1e30, clip=None, epochs=3), data, tmp_path / "run", workers=0)


def test_a_teacher_teaches(data: Path, tmp_path: Path) -> None:
    from downstream.export import export
    from downstream.subject import subject_of

    train(settings(augment=""), data, tmp_path / "teacher", workers=0)
    export(subject_of(str(tmp_path / "teacher")), "timm", tmp_path / "exported")
    alone = train(settings(epochs=1), data, tmp_path / "alone", workers=0)
    taught = train(
        settings(epochs=1, teacher=f"local-dir:{tmp_path / 'exported'}", distil=0.9), data, tmp_path / "taught", workers=0
    )
    assert taught.rows[0]["train_loss"] != alone.rows[0]["train_loss"]
    assert taught.rows[0]["val_loss"] < 2


def test_the_protocol_number_by_number() -> None:
    table = {name: dataclasses.asdict(protocol) for name, protocol in PROTOCOLS.items()}
    assert [table[name]["epochs"] for name in ("classify", "detect", "segment")] == [150, 12, 125]
    assert [table[name]["batch"] for name in ("classify", "detect", "segment")] == [48, 4, 4]
    assert [table[name]["drop_path"] for name in ("classify", "detect", "segment")] == [0.2, 0.1, 0.3]
    assert [table[name]["schedule"] for name in ("classify", "detect", "segment")] == ["cosine", "multi-step", "linear"]
    assert all(table[name]["optimiser"] == "adamw" for name in ("classify", "detect", "segment"))
    assert all(table[name]["weight_decay"] == 0.05 and table[name]["clip"] == 1.0 for name in ("classify", "detect", "segment"))
    for gpus in (1, 8):
        rates = [PROTOCOLS[name].rates(gpus * PROTOCOLS[name].batch) for name in ("classify", "detect", "segment")]
        assert [rate.lr for rate in rates] == pytest.approx([gpus * 1e-4, gpus * 2.5e-5, gpus * 1.5e-5])
        assert [rate.warmup_lr for rate in rates] == pytest.approx([gpus * 1e-7] * 3)
        assert [rate.min_lr for rate in rates] == pytest.approx([gpus * 1e-6, gpus * 2.5e-6, 0])


def test_the_schedule_runs_from_warm_up_to_its_minimum() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    schedule, epochs = create_scheduler_v2(
        optimiser, sched="cosine", num_epochs=150, warmup_epochs=5, warmup_lr=1e-7, min_lr=1e-6, step_on_epochs=False,
        updates_per_epoch=10,
    )  # fmt: skip
    assert epochs == 150

    def rate(update: int) -> float:
        schedule.step_update(update)
        return float(optimiser.param_groups[0]["lr"])

    assert rate(0) == pytest.approx(1e-7)
    assert rate(50) == pytest.approx(1e-4, rel=0.01)
    assert rate(1499) == pytest.approx(1e-6, rel=0.01)


def test_history_is_written_whole(tmp_path: Path) -> None:
    rows: list[Mapping[str, float]] = [{"epoch": 1, "a": 0.5}, {"epoch": 2, "a": 0.25, "b": 1.0}]
    write_history(tmp_path, rows, {"both": ("a", "b"), "none": ("c",)})
    assert (tmp_path / "log.csv").read_text() == "epoch,a,b\n1,0.5,\n2,0.25,1\n"
    assert sorted(os.listdir(tmp_path)) == ["curves.svg", "log.csv"]


@pytest.mark.slow
def test_two_processes_under_torchrun(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(to_text(tiny("ET", (32, 32))))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d",
        "--rdzv-endpoint", "127.0.0.1:0", "-m", "uninas.cli", "train", str(path), "--data", str(data), "--epochs", "2",
        "--batch", "4", "--size", "32", "--out", str(tmp_path / "run"), "--workers", "0", "--lr", "0.002", "--device", "cpu",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "run").processes == 2
    assert len(rows_of(tmp_path / "run")) == 2
    assert done.stdout.count("best top-1") == 1
    shares = [float(row["top1"]) * 24 / 100 for row in rows_of(tmp_path / "run")]  # each picture counts once
    assert shares == pytest.approx([round(share) for share in shares], abs=1e-3)
