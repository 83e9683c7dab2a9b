"""`uninas evaluate`: how good trained weights are."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from uninas.commands.options import Size


@click.command("evaluate")
@click.argument("arch")
@click.option("--weights", type=click.Path(path_type=Path), help="Weights file. Default: a training run's best.")
@click.option("--task", type=click.Choice(["classify"]), default="classify", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with val/, one folder of pictures a class.")
@click.option("--size", type=Size(), help="Pixels. Default: the training's, else the architecture's.")
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True)
@click.option("--device", help="Default: cuda where there is one, else cpu.")
@click.option("--workers", type=click.IntRange(0), help="Processes that read pictures. Default: the cores, at most 8.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(arch: str, data: Path, as_json: bool, **options: Any) -> None:
    """Evaluate ARCH (a preset, a file, a run of a search or of a training) with trained weights.

    \b
    uninas evaluate runs/coatnet --data imagenet
    uninas evaluate coatnet --weights coatnet.safetensors --data imagenet --json

    Classification: top-1 and top-5 in percent, cross-entropy, pictures a second with loading. Pictures that cannot be read are
    counted and left out.
    """
    import torch

    from downstream.evaluate import accuracy
    from downstream.subject import subject_of
    from downstream.train.pictures import Folder, Pictures, loader
    from uninas.errors import InputError

    folder = Folder.of(data, "val")
    subject = subject_of(arch, weights=options["weights"], size=options["size"])
    if subject.weights is None:
        raise InputError("--weights: expected a weights file, or a training's run as ARCH; got neither")
    names = subject.labels or folder.classes
    if subject.labels is None and len(names) != subject.classes:
        subject = subject_of(arch, weights=options["weights"], size=options["size"], classes=len(names))
    device = torch.device(options["device"] or ("cuda" if torch.cuda.is_available() else "cpu"))
    workers = min(8, os.cpu_count() or 1) if options["workers"] is None else options["workers"]
    model = subject.model().to(device)
    pictures = Pictures(folder, names)
    batches = loader(
        pictures, batch=options["batch"], size=subject.size, training=False, augment="", mean=model.pretrained_cfg["mean"],
        std=model.pretrained_cfg["std"], workers=workers, distributed=False, device=device,
    )  # fmt: skip
    found = accuracy(model, batches, device)
    bad = [pictures.name(number) for number in found.unreadable]
    if as_json:
        click.echo(json.dumps({**asdict(found), "unreadable": bad}))
        return
    click.echo(
        f"top-1 {found.top1:.2f}%  top-5 {found.top5:.2f}%  cross-entropy {found.loss:.4f}  of {found.pictures:,} pictures"
    )
    click.echo(f"{found.pictures_per_second:.1f} pictures/s on {device}, loading included")
    if bad:
        click.echo(f"{len(bad)} pictures could not be read, the first is {bad[0]}")
