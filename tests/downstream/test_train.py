"""Training a classifier: what is learnt, what a killed run resumes to, what bad data does."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.scheduler import create_scheduler_v2

from downstream import weights
from downstream.commands.train import _classification as asked_for
from downstream.commands.train import command
from downstream.evaluate import accuracy
from downstream.export import export
from downstream.subject import subject_of
from downstream.train.classify import train
from downstream.train.history import write_history
from downstream.train.pictures import Folder, Pictures, loader, true_classes
from downstream.train.protocols import PROTOCOLS
from downstream.train.result import Watch
from downstream.train.run_folder import alone
from downstream.train.settings import Settings, read
from downstream.train.teacher import taught, teacher_of
from tests.downstream import pictures
from tests.uninas.networks import tiny
from uninas import InputError, cli, preset
from uninas.device import device_of
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


MIXED = {"mixup": 0.2, "smoothing": 0.1, "erase": 0.5, "augment": "original", "norm_momentum": 0.01}


@pytest.mark.parametrize("options", [{}, {"ema": 0.9, "precision": "bfloat16"}, MIXED])
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


def test_a_folder_has_one_training_at_a_time(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said: list[str] = []

    class Twice(Watch):
        def epoch(self, row: Mapping[str, float]) -> None:
            with pytest.raises(InputError) as refused:
                train(read(run), data, run, workers=0, resume=True)
            said.append(str(refused.value))

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
    assert found.unreadable == ("train/red/03.png", "val/blue/01.png")
    assert len(said) == 2
    assert all("cannot be read and are skipped" in text for text in said)
    shares = [float(row["top1"]) * 23 / 100 for row in rows_of(tmp_path / "run")]  # of 24 pictures 23 count
    assert shares == pytest.approx([round(share) for share in shares], abs=1e-3)


def test_the_next_picture_takes_the_place_of_an_unreadable_one(tmp_path: Path) -> None:
    folder = pictures.make(tmp_path / "data", train=4)
    red = folder / "train" / "red"
    (red / "01.png").write_bytes(b"no picture")
    (red / "02.png").unlink()
    (red / "02.png").symlink_to("nowhere.png")
    found = Pictures(Folder.of(folder, "train"), pictures.CLASSES, training=True)
    found.transform = np.asarray
    assert len(found) == 12
    with Image.open(red / "03.png") as image:
        expected = np.asarray(image)
    for place in (9, 10, 11):
        assert np.array_equal(found[place][0], expected)
    classes, replaced = true_classes(torch.tensor([found[place][1] for place in range(12)]), 3)
    assert classes.tolist() == [place // 4 for place in range(12)]
    assert replaced.tolist() == [0] * 9 + [10, 11, 0]
    assert found.name(9) == "train/red/01.png"
    looked = Pictures(Folder.of(folder, "train"), pictures.CLASSES)
    looked.transform = np.asarray
    assert [looked[place][1] for place in (8, 9, 10)] == [2, -10, -11]
    for path in (folder / "train").glob("*/*.png"):
        path.unlink()
        path.write_bytes(b"")
    with pytest.raises(InputError, match="none of the 12 files can be read"):
        found[0]


def test_where_no_picture_can_be_read_there_is_no_score(tmp_path: Path) -> None:
    """Nor the words of the process that read them."""
    for split, said in (
        ("val", "expected pictures to evaluate on; none can be read"),
        ("train", "none of the 48 files can be read"),
    ):
        data = pictures.make(tmp_path / split)
        for path in (data / split).glob("*/*.png"):
            path.write_bytes(b"")
        with pytest.raises(InputError, match=f"{said}$"):
            train(settings(epochs=1), data, tmp_path / "run" / split, workers=1)
        assert not (tmp_path / "run" / split / "best.safetensors").exists()


def test_a_folder_within_a_class_is_no_silent_loss(tmp_path: Path) -> None:
    data = pictures.make(tmp_path / "data")
    (data / "train/red/.cache").mkdir()
    Pictures(Folder.of(data, "train"), pictures.CLASSES)
    (data / "train/red/more").mkdir()
    with pytest.raises(InputError, match="train/red: expected the pictures of a class; it holds a folder, more"):
        Pictures(Folder.of(data, "train"), pictures.CLASSES)


def test_classes_are_in_the_order_of_timm(tmp_path: Path) -> None:
    for name in ("10", "2", "1", ".hidden"):
        (tmp_path / "train" / name).mkdir(parents=True)
    folder = Folder.of(tmp_path, "train")
    assert folder.classes == ("1", "2", "10")
    (tmp_path / "train" / "2" / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="of each of 3 classes; 2 have none: 1"):
        Pictures(folder, folder.classes, training=True)


def test_mistakes(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder train or training"):
        train(settings(), tmp_path, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="1 are not, the first is red"):
        train(settings(classes=("blue", "green")), data, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="at least one batch of 100"):
        train(settings(batch=100), data, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="expected 4 processes"):
        train(settings(processes=4), data, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="--batch: expected an even number, for --mixup joins pictures in pairs; got 3"):
        train(settings(batch=3, mixup=0.2), data, tmp_path / "run", workers=0)
    grey = json.loads(to_text(preset("resnet").replace(in_channels=1)))
    with pytest.raises(InputError, match="expected a network of pictures, of 3 input channels; this one has 1"):
        train(settings(arch=grey), data, tmp_path / "run", workers=0)
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
    run = tmp_path / "run"
    train(settings(epochs=1), data, run, workers=0)
    before = (run / "checkpoint.pth").read_bytes()
    with pytest.raises(InputError, match=r"epoch 2: expected a loss; in 5 of 6 steps .* try a smaller learning rate"):
        train(settings(lr=1e30, clip=None, epochs=2), data, run, workers=0, resume=True)
    assert (run / "checkpoint.pth").read_bytes() == before


def test_what_a_kill_left_out_is_written_by_the_resume(data: Path, tmp_path: Path) -> None:
    """The log and the curves follow the checkpoint; the weights that a training began from may be gone by a resume."""
    first = tmp_path / "first.safetensors"
    weights.save(timm.create_model("uninas", arch=tiny("ET", (32, 32)), num_classes=5).state_dict(), first)
    run = tmp_path / "run"
    train(settings(epochs=1, weights=str(first)), data, run, workers=0)
    rows = rows_of(run)
    (run / "log.csv").unlink()
    (run / "curves.svg").unlink()
    first.unlink()
    train(read(run), data, run, workers=0, resume=True)
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
        about = weights.metadata(run / "best.safetensors")
        row = rows[int(about["epoch"]) - 1]
        assert row["top1_ema" if about["averaged"] == "yes" else "top1"] == pytest.approx(best, abs=1e-4)
        averaged.add(about["averaged"])
        model = timm.create_model("uninas", arch=str(run / "architecture.json"), num_classes=3)
        weights.load(model, run / "best.safetensors")
        batches = loader(
            Pictures(Folder.of(data, "val"), pictures.CLASSES), batch=8, size=(32, 32), training=False, augment="",
            mean=model.pretrained_cfg["mean"], std=model.pretrained_cfg["std"], workers=0, device=torch.device("cpu"),
        )  # fmt: skip
        assert accuracy(model, batches, torch.device("cpu")).top1 == pytest.approx(best, abs=1e-4)
    assert "no" in averaged


# --- teachers ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def teacher(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    train(settings(augment=""), data, folder / "run", workers=0)
    export(subject_of(str(folder / "run")), "timm", folder / "exported")
    return folder


def test_a_teacher_has_its_own_classifier(teacher: Path) -> None:
    noise = torch.randn(2, 3, 32, 32)
    expected = subject_of(str(teacher / "run")).model()(noise)
    found = teacher_of(f"local-dir:{teacher / 'exported'}", None, 3).eval()
    assert torch.equal(found(noise), expected)
    torch.manual_seed(1)
    original = timm.create_model("test_resnet", num_classes=3).eval()
    for file in (teacher / "foreign.safetensors", teacher / "foreign.pth"):
        if file.suffix == ".pth":
            weights.save_checkpoint({"state_dict": original.state_dict()}, file)
        else:
            weights.save(original.state_dict(), file)
        assert torch.equal(teacher_of("test_resnet", str(file), 3).eval()(noise), original(noise))


def test_a_teacher_of_other_classes_or_none_is_refused(teacher: Path) -> None:
    with pytest.raises(InputError, match=r"expected a teacher of the data's 5 classes; .* has 3"):
        teacher_of(f"local-dir:{teacher / 'exported'}", None, 5)
    with pytest.raises(InputError, match="expected a model of timm with weights, or local-dir:FOLDER; got nosuch"):
        teacher_of("nosuch", None, 3)
    with pytest.raises(InputError, match="got local-dir:/nowhere"):
        teacher_of("local-dir:/nowhere", None, 3)
    with pytest.raises(InputError, match="no such file"):
        teacher_of("test_resnet", "nowhere.pth", 3)


@pytest.mark.parametrize("size", [None, (48, 40)])
def test_the_loss_of_a_taught_network(size: tuple[int, int] | None) -> None:
    """Labels, divergence of answers, distance of pooled features: against the plain formulas."""
    torch.manual_seed(0)
    model = timm.create_model("uninas", arch=tiny("ET", (32, 32)), num_classes=5)
    master = timm.create_model("test_resnet", num_classes=5)
    task = taught(
        model,
        master,
        torch.nn.CrossEntropyLoss(),
        device=torch.device("cpu"),
        size=size,
        logits=0.5,
        features=2.0,
        temperature=3.0,
    ).eval()
    inputs, targets = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 4])
    found = task(inputs, targets)
    (mean, std), (its_mean, its_std) = (
        [torch.tensor(one.pretrained_cfg[key])[:, None, None] for key in ("mean", "std")] for one in (model, master)
    )
    seen = (inputs * std + mean - its_mean) / its_std  # each was trained on pictures of its own scale
    if size is not None:
        seen = torch.nn.functional.interpolate(seen, size, mode="bicubic", antialias=True)
    map_ = task.get_trainable_module().projection
    answers, wanted = model(inputs), master.eval()(seen)
    ours, theirs = (answers / 3).softmax(-1), (wanted / 3).softmax(-1)
    divergence = (theirs * (theirs.log() - ours.log())).sum(-1).mean() * 9
    pooled = model.forward_head(model.forward_features(inputs), pre_logits=True)
    features = master.forward_head(master.forward_features(seen), pre_logits=True)
    distance = (map_(pooled) - features).square().mean()
    labels = torch.nn.functional.cross_entropy(answers, targets)
    assert found["kd_loss"].item() == pytest.approx(divergence.item(), rel=1e-4)
    assert found["loss"].item() == pytest.approx((labels + 0.5 * divergence + 2 * distance).item(), rel=1e-4)
    found["loss"].backward()
    assert all(parameter.grad is None for parameter in master.parameters())
    assert map_.weight.grad is not None


def test_a_taught_training_is_killed_and_resumes_to_the_same_curve(teacher: Path, data: Path, tmp_path: Path) -> None:
    options = {
        "teacher": f"local-dir:{teacher / 'exported'}",
        "teacher_size": (40, 40),
        "teacher_features": 1.0,
        "optimiser": "sgd",
    }
    whole = train(settings(**options, **MIXED), data, tmp_path / "whole", workers=0)
    alone = train(settings(**MIXED, optimiser="sgd", epochs=1), data, tmp_path / "alone", workers=0)
    assert whole.rows[0]["train_loss"] > alone.rows[0]["train_loss"]  # of the same batches, with two terms more

    class Stop(Watch):
        def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Any) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings(**options, **MIXED), data, tmp_path / "broken", workers=0, watch=Stop())
    train(read(tmp_path / "broken"), data, tmp_path / "broken", workers=0, resume=True)
    assert rows_of(tmp_path / "broken") == rows_of(tmp_path / "whole")


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


RECIPES: dict[tuple[str, int], dict[str, Any]] = {
    ("protocol", 8): {
        "epochs": 150, "warmup_epochs": 5, "batch": 48, "processes": 8, "optimiser": "adamw", "weight_decay": 0.05,
        "schedule": "cosine", "lr": 8e-4, "warmup_lr": 8e-7, "min_lr": 8e-6, "augment": "rand-m15-n2-mstd0.5", "clip": 1.0,
        "drop_path": 0.2, "size": (224, 224), "ema": 0.0, "smoothing": 0.0, "mixup": 0.0, "erase": 0.0, "norm_momentum": None,
        "teacher": None, "precision": "float32",
    },
    ("mobilenetv2", 8): {
        "epochs": 480, "warmup_epochs": 5, "batch": 64, "processes": 8, "optimiser": "sgd", "weight_decay": 4e-5,
        "schedule": "cosine", "lr": 0.2, "warmup_lr": 0.0, "min_lr": 0.0, "augment": "original", "clip": None, "drop_path": 0.0,
        "size": (224, 224), "smoothing": 0.1, "mixup": 0.2, "erase": 0.25, "norm_momentum": 0.01,
        "teacher": "tf_efficientnet_b3.ns_jft_in1k", "teacher_size": (320, 320), "teacher_logits": 1.0, "teacher_features": 1.0,
    },
}  # fmt: skip
RECIPES["protocol", 1] = {**RECIPES["protocol", 8], "processes": 1, "lr": 1e-4, "warmup_lr": 1e-7, "min_lr": 1e-6}
RECIPES["mobilenetv2", 1] = {**RECIPES["mobilenetv2", 8], "processes": 1, "lr": 0.025}


@pytest.mark.parametrize(("recipe", "gpus"), RECIPES)
def test_what_the_command_sets_number_by_number(recipe: str, gpus: int, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nothing but a network, a recipe and data, as under torchrun."""
    monkeypatch.setenv("WORLD_SIZE", str(gpus))
    context = command.make_context("train", ["coatnet", "--data", str(data), "--recipe", recipe])
    options = {name: value for name, value in context.params.items() if name not in ("arch", "data", "resume")}
    made = dataclasses.asdict(asked_for("coatnet", data, "cpu", options))
    expected = RECIPES[recipe, gpus]
    for name, value in expected.items():
        assert made[name] == (pytest.approx(value) if isinstance(value, float) else value), name


@pytest.mark.parametrize("option", ["--lr", "--smoothing", "--mixup", "--erase", "--drop-path", "--ema"])
@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-inf"])
def test_options_are_finite_numbers(
    option: str, value: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "coatnet", "--data", str(data), "--out", str(tmp_path / "run"), option, value])
    assert ended.value.code == 2
    assert option in (said := capsys.readouterr().err)
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_norm_that_would_see_one_value_is_refused(data: Path, tmp_path: Path) -> None:
    """Of one picture whose last maps are one pixel, as torch says; larger maps, or a network without such norms, train."""
    small = {"batch": 1, "epochs": 1, "augment": ""}
    arch = json.loads(to_text(tiny("RRRR", (64, 64))))
    with pytest.raises(InputError, match=r"^--batch: expected at least 2 pictures, .* at 32x32 .* got 1$"):
        train(settings(arch=arch, **small), data, tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()
    assert train(settings(arch=arch, **small, size=(64, 64)), data, tmp_path / "large", workers=0).best_epoch == 1
    plain = json.loads(to_text(tiny("TTTT", (64, 64))))
    assert train(settings(arch=plain, **small), data, tmp_path / "plain", workers=0).best_epoch == 1


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


KILLED_RANK = """
import os, signal, sys
from downstream.commands import progress
from downstream.train.result import Watch
from uninas import cli

class Fatal(Watch):
    def step(self, epoch, epochs, step, steps, loss):
        if (epoch, step) == (1, 1) and os.environ["RANK"] == "0":
            os.killpg(os.getpgid(0), signal.SIGKILL)

progress.progress = lambda first: __import__("contextlib").nullcontext(Fatal())
cli.main(sys.argv[1:])
"""


def torchrun(*arguments: str, script: Path | None = None, logs: Path | None = None) -> subprocess.CompletedProcess[str]:
    kept = [] if logs is None else ["--log-dir", str(logs), "--redirects", "3"]
    program = ["-m", "uninas.cli"] if script is None else [str(script)]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d",
        "--rdzv-endpoint", "127.0.0.1:0", *kept, *program, "train", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment, start_new_session=True)


def told(logs: Path) -> dict[str, str]:
    """What each process has said on stderr, by its rank."""
    return {path.parent.name: path.read_text() for path in logs.glob("*/attempt_0/*/stderr.log")}


@pytest.mark.slow
def test_what_the_first_process_refuses_is_said_once(data: Path, tmp_path: Path) -> None:
    """A folder that is there, or that another training holds."""
    path = tmp_path / "net.json"
    path.write_text(to_text(tiny("ET", (32, 32))))
    place = ("--data", str(data), "--workers", "0", "--device", "cpu")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").touch()
    done = torchrun(str(path), *place, "--batch", "4", "--size", "32", "--out", str(tmp_path / "run"), logs=tmp_path / "there")
    assert done.returncode
    said = told(tmp_path / "there")
    assert said.keys() == {"0", "1"}
    assert re.fullmatch(r"uninas: .*/run: expected a new folder; it exists: .*\n", said["0"])
    assert said["1"] == ""
    (tmp_path / "run" / "notes.txt").unlink()
    settings(processes=2, epochs=1, batch=4).write(tmp_path / "run")
    with alone(tmp_path / "run"):
        done = torchrun("--resume", str(tmp_path / "run"), *place, logs=tmp_path / "held")
    assert done.returncode
    said = told(tmp_path / "held")
    assert re.fullmatch(r"uninas: .*/run: expected to be the only training of this run; .*\n", said["0"])
    assert said["1"] == ""


@pytest.mark.slow
def test_two_processes_under_torchrun(tmp_path: Path) -> None:
    """One curve of both, averaged weights included, broken or not; each picture counts once, each unreadable one too."""
    data = pictures.make(tmp_path / "data")
    for number in range(4):
        (data / "train" / "red" / f"{number:02}.png").write_bytes(b"no picture")
    path = tmp_path / "net.json"
    path.write_text(to_text(tiny("ET", (32, 32))))
    place = ("--data", str(data), "--workers", "0", "--device", "cpu")
    asked = (str(path), *place, "--epochs", "3", "--batch", "4", "--size", "32", "--lr", "0.002", "--ema", "0.8")
    done = torchrun(*asked, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "run").processes == 2
    assert len(rows_of(tmp_path / "run")) == 3
    assert done.stdout.count("best top-1") == 1
    assert "4 pictures could not be read" in done.stdout
    shares = [float(row["top1"]) * 24 / 100 for row in rows_of(tmp_path / "run")]  # each picture counts once
    assert shares == pytest.approx([round(share) for share in shares], abs=1e-3)

    script = tmp_path / "killed.py"
    script.write_text(KILLED_RANK)
    killed = torchrun(*asked, "--out", str(tmp_path / "broken"), script=script)
    assert killed.returncode != 0
    assert "SIGKILL" in killed.stderr
    assert len(rows_of(tmp_path / "broken")) == 1
    resumed = torchrun("--resume", str(tmp_path / "broken"), *place)
    assert resumed.returncode == 0, resumed.stderr
    assert rows_of(tmp_path / "broken") == rows_of(tmp_path / "run")
