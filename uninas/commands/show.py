"""`uninas show`: a network in the terminal, or as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uninas.commands.completion import architectures
from uninas.errors import InputError
from uninas.files.writing import replacing
from uninas.runtime.terminal import console as make_console
from uninas.runtime.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

    from uninas.graph import Architecture


class BlockNumber(click.ParamType):  # type: ignore[type-arg]
    """A block's number from 1 on, or `transition`: 0."""

    name = "N|transition"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; fail with what was expected and what was given."""
        if value == "entry":  # as version 0.1 called it; until version 0.3
            say("warning: --block entry is now --block transition", err=True)
            return 0
        if value == "transition":
            return 0
        if not str(value).isascii() or not str(value).isdigit() or not int(value):
            self.fail(f"expected a block's number from 1 on, or 'transition', got {str(value)[:40]!r}", param, ctx)
        return int(value)


@click.command(name="show")
@click.argument("architecture", metavar="ARCH", shell_complete=architectures)
@click.option("--stage", type=click.IntRange(1), metavar="N", help="Show the blocks of one stage; the first is 1.")
@click.option(
    "--block",
    type=BlockNumber(),
    metavar="N|transition",
    help="Show one block of the stage; the first is 1, and 'transition' is what leads into the stage.",
)
@click.option(
    "--expand/--fold",
    default=None,
    help="Show patterns (attention, MBConv, ...) operation by operation, or each as one line or box. Default: folded in the "
    "overview and in a stage, expanded in a block and in a picture.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.svg", help="Write a picture instead of text.")
def command(architecture: str, stage: int | None, block: int | None, expand: bool | None, out: Path | None) -> None:
    """Show a network: overview, one stage, one block.

    ARCH is a preset (resnet, efficientnet, vit, coatnet; published networks by timm's names, such as convnext_tiny), an
    architecture file, a run folder, a JSON file of the UniNAS reference implementation, or a point of a published space,
    SPACE:TEXT such as nasbench201:CELL (see `uninas space`).

    \b
    uninas show coatnet                              stages, widths, blocks by name, costs of each part
    uninas show coatnet --stage 3                    the distinct blocks of stage 3
    uninas show coatnet --stage 3 --block 1          that block, operation by operation
    uninas show coatnet --expand                     overview, then every distinct block
    uninas show coatnet --out coatnet.svg            the whole network as a picture
    uninas show coatnet --fold --out small.svg       with each pattern as one box

    Equal blocks share a letter and are shown once (B ×5). Patterns are recognised by structure: MBConv ×4 dw5 + SE widens four
    times around a depthwise 5x5 convolution with a squeeze-and-excitation gate; conv3g32/2 is a 3x3 convolution in 32 groups of
    stride 2; what has no name is listed operation by operation. MACs are multiply-adds at the reference size.
    """
    if out is not None and out.suffix.lower() != ".svg":
        raise InputError(f"--out: expected a file name that ends in .svg, got {str(out)!r}")
    if block is not None and stage is None:
        raise InputError("--block: expected a --stage with it, got none")
    from uninas.networks.zoo import note_on_sizes
    from uninas.source import load

    arch = load(architecture)
    if out is None:
        _print(arch, stage, block, expand)
        if stage is None and (note := note_on_sizes(architecture)):
            terminal().print(note, soft_wrap=True)
        return
    from uninas.drawing.svg import draw_architecture

    name = architecture if not Path(architecture).exists() else ""
    write_whole(out, draw_architecture(arch, title=name, stage=stage, block=block, shut=expand is False))
    say(f"wrote {out}")


def _print(arch: Architecture, stage: int | None, block: int | None, expand: bool | None) -> None:
    from uninas.drawing.graph_picture import check_size
    from uninas.drawing.overview import overview, select
    from uninas.drawing.terminal import kind_tree, overview_table, stage_line, title_line

    console, view = terminal(), overview(arch)
    kinds = (view.kinds if expand else ()) if stage is None else select(view, stage, block)
    check_size(graph for kind in kinds for graph in kind.block.subblocks if graph is not None)
    if stage is None:
        console.print(title_line(view))
        console.print(overview_table(view, console.width))
        for kind in kinds:
            console.print(kind_tree(kind))
        return
    console.print(stage_line(view, view.stages[stage - 1]))
    for kind in kinds:
        console.print(kind_tree(kind, shut=not expand if expand is not None else block is None))


def terminal() -> Console:
    """Open the standard output; a pipe has no width of its own, so lines are not broken early."""

    console = make_console()
    if not console.is_terminal:
        console.width = max(console.width, 120)
    return console


def write_whole(path: Path, text: str) -> None:
    """Write a text file as a whole or not at all: into a neighbour first, which then takes the name.

    Raises InputError where the folder is missing or cannot be written to.
    """
    try:
        with replacing(path, durable=False) as beside:
            beside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
