"""Short trainings: they learn, one seed gives one accuracy, and the augmentation is the one that is stated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import uninas
from search.training import train as training
from search.training.evaluate import Job, evaluate
from search.training.images import Split, describe, load
from search.training.recipe import Recipe
from search.workers.job import Cause
from uninas.networks.presets import PRESETS

RECIPE = Recipe(epochs=4, batch=12, rate=3e-3)
SMALL: dict[str, Any] = {"widths": [32] * 4, "depths": [1] * 4, "stem": [8, 16], "classes": 3, "input_size": (32, 32)}


def job(colours: Path, seed: int = 0, preset: str = "resnet", **recipe: Any) -> Job:
    images, _ = describe(colours, pixels=16, per_class=None)
    text = uninas.to_text(uninas.preset(preset, **SMALL))
    return Job(preset, text, (32, 32), images, Recipe(**{**RECIPE.as_dict(), **recipe}), seed)


@pytest.mark.parametrize("preset", PRESETS)
def test_it_learns_what_can_be_learnt(colours: Path, preset: str) -> None:
    outcome = evaluate(job(colours, preset=preset))
    assert outcome.status == "ok"
    assert outcome.scores["top1"] > 90  # type: ignore[operator]  # of three classes by chance 33
    found = outcome.details["top1"]
    assert found["images"] == 4 * 6 * 12
    assert [set(epoch) for epoch in found["epochs"]] == [{"train_loss", "loss", "top1"}] * 4
    assert found["epochs"][-1]["top1"] == pytest.approx(outcome.scores["top1"], abs=1e-6)
    assert found["epochs"][-1]["loss"] < found["epochs"][0]["loss"]
    assert set(outcome.seconds) == {"build", "train", "cpu"}


def test_one_seed_gives_one_accuracy(colours: Path) -> None:
    first = evaluate(job(colours, 3))
    assert evaluate(Job.from_dict(job(colours, 3).as_dict())).details == first.details
    assert evaluate(job(colours, 4)).details != first.details


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6])
def test_a_training_may_be_of_any_few_steps(colours: Path, steps: int) -> None:
    """With five of them the rate would rise for exactly one."""
    outcome = evaluate(job(colours, epochs=1, batch=72 // steps))
    assert outcome.status == "ok", outcome.reason


def test_shorter_training_is_a_beginning_of_nothing_but_itself(colours: Path) -> None:
    """The rate's cycle is as long as the training: fewer epochs are another recipe, with another first epoch."""
    short, long = evaluate(job(colours, epochs=1)), evaluate(job(colours, epochs=2))
    assert short.details["top1"]["epochs"][0] != long.details["top1"]["epochs"][0]


def test_a_loss_that_is_not_finite_is_a_failure_with_its_reason(colours: Path) -> None:
    outcome = evaluate(job(colours, rate=1e30, clip=1e30))
    assert (outcome.status, outcome.cause) == ("failed", Cause.NOT_FINITE)
    assert "loss" in str(outcome.reason)
    assert outcome.scores == {}


def test_too_few_images_for_a_batch(colours: Path) -> None:
    outcome = evaluate(job(colours, batch=100))
    assert "expected at least one batch of 100 images to train on; got 72" in str(outcome.reason)


def test_bfloat16_learns_too(colours: Path) -> None:
    assert evaluate(job(colours, precision="bfloat16")).scores["top1"] > 90  # type: ignore[operator]


def test_weights_decay_and_biases_norms_and_scales_do_not() -> None:
    network = uninas.build(uninas.preset("coatnet", **SMALL))
    decaying, others = training._groups(network, 0.05)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.05, 0.0)
    assert {parameter.ndim for parameter in others["params"]} == {1}
    assert len(decaying["params"]) + len(others["params"]) == len(list(network.parameters()))


# --- augmentation -----------------------------------------------------------------------------------------------------------


def naive(image: np.ndarray[Any, Any], down: int, right: int, flip: bool) -> np.ndarray[Any, Any]:
    """Shift an image (3, H, W) with numpy's mirrored border, then mirror it."""
    _, height, width = image.shape
    margin = max(abs(down), abs(right))
    wide = np.pad(image, ((0, 0), (margin, margin), (margin, margin)), mode="reflect")
    moved = wide[:, margin + down : margin + down + height, margin + right : margin + right + width]
    return moved[:, :, ::-1] if flip else moved


def test_shifts_and_flips_are_those_of_a_naive_version() -> None:
    images = torch.randint(0, 256, (6, 3, 7, 5), dtype=torch.uint8)
    split = Split(images, torch.arange(6))
    reader = training._Reader(split, Recipe(shift=3), (7, 5), "cpu")
    chosen, seen = torch.tensor([4, 0, 2, 4]), set()
    draw = torch.Generator().manual_seed(1)
    for _ in range(40):
        for number, moved in zip(chosen.tolist(), reader._moved(chosen, draw).numpy(), strict=True):
            ways = [
                (down, right, flip)
                for down in range(-3, 4)
                for right in range(-3, 4)
                for flip in (False, True)
                if np.array_equal(naive(images[number].numpy(), down, right, flip), moved)
            ]
            assert ways
            seen.update(ways)
    assert len(seen) > 60  # of 98


def test_no_shift_and_no_flip_leave_an_image_as_it_is() -> None:
    images = torch.randint(0, 256, (4, 3, 6, 6), dtype=torch.uint8)
    reader = training._Reader(Split(images, torch.arange(4)), Recipe(shift=0, flip=False), (6, 6), "cpu")
    assert torch.equal(reader._moved(torch.tensor([3, 1]), torch.Generator()), images[[3, 1]])


def test_batches_are_normalised_and_as_large_as_the_network_reads() -> None:
    images = torch.randint(0, 200, (64, 3, 8, 8), dtype=torch.uint8)
    reader = training._Reader(Split(images, torch.arange(64)), Recipe(), (8, 8), "cpu")
    batch = reader.made(images)
    assert batch.mean((0, 2, 3)).abs().max() < 1e-4
    assert (batch.std((0, 2, 3)) - 1).abs().max() < 1e-2
    larger = training._Reader(Split(images, torch.arange(64)), Recipe(), (16, 12), "cpu").made(images)
    assert larger.shape == (64, 3, 16, 12)
    assert larger.is_contiguous(memory_format=torch.channels_last)


def test_an_epoch_has_every_image_once_but_for_the_rest(colours: Path) -> None:
    train, _ = load(describe(colours, pixels=16, per_class=None)[0])
    places = Split(train.images, torch.arange(len(train.labels)))
    reader = training._Reader(places, Recipe(batch=20), (16, 16), "cpu")
    labels = torch.cat([labels for _, labels in reader.shuffled(torch.Generator().manual_seed(0))])
    assert len(labels) == 60
    assert len(set(labels.tolist())) == 60


def test_accuracy_is_the_share_of_right_answers() -> None:
    """A network that answers with the brightest channel, on images of which three in four are labelled by it."""
    images = torch.zeros((8, 3, 4, 4), dtype=torch.uint8)
    brightest = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    images[torch.arange(8), brightest] = 250
    labels = brightest.clone()
    labels[:2] = 2
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    reader = training._Reader(Split(images, labels), Recipe(), (4, 4), "cpu")
    _, top1 = training._judge(network, reader, Split(images, labels), "cpu")
    assert top1 == 75.0
