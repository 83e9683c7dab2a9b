"""`uninas train`: train an architecture by the papers' protocols."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from uninas.commands.options import Number, Size
from uninas.errors import InputError

_FOLDER = click.Path(path_type=Path)
_CLASSIFY = ("recipe", "augment", "smoothing", "mixup", "erase", "ema", "teacher", "teacher_weights", "teacher_size")
"""Options of classification alone."""

_STACK = ("every", "checkpointing")
"""Options of detection and segmentation alone."""

_KEPT = ("task", "epochs", "batch", "size", "lr", "drop_path", "precision", "seed", "weights", "out", *_CLASSIFY, *_STACK)
"""Options that a run keeps: none of them with --resume."""


@click.command("train")
@click.argument("arch", required=False)
@click.option(
    "--task",
    type=click.Choice(["classify", "detect", "segment"]),
    default="classify",
    show_default=True,
    help="detect: Mask R-CNN, by MMDetection; segment: UperNet, by MMSegmentation.",
)
@click.option(
    "--data",
    type=_FOLDER,
    required=True,
    help="classify: train/ and val/, one folder of pictures a class in each; detect: COCO's layout; segment: ADE20K's.",
)
@click.option("--out", type=_FOLDER, help="Run folder to create. Default: runs/train-<arch>-<seed>.")
@click.option("--resume", type=_FOLDER, metavar="RUN", help="Take a training up where its last epoch ended.")
@click.option(
    "--recipe",
    type=click.Choice(["protocol", "mobilenetv2"]),
    default="protocol",
    show_default=True,
    help="mobilenetv2: 480 epochs of SGD with EfficientNet-B3 as a teacher, as the MobileNetV2 table of the VKDNW paper.",
)
@click.option("--epochs", type=click.IntRange(1), help="Default: the protocol's 150, 12, 125.")
@click.option("--batch", type=click.IntRange(1), help="Of each process. Default: the protocol's 48, 4, 4; mobilenetv2: 64.")
@click.option("--size", type=Size(), help="Pixels. Default: the protocol's 224, 800x1280, 512.")
@click.option("--lr", type=Number(0, min_open=True), help="Default: the protocol's, in proportion to the whole batch.")
@click.option("--augment", help="timm's auto-augment, \"\" for none. Default: the protocol's rand-m15-n2-mstd0.5.")
@click.option("--smoothing", type=Number(0, 1, max_open=True), help="Of the labels. Default: the recipe's 0; 0.1.")
@click.option("--mixup", type=Number(0), help="Beta's parameter of mixup; 0: none. Default: the recipe's 0; 0.2.")
@click.option("--erase", type=Number(0, 1), help="Probability of an erased rectangle. Default: the recipe's 0; 0.25.")
@click.option("--drop-path", type=Number(0, 1, max_open=True), help="Stochastic depth. Default: the protocol's 0.2, 0.1, 0.3.")
@click.option(
    "--ema",
    type=Number(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Decay of averaged weights, evaluated beside the others, and the best where they are better; 0: none.",
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
@click.option("--teacher", metavar="MODEL", help="A model of timm that teaches, such as local-dir:FOLDER. Default: the recipe's.")
@click.option("--teacher-weights", type=click.Path(), help="Weights file of the teacher. Default: those that timm downloads.")
@click.option("--teacher-size", type=Size(), help="Pixels that the teacher sees. Default: the network's; mobilenetv2: 320.")
@click.option("--every", type=click.IntRange(1), help="Epochs between evaluations. Default: 1 for detect, 5 for segment.")
@click.option("--checkpointing", is_flag=True, help="Trade time for memory (detect, segment).")
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
    uninas train coatnet --task detect --data coco --weights runs/coatnet/best.safetensors

    The run folder holds log.csv and curves.svg, best.safetensors, and checkpoint.pth for --resume. A killed training loses the
    epoch that was under way, and ends with the curve that it would have had.
    """
    from downstream.commands.progress import progress
    from downstream.train.run_folder import ToldElsewhere
    from downstream.train.settings import Settings, read
    from uninas.runtime.device import device_of

    workers = options.pop("workers")
    workers = min(8, os.cpu_count() or 1) if workers is None else workers
    device = options.pop("device")
    given = [name for name in _KEPT if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    settings: Any
    if resume is not None:
        if arch is not None:
            raise InputError("ARCH: expected not to be given with --resume: the run has its own")
        for name in given:
            raise InputError(f"{_flag(name)}: expected not to be given with --resume: the run keeps its own")
        run, settings = resume, read(resume)
    else:
        if arch is None:
            raise InputError("ARCH: expected a preset, a file or a run to train; or --resume RUN; got neither")
        for name in given:
            if name in (_STACK if options["task"] == "classify" else _CLASSIFY):
                raise InputError(f"{_flag(name)}: expected not to be given with --task {options['task']}, which has no such part")
        make = _classification if options["task"] == "classify" else _stack
        settings = make(arch, data, str(device_of(device)), options)
        task = "" if settings.task == "classify" else f"{settings.task}-"
        run = options["out"] or Path("runs") / f"train-{task}{_stem(arch)}-{settings.seed}"
    first = int(os.environ.get("RANK", "0")) == 0
    try:
        with progress(first) as watch:
            if isinstance(settings, Settings):
                from downstream.train import classify

                found = classify.train(
                    settings, data, run, device=str(device_of(device)), workers=workers, resume=resume is not None, watch=watch
                )
            else:
                from downstream.train import mm

                if device is not None:
                    raise InputError(
                        "--device: expected not to be given for detect and segment: the stack takes a GPU where there is one"
                    )
                found = mm.train(settings, data, run, workers=workers, resume=resume is not None, watch=watch)
    except ToldElsewhere:  # by the first of several processes
        context.exit(2)
    if first:
        skipped = f", {len(found.unreadable)} pictures could not be read" if found.unreadable else ""
        title = {"top1": "top-1", "mask_ap": "mask AP", "miou": "mIoU"}[found.metric]
        best = f"best {title} {found.best:.2f}% in epoch {found.best_epoch}" if found.best_epoch else f"no {title} in any epoch"
        click.echo(f"{best} of {len(found.rows)}{skipped}")
        for name in ("best.safetensors", "log.csv", "curves.svg"):
            if (run / name).exists():
                click.echo(f"{run / name}")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _stem(arch: str) -> str:
    """Name a run after its architecture; best.json of a search after the search."""
    path = Path(arch)
    return path.parent.name if path.name in ("best.json", "architecture.json") and path.parent.name else path.stem


def _absolute(given: str | None) -> str | None:
    """A file that a resume reads from another folder."""
    return None if given is None else str(Path(given).absolute())


def _classification(arch: str, data: Path, device: str, options: dict[str, Any]) -> Any:
    from downstream.data.pictures import Folder
    from downstream.protocols import PROTOCOLS
    from downstream.train.settings import Settings

    protocol = PROTOCOLS["classify" if options["recipe"] == "protocol" else options["recipe"]]
    teacher = options["teacher"] or protocol.teacher
    if teacher is None and (options["teacher_weights"] or options["teacher_size"]):
        raise InputError("--teacher-weights, --teacher-size: expected a --teacher beside them; got none")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    epochs, batch = options["epochs"] or protocol.epochs, options["batch"] or protocol.batch
    rates = protocol.rates(batch * processes)
    lr = options["lr"] or rates.lr
    return Settings(
        arch=_document(arch), classes=Folder.of(data, "train").classes, size=options["size"] or protocol.size,
        batch=batch, processes=processes, epochs=epochs, warmup_epochs=min(protocol.warmup_epochs, epochs // 10),
        optimiser=protocol.optimiser, weight_decay=protocol.weight_decay, schedule=protocol.schedule, lr=lr,
        warmup_lr=rates.warmup_lr, min_lr=min(rates.min_lr, lr), clip=protocol.clip,
        augment=protocol.augment if options["augment"] is None else options["augment"],
        drop_path=protocol.drop_path if options["drop_path"] is None else options["drop_path"], ema=options["ema"],
        precision=precision_of(options["precision"], device), seed=options["seed"], weights=_absolute(options["weights"]),
        **{name: getattr(protocol, name) if options[name] is None else options[name] for name in ("smoothing", "mixup", "erase")},
        norm_momentum=protocol.norm_momentum, teacher=_local(teacher), teacher_weights=_absolute(options["teacher_weights"]),
        teacher_size=options["teacher_size"] or protocol.teacher_size, teacher_features=protocol.teacher_features,
    )  # fmt: skip


def _document(arch: str) -> dict[str, Any]:
    """Give the document that a run keeps of an architecture."""

    from uninas.source import load_with_metadata
    from uninas.text import to_document

    document = to_document(*load_with_metadata(arch))
    return document


def _local(teacher: str | None) -> str | None:
    kind, colon, path = (teacher or "").partition(":")
    return f"{kind}:{Path(path).absolute()}" if colon and kind == "local-dir" else teacher


def _stack(arch: str, data: Path, device: str, options: dict[str, Any]) -> Any:
    from downstream.train.mm_config import class_names

    classes = class_names(data) if options["task"] == "detect" else None
    kept = ("size", "batch", "epochs", "every", "drop_path", "lr", "checkpointing", "seed")
    return stack_settings(
        arch, options["task"], classes=classes, precision=precision_of(options["precision"], device),
        weights=_absolute(options["weights"]), **{name: options[name] for name in kept},
    )  # fmt: skip


def stack_settings(arch: str, task: str, **asked: Any) -> Any:
    """Give the settings of a detector or a segmenter; what is None is the protocol's."""
    from downstream.protocols import PROTOCOLS
    from downstream.train.settings import StackSettings

    protocol = PROTOCOLS[task]
    given = {name: value for name, value in asked.items() if value is not None}
    epochs = given.pop("epochs", protocol.epochs)
    every = min(epochs, given.pop("every", 5 if task == "segment" else 1))
    usual = {"size": protocol.size, "batch": protocol.batch, "drop_path": protocol.drop_path}
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    return StackSettings(task=task, arch=_document(arch), processes=processes, epochs=epochs, every=every, **{**usual, **given})


def precision_of(asked: str, device: str) -> str:
    """Give the precision that is asked for; "auto" is bfloat16 on a GPU that has it, else float32."""
    import torch

    if asked != "auto":
        return asked
    return "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
