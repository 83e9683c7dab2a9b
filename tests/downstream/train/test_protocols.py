"""The papers' protocols, number by number, and what the command makes of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.scheduler import create_scheduler_v2

from downstream.commands.train import _classification as asked_for
from downstream.commands.train import command
from downstream.protocols import PROTOCOLS
from uninas import cli


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
        "epochs": 150,
        "warmup_epochs": 5,
        "batch": 48,
        "processes": 8,
        "optimiser": "adamw",
        "weight_decay": 0.05,
        "schedule": "cosine",
        "lr": 8e-4,
        "warmup_lr": 8e-7,
        "min_lr": 8e-6,
        "augment": "rand-m15-n2-mstd0.5",
        "clip": 1.0,
        "drop_path": 0.2,
        "size": (224, 224),
        "ema": 0.0,
        "smoothing": 0.0,
        "mixup": 0.0,
        "erase": 0.0,
        "norm_momentum": None,
        "teacher": None,
        "precision": "float32",
    },
    ("mobilenetv2", 8): {
        "epochs": 480,
        "warmup_epochs": 5,
        "batch": 64,
        "processes": 8,
        "optimiser": "sgd",
        "weight_decay": 4e-5,
        "schedule": "cosine",
        "lr": 0.2,
        "warmup_lr": 0.0,
        "min_lr": 0.0,
        "augment": "original",
        "clip": None,
        "drop_path": 0.0,
        "size": (224, 224),
        "smoothing": 0.1,
        "mixup": 0.2,
        "erase": 0.25,
        "norm_momentum": 0.01,
        "teacher": "tf_efficientnet_b3.ns_jft_in1k",
        "teacher_size": (320, 320),
        "teacher_logits": 1.0,
        "teacher_features": 1.0,
    },
}


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


def test_the_schedule_runs_from_warm_up_to_its_minimum() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    schedule, epochs = create_scheduler_v2(
        optimiser,
        sched="cosine",
        num_epochs=150,
        warmup_epochs=5,
        warmup_lr=1e-7,
        min_lr=1e-6,
        step_on_epochs=False,
        updates_per_epoch=10,
    )
    assert epochs == 150

    def rate(update: int) -> float:
        schedule.step_update(update)
        return float(optimiser.param_groups[0]["lr"])

    assert rate(0) == pytest.approx(1e-7)
    assert rate(50) == pytest.approx(1e-4, rel=0.01)
    assert rate(1499) == pytest.approx(1e-6, rel=0.01)
