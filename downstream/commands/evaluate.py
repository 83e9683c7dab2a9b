"""`uninas evaluate`: how good trained weights are."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from uninas.commands.options import Size
from uninas.errors import InputError


@click.command("evaluate")
@click.argument("arch")
@click.option("--weights", type=click.Path(path_type=Path), help="Weights file. Default: a training run's best.")
@click.option(
    "--task",
    type=click.Choice(["classify", "detect", "segment"]),
    help="Default: that of a training run, else classify. The weights of detect and segment are those of the whole model.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="classify: a folder with val/, one folder of pictures a class; detect: COCO's layout; segment: ADE20K's.",
)
@click.option("--size", type=Size(), help="Pixels. Default: the training's, else the architecture's or the protocol's.")
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Of classify; the others take one by one.")
@click.option("--device", help="Of classify. Default: cuda where there is one, else cpu.")
@click.option("--workers", type=click.IntRange(0), help="Processes that read pictures. Default: the cores, at most 8.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(arch: str, data: Path, task: str | None, as_json: bool, **options: Any) -> None:
    """Evaluate ARCH (a preset, a file, a run of a search or of a training) with trained weights.

    \b
    uninas evaluate runs/coatnet --data imagenet
    uninas evaluate coatnet --weights coatnet.safetensors --data imagenet --json
    uninas evaluate runs/train-detect-coatnet-0 --data coco

    classify: top-1 and top-5 in percent, cross-entropy; pictures that cannot be read are counted and left out. detect: box and
    mask AP. segment: mean IoU and pixel accuracy. And pictures a second with loading.
    """
    from downstream.train.settings import StackSettings, read

    folder = Path(arch)
    trained = read(folder) if (folder / "settings.json").is_file() else None
    if trained is not None and task not in (None, trained.task):
        raise InputError(f"--task: expected {trained.task}, which {folder} was trained for; got {task}")
    if options["workers"] is None:
        options["workers"] = min(8, os.cpu_count() or 1)
    if (trained.task if trained is not None else task) in (None, "classify"):
        _classify(arch, data, options, as_json)
    else:
        for name in ("device", "batch"):
            if click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise InputError(
                    f"--{name}: expected not to be given for detect and segment: pictures go one by one, on a GPU if any"
                )
        stack = trained if isinstance(trained, StackSettings) else None
        _stack(arch, data, stack, str(task), options, as_json)


def _classify(arch: str, data: Path, options: dict[str, Any], as_json: bool) -> None:
    from downstream.data.pictures import Folder, Pictures, loader
    from downstream.evaluation.accuracy import accuracy
    from downstream.subject import subject_of
    from uninas.runtime.device import device_of

    folder = Folder.of(data, "val")
    subject = subject_of(arch, weights=options["weights"], size=options["size"])
    if subject.weights is None:
        raise InputError("--weights: expected a weights file, or a training's run as ARCH; got neither")
    names = subject.labels or folder.classes
    if subject.labels is None and len(names) != subject.classes:
        subject = subject_of(arch, weights=options["weights"], size=options["size"], classes=len(names))
    device = device_of(options["device"])
    model = subject.model().to(device)
    pictures = Pictures(folder, names)
    batches = loader(
        pictures, batch=options["batch"], size=subject.size, training=False, augment="", mean=model.pretrained_cfg["mean"],
        std=model.pretrained_cfg["std"], workers=options["workers"], device=device,
    )  # fmt: skip
    found = accuracy(model, batches, device)
    bad = [pictures.name(number) for number in found.unreadable]
    if as_json:
        _print_json({**asdict(found), "unreadable": bad})
        return
    click.echo(
        f"top-1 {found.top1:.2f}%  top-5 {found.top5:.2f}%  cross-entropy {found.loss:.4f}  of {found.pictures:,} pictures"
    )
    click.echo(f"{found.pictures_per_second:.1f} pictures/s on {device}, loading included")
    if bad:
        click.echo(f"{len(bad)} pictures could not be read, the first is {bad[0]}")


def _stack(arch: str, data: Path, trained: Any, task: str, options: dict[str, Any], as_json: bool) -> None:
    import tempfile

    from downstream.commands.train import stack_settings
    from downstream.train import mm

    settings = trained or stack_settings(arch, task)
    if options["size"] is not None:
        settings = replace(settings, size=options["size"])
    weights = options["weights"] or (Path(arch) / "best.safetensors" if trained is not None else None)
    if weights is None:
        raise InputError("--weights: expected a weights file, or a training's run as ARCH; got neither")
    with tempfile.TemporaryDirectory() as log:
        found = mm.evaluate(settings, data, Path(log), weights, workers=options["workers"])
    if as_json:
        _print_json(found)
        return
    titles = {"box_ap": "box AP", "mask_ap": "mask AP", "miou": "mIoU", "pixel_accuracy": "pixel accuracy"}
    shown = "  ".join(f"{title} {found[name]:.2f}%" for name, title in titles.items() if name in found)
    click.echo(f"{shown}  of {found['pictures']:,} pictures")
    click.echo(f"{found['pictures_per_second']:.1f} pictures/s, loading included")


def _print_json(found: Mapping[str, Any]) -> None:
    """As one object; what is no number (an infinite loss) is null, for JSON has none."""
    bad = [name for name, value in found.items() if isinstance(value, float) and not math.isfinite(value)]
    click.echo(json.dumps({**found, **dict.fromkeys(bad)}, allow_nan=False))
