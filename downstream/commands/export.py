"""`uninas export`: a network as a folder of another tool's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from uninas.commands.options import Size
from uninas.errors import InputError

_FORMATS = ["timm", "mmdet", "mmseg", "torch", "onnx", "reference"]


@click.command("export")
@click.argument("arch")
@click.option("--to", type=click.Choice(_FORMATS), required=True, help="The format.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to create.")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="Weights, ours or (.npz) the reference's. Default: a run's best."
)
@click.option("--classes", type=click.IntRange(1), help="Default: the training's, else the architecture's.")
@click.option("--size", type=Size(), help="Pixels of the input. Default: the training's, else the architecture's.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of fresh weights.")
def command(arch: str, to: str, out: Path, **options: Any) -> None:
    """Write ARCH (a preset, a file, a run of a search or of a training) as a folder that another tool opens.

    \b
    timm       config.json and model.safetensors, laid out as timm's models on the Hugging Face Hub
    mmdet      config.py of Mask R-CNN on COCO, with the weights as its backbone's
    mmseg      config.py of UperNet on ADE20K, likewise
    torch      model.pt2 for torch.export.load: needs torch alone
    onnx       model.onnx for any runtime, of any batch
    reference  reference.json of the UniNAS authors' toolkit; weights.npz under its names, where weights are given

    \b
    uninas export runs/coatnet --to onnx --out exported
    uninas export coatnet --to timm --out exported --weights runs/coatnet/best.safetensors
    uninas export found.json --to reference --out theirs
    uninas export theirs/reference.json --to onnx --weights theirs/weights.npz --out exported

    A program (torch, onnx) is run at two batches and held against the module before it is given away; what was written for the
    reference is read back for that. README.md is the model card: costs, scores, origin and use.
    """
    from downstream.export import export
    from downstream.subject import subject_of
    from uninas.reference import inexact

    for name in ("classes", "size"):
        if to in ("mmdet", "mmseg") and options[name] is not None:
            raise InputError(
                f"--{name}: expected not to be given for {to}, whose configuration has the data's and the protocol's"
            )
    if to == "reference" and options["size"] is not None:
        raise InputError("--size: expected not to be given for reference, whose networks run at the architecture's size alone")
    subject = subject_of(arch, **options)
    for path in export(subject, to, out):
        click.echo(f"{path}")
    for line in inexact(subject.architecture) if to == "reference" else ():
        click.echo(f"warning: other logits in the reference: {line}", err=True)
