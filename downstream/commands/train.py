"""`uninas train`: train an architecture by the papers' protocols."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from downstream.protocols import PRECISIONS, TASKS
from uninas.commands.completion import architectures, runs
from uninas.commands.next_step import say_next
from uninas.commands.options import Number, Size
from uninas.errors import InputError
from uninas.runtime.terminal import say

_FOLDER = click.Path(path_type=Path)
_CLASSIFY = ("recipe", "augment", "smoothing", "mixup", "erase", "ema", "teacher", "teacher_weights", "teacher_size")
"""Options for classification only."""

_DENSE = ("every", "checkpointing")
"""Options for detection and segmentation only."""

_KEPT = ("task", "epochs", "batch", "size", "lr", "drop_path", "precision", "seed", "weights", "out", *_CLASSIFY, *_DENSE)
"""Options that a run keeps, and that --resume does not accept."""


@click.command("train")
@click.argument("arch", required=False, shell_complete=architectures)
@click.option(
    "--task",
    type=click.Choice(TASKS),
    default="classify",
    show_default=True,
    help="What to train for; detect is Mask R-CNN in MMDetection, segment is UperNet in MMSegmentation.",
)
@click.option(
    "--data",
    type=_FOLDER,
    required=True,
    help="Folder of the data: train/ and val/ with one folder of images per class, or the layout of COCO or ADE20K.",
)
@click.option("--out", type=_FOLDER, help="Run folder to create; runs/train-<arch>-<seed> by default.")
@click.option(
    "--resume",
    type=_FOLDER,
    metavar="RUN",
    shell_complete=runs,
    help="Resume the training of this run folder after its last complete epoch.",
)
@click.option(
    "--accept-changes",
    is_flag=True,
    help="With --resume: go on although the data are not those that were trained on; the run folder says from which epoch.",
)
@click.option(
    "--recipe",
    type=click.Choice(["protocol", "mobilenetv2"]),
    default="protocol",
    show_default=True,
    help="Settings to start from; mobilenetv2 is that of the MobileNetV2 table of the VKDNW paper: 480 epochs of SGD with "
    "EfficientNet-B3 as a teacher.",
)
@click.option("--epochs", type=click.IntRange(1), help="Number of epochs; 150, 12 or 125 by default, as in the task's protocol.")
@click.option("--batch", type=click.IntRange(1), help="Images per batch and process; 48, 4 or 4 by default, 64 for mobilenetv2.")
@click.option("--size", type=Size(), help="Image size in pixels; 224, 800x1280 or 512 by default.")
@click.option(
    "--lr", type=Number(0, min_open=True), help="Peak learning rate; by default the protocol's, scaled with the total batch."
)
@click.option("--augment", help='Auto-augment policy of timm, "" for none; rand-m15-n2-mstd0.5 by default.')
@click.option("--smoothing", type=Number(0, 1, max_open=True), help="Label smoothing; 0 by default, 0.1 for mobilenetv2.")
@click.option(
    "--mixup", type=Number(0), help="Parameter of mixup's Beta distribution, 0 for no mixup; 0 by default, 0.2 for mobilenetv2."
)
@click.option("--erase", type=Number(0, 1), help="Probability of random erasing; 0 by default, 0.25 for mobilenetv2.")
@click.option("--drop-path", type=Number(0, 1, max_open=True), help="Rate of stochastic depth; 0.2, 0.1 or 0.3 by default.")
@click.option(
    "--ema",
    type=Number(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Decay of averaged weights (EMA), which are evaluated too and kept where they are better; 0 for none.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", *PRECISIONS]),
    default="auto",
    show_default=True,
    help="Precision of the forward pass; auto is bfloat16 on a GPU that supports it, else float32.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all randomness.")
@click.option("--weights", type=click.Path(), help="Weights to start from; a different number of classes gets a new classifier.")
@click.option(
    "--teacher", metavar="MODEL", help="Teacher for distillation: a model of timm, or local-dir:FOLDER; by default the recipe's."
)
@click.option("--teacher-weights", type=click.Path(), help="Weights file of the teacher; by default timm downloads them.")
@click.option(
    "--teacher-size", type=Size(), help="Image size for the teacher; by default that of the network, 320 for mobilenetv2."
)
@click.option("--every", type=click.IntRange(1), help="Epochs between evaluations; 1 by default for detect, 5 for segment.")
@click.option(
    "--checkpointing", is_flag=True, help="Save memory at the cost of time by gradient checkpointing (detect, segment)."
)
@click.option("--device", help="Device of torch; cuda by default where there is one, else cpu.")
@click.option(
    "--workers", type=click.IntRange(0), help="Number of processes that read images; by default one per core, at most 8."
)
@click.pass_context
def command(context: click.Context, /, arch: str | None, data: Path, resume: Path | None, **options: Any) -> None:
    """Train ARCH (a preset, an architecture file, a run of a search) on DATA.

    \b
    uninas train coatnet --data imagenet --out runs/coatnet
    torchrun --nproc-per-node 8 -m uninas.cli train runs/search/best.json --data imagenet --out runs/found
    uninas train --resume runs/coatnet --data imagenet
    uninas train runs/search --data cifar --size 32 --epochs 20 --batch 128
    uninas train coatnet --task detect --data coco --weights runs/coatnet/best.safetensors

    The run folder holds log.csv and curves.svg, best.safetensors, and checkpoint.pth for --resume. A killed training loses only
    the epoch in progress: the resumed one ends with the same curve.
    """
    from downstream.commands.progress import progress
    from downstream.train.run_folder import ReportedElsewhere
    from downstream.train.settings import Settings, read_settings
    from uninas.runtime.device import device_of

    workers = options.pop("workers")
    workers = min(8, os.cpu_count() or 1) if workers is None else workers
    device, accepted = options.pop("device"), options.pop("accept_changes")
    given = [name for name in _KEPT if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    settings: Any
    if resume is not None:
        if arch is not None:
            raise InputError("ARCH: expected none with --resume, which continues the network of the run")
        for name in given:
            raise InputError(f"{_flag(name)}: expected none with --resume, which keeps the settings of the run")
        run, settings = resume, read_settings(resume)
    else:
        if accepted:
            raise InputError("--accept-changes: expected only with --resume; a new training has nothing that could have changed")
        if arch is None:
            raise InputError("ARCH: expected a preset, a file or a run to train, or --resume RUN; got neither")
        for name in given:
            if name in (_DENSE if options["task"] == "classify" else _CLASSIFY):
                raise InputError(f"{_flag(name)}: expected none with --task {options['task']}, to which it does not apply")
        make = _classification if options["task"] == "classify" else _dense
        settings = make(arch, data, str(device_of(device)), options)
        task = "" if settings.task == "classify" else f"{settings.task}-"
        run = options["out"] or Path("runs") / f"train-{task}{_stem(arch)}-{settings.seed}"
    first = int(os.environ.get("RANK", "0")) == 0
    common: dict[str, Any] = {"workers": workers, "resume": resume is not None, "accept_changes": accepted}
    try:
        with progress(first, settings.batch * settings.processes) as watch:
            if isinstance(settings, Settings):
                from downstream.train import classify

                found = classify.train(settings, data, run, device=str(device_of(device)), **common, watch=watch)
            else:
                from downstream.train import mm

                if device is not None:
                    raise InputError("--device: expected none for detect and segment: OpenMMLab uses a GPU where there is one")
                found = mm.train(settings, data, run, **common, watch=watch)
    except ReportedElsewhere:  # by the first of several processes
        context.exit(2)
    if first:
        skipped = f", {len(found.unreadable)} images could not be read" if found.unreadable else ""
        title = {"top1": "top-1", "mask_ap": "mask AP", "miou": "mIoU"}[found.metric]
        best = f"best {title} {found.best:.2f}% in epoch {found.best_epoch}" if found.best_epoch else f"no {title} in any epoch"
        say(f"{best} of {len(found.rows)}{skipped}")
        for name in ("best.safetensors", "log.csv", "curves.svg"):
            if (run / name).exists():
                say(f"{run / name}")
        if found.best_epoch:
            to = {"classify": "timm", "detect": "mmdet", "segment": "mmseg"}[settings.task]
            say_next("uninas", "export", run, "--to", to, "--out", "exported", note="or uninas evaluate, uninas compare")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _stem(arch: str) -> str:
    """Name a run after its architecture, and best.json of a search after the search."""
    path = Path(arch)
    return path.parent.name if path.name in ("best.json", "architecture.json") and path.parent.name else path.stem


def _absolute(given: str | None) -> str | None:
    """Make a path absolute: a resume may start in another folder."""
    return None if given is None else str(Path(given).absolute())


def _classification(arch: str, data: Path, device: str, options: dict[str, Any]) -> Any:
    from downstream.data.images import Folder
    from downstream.protocols import PROTOCOLS
    from downstream.train.settings import Settings

    protocol = PROTOCOLS["classify" if options["recipe"] == "protocol" else options["recipe"]]
    teacher = options["teacher"] or protocol.teacher
    if teacher is None and (options["teacher_weights"] or options["teacher_size"]):
        raise InputError("--teacher-weights, --teacher-size: expected a --teacher with them; got none")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    epochs, batch = options["epochs"] or protocol.epochs, options["batch"] or protocol.batch
    rates = protocol.rates(batch * processes)
    lr = options["lr"] or rates.lr
    return Settings(
        arch=_document(arch),
        classes=Folder.of(data, "train").classes,
        size=options["size"] or protocol.size,
        batch=batch,
        processes=processes,
        epochs=epochs,
        warmup_epochs=min(protocol.warmup_epochs, epochs // 10),
        optimiser=protocol.optimiser,
        weight_decay=protocol.weight_decay,
        schedule=protocol.schedule,
        lr=lr,
        warmup_lr=rates.warmup_lr,
        min_lr=min(rates.min_lr, lr),
        clip=protocol.clip,
        augment=protocol.augment if options["augment"] is None else options["augment"],
        drop_path=protocol.drop_path if options["drop_path"] is None else options["drop_path"],
        ema=options["ema"],
        precision=precision_of(options["precision"], device),
        seed=options["seed"],
        weights=_absolute(options["weights"]),
        **{name: getattr(protocol, name) if options[name] is None else options[name] for name in ("smoothing", "mixup", "erase")},
        norm_momentum=protocol.norm_momentum,
        teacher=_local(teacher),
        teacher_weights=_absolute(options["teacher_weights"]),
        teacher_size=options["teacher_size"] or protocol.teacher_size,
        teacher_features=protocol.teacher_features,
    )


def _document(arch: str) -> dict[str, Any]:
    """Give the document of an architecture that the run keeps."""

    from uninas.source import load_with_metadata
    from uninas.text import to_document

    document = to_document(*load_with_metadata(arch))
    return document


def _local(teacher: str | None) -> str | None:
    kind, colon, path = (teacher or "").partition(":")
    return f"{kind}:{Path(path).absolute()}" if colon and kind == "local-dir" else teacher


def _dense(arch: str, data: Path, device: str, options: dict[str, Any]) -> Any:
    from downstream.train.mm_config import class_names

    classes = class_names(data) if options["task"] == "detect" else None
    kept = ("size", "batch", "epochs", "every", "drop_path", "lr", "checkpointing", "seed")
    return openmmlab_settings(
        arch,
        options["task"],
        classes=classes,
        precision=precision_of(options["precision"], device),
        weights=_absolute(options["weights"]),
        **{name: options[name] for name in kept},
    )


def openmmlab_settings(arch: str, task: str, **asked: Any) -> Any:
    """Give the settings of a detector or a segmenter, with the protocol's value for what is None."""
    from downstream.protocols import PROTOCOLS
    from downstream.train.settings import OpenMMLabSettings

    protocol = PROTOCOLS[task]
    given = {name: value for name, value in asked.items() if value is not None}
    epochs = given.pop("epochs", protocol.epochs)
    every = min(epochs, given.pop("every", 5 if task == "segment" else 1))
    usual = {"size": protocol.size, "batch": protocol.batch, "drop_path": protocol.drop_path}
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    return OpenMMLabSettings(
        task=task, arch=_document(arch), processes=processes, epochs=epochs, every=every, **{**usual, **given}
    )


def precision_of(asked: str, device: str) -> str:
    """Resolve "auto": bfloat16 on a GPU that supports it, else float32."""
    import torch

    if asked != "auto":
        return asked
    return "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
