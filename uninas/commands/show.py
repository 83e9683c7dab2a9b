"""`uninas show`: read a network in the terminal, or as a picture."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from uninas.errors import InputError


@click.command(name="show")
@click.argument("architecture", metavar="ARCH")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.svg", help="Write a picture instead of the tree.")
def command(architecture: str, out: Path | None) -> None:
    """Read a network: overview, stages, and the graph of every distinct block.

    ARCH is a preset (resnet, efficientnet, vit, coatnet; published networks by timm's names, such as convnext_tiny), an
    architecture file, a run folder, the reference's JSON, or a point of a published space, SPACE:TEXT such as nasbench201:CELL
    (see `uninas space`).
    """
    if out is not None and out.suffix.lower() != ".svg":
        raise InputError(f"--out expects a file name that ends in .svg, came {str(out)!r}")
    from uninas.source import load

    arch = load(architecture)
    if out is None:
        from rich.console import Console

        from uninas.draw.terminal import architecture_tree

        console = Console(highlight=False, markup=False)
        if not console.is_terminal:
            console.width = max(console.width, 120)  # a pipe has no width of its own; nothing is broken over lines early
        console.print(architecture_tree(arch))
        return
    from uninas.draw.svg import draw_architecture

    name = architecture if not Path(architecture).exists() else ""
    write_whole(out, draw_architecture(arch, title=name))
    click.echo(f"wrote {out}")


def write_whole(path: Path, text: str) -> None:
    """Write a text file as a whole or not at all: into a neighbour first, which then takes the name.

    Raises InputError where the folder is missing or cannot be written to.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
