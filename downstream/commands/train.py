"""`uninas train`: train an architecture by the papers' protocols."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from uninas.commands.options import Size
from uninas.errors import InputError

_FOLDER = click.Path(path_type=Path)
_KEPT = ("task", "recipe", "epochs", "batch", "size", "lr", "augment", "drop_path", "ema", "precision", "seed", "weights",
         "teacher", "teacher_weights", "out")  # fmt: skip


@click.command("train")
@click.argument("arch", required=False)
@click.option("--task", type=click.Choice(["classify"]), default="classify", show_default=True)
@click.option("--data", type=_FOLDER, required=True, help="Folder with train/ and val/, one folder of pictures a class in each.")
@click.option("--out", type=_FOLDER, help="Run folder to create. Default: runs/train-<arch>-<seed>.")
@click.option("--resume", type=_FOLDER, metavar="RUN", help="Take a training up where its last epoch ended.")
@click.option(
    "--recipe",
    type=click.Choice(["protocol", "mobilenetv2"]),
    default="protocol",
    show_default=True,
    help="mobilenetv2: 480 epochs of SGD with a teacher, as the MobileNetV2 table of the VKDNW paper.",
)
@click.option("--epochs", type=click.IntRange(1), help="Default: the protocol's 150.")
@click.option("--batch", type=click.IntRange(1), help="Of each process. Default: the protocol's 48.")
@click.option("--size", type=Size(), help="Pixels. Default: the protocol's 224.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Default: the protocol's, in proportion to the whole batch.")
@click.option("--augment", help="timm's auto-augment, \"\" for none. Default: the protocol's rand-m15-n2-mstd0.5.")
@click.option("--drop-path", type=click.FloatRange(0, 1, max_open=True), help="Stochastic depth. Default: the protocol's 0.2.")
@click.option(
    "--ema",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Decay of averaged weights, evaluated beside the others; 0: none.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Of the forward pass. auto: bfloat16 on a GPU that has it, else float32.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--weights", type=click.Path(), help="Begin from these; another number of classes gets a new classifier.")
@click.option("--teacher", metavar="MODEL", help="A model of timm that teaches, such as local-dir:FOLDER.")
@click.option("--teacher-weights", type=click.Path(), help="Weights file of the teacher.")
@click.option("--device", help="Default: cuda where there is one, else cpu.")
@click.option("--workers", type=click.IntRange(0), help="Processes that read pictures. Default: the cores, at most 8.")
@click.pass_context
def command(context: click.Context, /, arch: str | None, data: Path, resume: Path | None, **options: Any) -> None:  # fmt: skip
    """Train ARCH (a preset, a file, a run of a search) on DATA.

    \b
    uninas train coatnet --data imagenet --out runs/coatnet
    torchrun --nproc-per-node 8 -m uninas.cli train runs/search/best.json --data imagenet --out runs/found
    uninas train --resume runs/coatnet --data imagenet
    uninas train runs/search --data cifar --size 32 --epochs 20 --batch 128

    The run folder holds log.csv and curves.svg, best.safetensors and last.safetensors, and checkpoint.pth for --resume. A killed
    training loses the epoch that was under way, and ends with the curve that it would have had.
    """
    from downstream.commands.progress import progress
    from downstream.train import classify
    from downstream.train.settings import read

    device = options.pop("device") or _device()
    workers = options.pop("workers")
    workers = min(8, os.cpu_count() or 1) if workers is None else workers
    if resume is not None:
        if arch is not None:
            raise InputError("ARCH: expected not to be given with --resume: the run has its own")
        for name in _KEPT:
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise InputError(f"--{name.replace('_', '-')}: expected not to be given with --resume: the run keeps its own")
        run, settings = resume, read(resume)
    else:
        if arch is None:
            raise InputError("ARCH: expected a preset, a file or a run to train; or --resume RUN; got neither")
        settings = _settings(arch, data, device, options)
        run = options["out"] or Path("runs") / f"train-{Path(arch).stem}-{settings.seed}"
    first = int(os.environ.get("RANK", "0")) == 0
    with progress(first) as watch:
        found = classify.train(settings, data, run, device=device, workers=workers, resume=resume is not None, watch=watch)
    if first:
        skipped = f", {len(found.unreadable)} pictures could not be read" if found.unreadable else ""
        click.echo(f"best top-1 {found.best:.2f}% in epoch {found.best_epoch} of {len(found.rows)}{skipped}")
        for name in ("best.safetensors", "log.csv", "curves.svg"):
            click.echo(f"{run / name}")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _settings(arch: str, data: Path, device: str, options: dict[str, Any]) -> Any:
    import json

    import torch

    from downstream.train.pictures import Folder
    from downstream.train.protocols import PROTOCOLS
    from downstream.train.settings import Settings
    from uninas.source import load
    from uninas.text import to_text

    protocol = PROTOCOLS["classify" if options["recipe"] == "protocol" else options["recipe"]]
    if options["recipe"] == "mobilenetv2" and options["teacher"] is None:
        raise InputError("--recipe mobilenetv2: expected a teacher (--teacher MODEL); got none")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    epochs, batch = options["epochs"] or protocol.epochs, options["batch"] or protocol.batch
    rates = protocol.rates(batch * processes)
    lr = options["lr"] or rates.lr
    precision = options["precision"]
    if precision == "auto":
        precision = "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float32"
    return Settings(
        arch=json.loads(to_text(load(arch))), classes=Folder.of(data, "train").classes, size=options["size"] or protocol.size,
        batch=batch, processes=processes, epochs=epochs, warmup_epochs=min(protocol.warmup_epochs, epochs // 10),
        optimiser=protocol.optimiser, weight_decay=protocol.weight_decay, schedule=protocol.schedule, lr=lr,
        warmup_lr=rates.warmup_lr, min_lr=min(rates.min_lr, lr), clip=protocol.clip,
        augment=protocol.augment if options["augment"] is None else options["augment"],
        drop_path=protocol.drop_path if options["drop_path"] is None else options["drop_path"], ema=options["ema"],
        precision=precision, seed=options["seed"], teacher=options["teacher"], teacher_weights=options["teacher_weights"],
        weights=options["weights"],
    )  # fmt: skip
