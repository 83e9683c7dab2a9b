"""Trainings in mixed precision: a search's, `uninas train`'s, and steps of a compiled network beside timm's own."""

from __future__ import annotations

import csv
import math
import random
import statistics
import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import nn

import uninas
from benchmarks.gpu.networks import small
from benchmarks.gpu.steps import Bench
from benchmarks.throughput import AIM, Runner, clock_of

__all__ = ["training"]

CLASSES = ("blue", "green", "red")
MODEL = "resnet50"
ROUNDS = 20


def training(bench: Bench) -> None:
    """Train on a small folder of images by both trainers; then time steps on noise."""
    with tempfile.TemporaryDirectory() as made:
        data = _images(Path(made, "images"), 32 if bench.toy else 128)
        with bench.part("a search's training"):
            _short(bench, data)
        with bench.part("uninas train"):
            _whole(bench, data, Path(made, "run"))
    for layout in (torch.contiguous_format, torch.channels_last):
        with bench.part(f"steps, {layout}"):
            _steps(bench, layout)


def _images(folder: Path, count: int) -> Path:
    """Write train/ and val/ with so many images of a class, and a quarter of it: noise, brighter in the class's channel."""
    stream = random.Random(0)
    for split, some in (("train", count), ("val", count // 4)):
        for place, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for number in range(some):
                pixels = bytearray(stream.randbytes(3 * 32 * 32))
                pixels[place::3] = bytes(128 + value // 2 for value in pixels[place::3])
                Image.frombytes("RGB", (32, 32), bytes(pixels)).save(folder / split / name / f"{number}.png")
    return folder


def _short(bench: Bench, data: Path) -> None:
    """Train twice as a worker of a search does: is the loss finite, and the same?"""
    from search.training.evaluate import Job, evaluate, prepare
    from search.training.images import describe
    from search.training.recipe import Recipe

    prepare(bench.device)
    described, _ = describe(data, pixels=32, per_class=None)
    for precision in ("bfloat16", "float32"):
        recipe = Recipe(epochs=2, batch=16 if bench.toy else 64, precision=precision)
        job = Job("a network", uninas.to_text(small("coatnet", classes=len(CLASSES))), (32, 32), described, recipe, seed=0)
        outcomes = [evaluate(job, bench.device) for _ in range(2)]
        losses = [one.scores.get("loss", math.nan) for one in outcomes]
        images = outcomes[1].details["top1"]["images"] if outcomes[1].details else 0
        bench.row(
            f"a search's training, {precision}",
            ok=all(one.status == "ok" for one in outcomes),
            reason=outcomes[0].reason or outcomes[1].reason,
            losses=losses,
            same_bits=losses[0] == losses[1],  # not claimed of a GPU, whose kernels may add in any order
            rate=images / outcomes[1].seconds["train"],
        )


def _whole(bench: Bench, data: Path, run: Path) -> None:
    """Run the command, with its own choice of precision and timm's loader for the device."""
    from downstream.commands.train import command

    arch = run.with_name("network.json")
    arch.write_text(uninas.to_text(small("coatnet", classes=len(CLASSES))), encoding="utf-8")
    given = {"--data": data, "--out": run, "--epochs": 2, "--size": 32, "--batch": 16, "--device": bench.device}
    given["--workers"] = 0 if bench.toy else 2
    words = [str(word) for pair in given.items() for word in pair]
    command.main([str(arch), *words], standalone_mode=False)
    with (run / "log.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    losses = [float(row["train_loss"]) for row in rows]
    bench.row("uninas train", ok=len(rows) == 2 and all(map(math.isfinite, losses)), losses=losses, top1=float(rows[-1]["top1"]))


def _steps(bench: Bench, layout: torch.memory_format) -> None:
    """Time training steps of the compiled network and of timm's model of the same name, in turns, in bfloat16."""
    from uninas.runtime.torchvision_repair import repair

    repair()
    import timm

    from downstream.train.parts import autocast

    device, (batch, side) = torch.device(bench.device), (2, 32) if bench.toy else (128, 224)
    networks: tuple[nn.Module, nn.Module] = (uninas.build(uninas.preset(MODEL)), timm.create_model(MODEL))
    params = [sum(one.numel() for one in network.parameters()) for network in networks]
    runners = [Runner(network.to(device, memory_format=layout), training=True) for network in networks]  # type: ignore[call-overload]
    images = torch.randn(batch, 3, side, side, device=device).contiguous(memory_format=layout)
    labels, clock = torch.randint(1000, (batch,), device=device), clock_of(bench.device)
    for number in range((2 if bench.toy else ROUNDS) + 2):
        for runner in runners if number % 2 else reversed(runners):
            with autocast(device, "bfloat16"):
                runner.step(images, labels, clock)
    ours, theirs = (runner.seconds[2:] for runner in runners)  # the first steps find out about memory and kernels
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    loss = nn.functional.cross_entropy(networks[0](images).float(), labels).item()
    claimed = bench.gpu and not bench.toy
    bench.row(
        f"{MODEL}, batch {batch}, {side} px, bfloat16, {str(layout).removeprefix('torch.').replace('_', ' ')}",
        ok=params[0] == params[1] and math.isfinite(loss) and (not claimed or ratio >= AIM),
        ours=batch / statistics.median(ours),
        timm=batch / statistics.median(theirs),
        ratio=ratio,
        params=params,
        loss=loss,
    )
