"""A teacher: what it has to be, what is learnt of it, and a taught training that is killed and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from downstream.export import export
from downstream.subject import subject_of
from downstream.train.classify import train
from downstream.train.result import Watch
from downstream.train.settings import read_settings
from downstream.train.teacher import taught, teacher_of
from downstream.weights import weight_files
from tests.downstream.trainings import MIXED, rows_of, settings
from tests.uninas.examples import tiny
from uninas import InputError


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
            weight_files.save_checkpoint({"state_dict": original.state_dict()}, file)
        else:
            weight_files.save(original.state_dict(), file)
        assert torch.equal(teacher_of("test_resnet", str(file), 3).eval()(noise), original(noise))


def test_a_teacher_of_other_classes_or_none_is_rejected(teacher: Path) -> None:
    with pytest.raises(InputError, match=r"expected a teacher of the 5 classes of the data; .* has 3"):
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
    seen = (inputs * std + mean - its_mean) / its_std  # each was trained on images of its own scale
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
    train(read_settings(tmp_path / "broken"), data, tmp_path / "broken", workers=0, resume=True)
    assert rows_of(tmp_path / "broken") == rows_of(tmp_path / "whole")
