"""`uninas export`: write a network as a folder in the format of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from uninas.commands.completion import architectures
from uninas.commands.next_step import say_next
from uninas.commands.options import Size
from uninas.errors import InputError
from uninas.runtime.terminal import say

_FORMATS = ["timm", "mmdet", "mmseg", "torch", "onnx", "source", "reference"]


@click.command("export")
@click.argument("arch", shell_complete=architectures)
@click.option("--to", type=click.Choice(_FORMATS), required=True, help="Format to write.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to create.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Weights file, also the .npz of the UniNAS reference implementation; by default the best weights of a training's run.",
)
@click.option(
    "--classes", type=click.IntRange(1), help="Number of classes; by default that of the training, else of the architecture."
)
@click.option("--size", type=Size(), help="Input size in pixels; by default that of the training, else of the architecture.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the initial weights, where there are no trained ones.",
)
def command(arch: str, to: str, out: Path, **options: Any) -> None:
    """Write ARCH (a preset, a file, a run of a search or of a training) as a folder that another tool opens.

    \b
    timm       config.json and model.safetensors, laid out as timm's models on the Hugging Face Hub
    mmdet      config.py of Mask R-CNN on COCO, with the network and its weights as the backbone
    mmseg      config.py of UperNet on ADE20K, likewise
    torch      model.pt2 for torch.export.load, which needs only torch
    onnx       model.onnx for any runtime, with any batch size
    source     model.py in plain torch, to be read and changed, and its weights; timm knows it once it is imported
    reference  reference.json of the UniNAS reference implementation, and weights.npz where weights are given

    \b
    uninas export runs/coatnet --to onnx --out exported
    uninas export coatnet --to timm --out exported --weights runs/coatnet/best.safetensors
    uninas export runs/search/best.json --to source --out taken     # then: from model import uninas_best
    uninas export found.json --to reference --out theirs
    uninas export theirs/reference.json --to onnx --weights theirs/weights.npz --out exported

    An exported program (torch, onnx, source) is run at two batch sizes and compared with the module; what is written for the
    reference implementation is read back and compared. README.md is the model card: costs, scores, origin and usage.
    """
    from downstream.export import export
    from downstream.subject import subject_of
    from uninas.reference import inexact

    for name in ("classes", "size"):
        if to in ("mmdet", "mmseg") and options[name] is not None:
            raise InputError(f"--{name}: expected none for {to}, whose configuration has that of the data and the protocol")
    if to == "reference" and options["size"] is not None:
        raise InputError("--size: expected none for reference, whose networks run only at the architecture's size")
    subject = subject_of(arch, **options)
    for path in export(subject, to, out):
        say(f"{path}")
    for line in inexact(subject.architecture) if to == "reference" else ():
        say(f"warning: the reference implementation gives other logits: {line}", err=True)
    if to == "timm":
        script = ("python", "-m", "downstream", "validate.py", "DATA", "--model", f"local-dir:{out}", "--pretrained")
        say_next(*script, note="a script of timm")
    elif to == "reference":
        say_next("uninas", "cost", out / "reference.json")
    else:
        say(f"next: the program in {out / 'README.md'}, in that folder", err=True)
