"""`uninas evaluate`: the accuracy of trained weights."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from downstream.protocols import TASKS
from uninas.commands.completion import architectures
from uninas.commands.options import Size
from uninas.errors import InputError
from uninas.runtime.terminal import say


@click.command("evaluate")
@click.argument("arch", shell_complete=architectures)
@click.option("--weights", type=click.Path(path_type=Path), help="Weights file; by default the best weights of a training's run.")
@click.option(
    "--task",
    type=click.Choice(TASKS),
    help="What the weights are for; by default the task of the training's run, else classify. For detect and segment the weights "
    "are those of the whole model.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the data: val/ with one folder of images per class, or the layout of COCO or ADE20K.",
)
@click.option(
    "--size", type=Size(), help="Image size in pixels; by default that of the training, else of the architecture or the protocol."
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Images per batch for classify; detect and segment evaluate one at a time.",
)
@click.option("--device", help="Device for classify; cuda by default where there is one, else cpu.")
@click.option(
    "--workers", type=click.IntRange(0), help="Number of processes that read images; by default one per core, at most 8."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(arch: str, data: Path, task: str | None, as_json: bool, **options: Any) -> None:
    """Evaluate ARCH (a preset, a file, a run of a search or of a training) with trained weights.

    \b
    uninas evaluate runs/coatnet --data imagenet
    uninas evaluate coatnet --weights coatnet.safetensors --data imagenet --json
    uninas evaluate runs/train-detect-coatnet-0 --data coco

    Reports top-1, top-5 and cross-entropy for classify (images that cannot be read are counted and left out), box and mask AP for
    detect, mean IoU and pixel accuracy for segment, and images/s including loading.
    """
    from downstream.train.settings import OpenMMLabSettings, read_settings

    folder = Path(arch)
    trained = read_settings(folder) if (folder / "settings.json").is_file() else None
    if trained is not None and task not in (None, trained.task):
        raise InputError(f"--task: expected {trained.task}, for which {folder} was trained; got {task}")
    if options["workers"] is None:
        options["workers"] = min(8, os.cpu_count() or 1)
    if (trained.task if trained is not None else task) in (None, "classify"):
        _classify(arch, data, options, as_json)
    else:
        for name in ("device", "batch"):
            if click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise InputError(
                    f"--{name}: expected none for detect and segment, which take one image at a time, on a GPU where there is one"
                )
        dense = trained if isinstance(trained, OpenMMLabSettings) else None
        _dense(arch, data, dense, str(task), options, as_json)


def _classify(arch: str, data: Path, options: dict[str, Any], as_json: bool) -> None:
    from downstream.data.images import Folder, Images, loader
    from downstream.data.readers import plain_errors
    from downstream.evaluation.accuracy import accuracy
    from downstream.subject import subject_of
    from uninas.runtime.device import device_of

    folder = Folder.of(data, "val")
    subject = subject_of(arch, weights=options["weights"], size=options["size"])
    if subject.weights is None:
        raise InputError("--weights: expected a weights file, or the run of a training as ARCH; got neither")
    names = subject.labels or folder.classes
    if subject.labels is None and len(names) != subject.classes:
        subject = subject_of(arch, weights=options["weights"], size=options["size"], classes=len(names))
    device = device_of(options["device"])
    model = subject.model().to(device)
    images = Images(folder, names)
    if images.left_out:
        say(f"warning: {images.left_out}", err=True)
    batches = loader(
        images,
        batch=options["batch"],
        size=subject.size,
        training=False,
        augment="",
        mean=model.pretrained_cfg["mean"],
        std=model.pretrained_cfg["std"],
        workers=options["workers"],
        device=device,
    )
    with plain_errors():
        found = accuracy(model, batches, device)
    bad = [images.name(number) for number in found.unreadable]
    if as_json:
        _print_json({**asdict(found), "unreadable": bad})
        return
    say(f"top-1 {found.top1:.2f}%  top-5 {found.top5:.2f}%  cross-entropy {found.loss:.4f}  on {found.pictures:,} images")
    say(f"{found.pictures_per_second:.1f} images/s on {device}, including loading")
    if bad:
        say(f"{len(bad)} images could not be read, the first is {bad[0]}")


def _dense(arch: str, data: Path, trained: Any, task: str, options: dict[str, Any], as_json: bool) -> None:
    import tempfile

    from downstream.commands.train import openmmlab_settings
    from downstream.train import mm

    settings = trained or openmmlab_settings(arch, task)
    if options["size"] is not None:
        settings = replace(settings, size=options["size"])
    weights = options["weights"] or (Path(arch) / "best.safetensors" if trained is not None else None)
    if weights is None:
        raise InputError("--weights: expected a weights file, or the run of a training as ARCH; got neither")
    with tempfile.TemporaryDirectory() as log:
        found = mm.evaluate(settings, data, Path(log), weights, workers=options["workers"], note=partial(say, err=True))
    if as_json:
        _print_json(found)
        return
    titles = {"box_ap": "box AP", "mask_ap": "mask AP", "miou": "mIoU", "pixel_accuracy": "pixel accuracy"}
    shown = "  ".join(f"{title} {found[name]:.2f}%" for name, title in titles.items() if name in found)
    say(f"{shown}  on {found['pictures']:,} images")
    say(f"{found['pictures_per_second']:.1f} images/s, including loading")


def _print_json(found: Mapping[str, Any]) -> None:
    """Print one object; a value that is not finite (a loss) is null, which JSON has no number for."""
    bad = [name for name, value in found.items() if isinstance(value, float) and not math.isfinite(value)]
    say(json.dumps({**found, **dict.fromkeys(bad)}, allow_nan=False))
