"""`uninas diff`: what leads from one network to another."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uninas.commands.completion import architectures
from uninas.errors import InputError
from uninas.runtime.terminal import say, unread

if TYPE_CHECKING:
    from rich.console import Console

    from search.engine.lineage import Lineage
    from uninas.edits import Edit


@click.command(name="diff")
@click.argument("a", metavar="A", shell_complete=architectures)
@click.argument("b", metavar="[B]", required=False, shell_complete=architectures)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.svg", help="Write a picture of both instead of text.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(a: str, b: str | None, out: Path | None, as_json: bool) -> None:
    """Compare two networks: costs, stages, blocks, and the edits inside every block that differs.

    A and B are what `uninas show` takes: presets, architecture files, run folders, JSON files of the UniNAS reference
    implementation, SPACE:TEXT. With the folder of a search alone, the network that it found is compared with the one that it
    started from, and the edits in its journal are listed too; for a search in a categorical space, the genotypes.

    \b
    uninas diff resnet50 resnext50_32x4d             what the papers changed
    uninas diff runs/demo                            what a search changed
    uninas diff runs/demo/best.json runs/demo/finalists/02.json
    uninas diff a.json b.json --out diff.svg         both as a picture, with changes in colour
    uninas diff a.json b.json --json                 as JSON

    Networks are compared in canonical form, so it does not matter how they were written. Node numbers (%4) are those of that
    form, as in the edits of a journal. + is new in B, − is gone from A, ~ has changed, → has moved. Small edits are found
    as they were made; for large ones the list of edits is short, but not always the shortest.

    Exit status, as of diff(1): 0 if the networks are equal, 1 if they differ, 2 on an error.
    """
    if out is not None and out.suffix.lower() != ".svg":
        raise InputError(f"--out: expected a file name that ends in .svg, got {str(out)!r}")
    if out is not None and as_json:
        raise InputError("expected --out or --json, got both")
    try:
        equal = _compare(a, b, out, as_json)
    except (InputError, OSError):
        raise
    except Exception:  # of ours; status 1, the usual one, would say that the networks differ
        traceback.print_exc()
        click.get_current_context().exit(2)
    click.get_current_context().exit(0 if equal else 1)


def _compare(a: str, b: str | None, out: Path | None, as_json: bool) -> bool:
    """Compare, print, and say whether the networks are equal."""
    from search.engine.lineage import lineage, space_of, start_of
    from uninas.diff import diff
    from uninas.source import load

    history: Lineage | None
    if b is None:
        after = load(a)
        if not Path(a).is_dir():
            raise InputError(f"expected two networks, or the folder of a search alone, got {a!r} alone")
        before, history = start_of(Path(a), after)
        names = (f"start of {a}", a)
    else:
        before, after = load(a), load(b)
        history = lineage(Path(b), after.digest) if Path(b).is_dir() else None
        if history is not None and history.start != before.digest:
            history = None  # the run's edits led to B from elsewhere
        names = (a, b)
    difference = diff(before, after)
    with unread():
        if as_json:
            edits = None if history is None else history.as_list()
            say(json.dumps({**difference.as_dict(), "journal": edits}))
        elif out is not None:
            from uninas.commands.show import write_whole
            from uninas.drawing.diff_picture import draw_difference

            write_whole(out, draw_difference(difference, names))
            say(f"wrote {out}")
        else:
            from uninas.commands.show import terminal
            from uninas.drawing.diff_terminal import difference_lines

            console = terminal()
            for line in difference_lines(difference, names):
                console.print(line)
            if history is not None:
                space = space_of(Path(b or a))
                if space is not None:
                    genotypes = [genotype for genotype in history.genotypes if space.fault(genotype) is None]
                    _print_choices(console, [space.text(genotype) for genotype in genotypes])
                else:
                    _print_history(console, history)
    return difference.equal


def _print_choices(console: Console, texts: list[str]) -> None:
    from rich.text import Text

    count = len(texts)
    console.print(Text(f"The journal: {count} genotype{'s' * (count != 1)} after the start's", "bold"))
    for number, text in enumerate(texts, start=1):
        console.print(Text.assemble((f"{number:>3} ", "bright_black"), text))


_OF_STAGES = ("width", "add_stage", "remove_stage", "crossover_stage", "class_token")


def _place(edit: Edit) -> str:
    """Where an edit acts; stages and blocks are counted from 1 here."""
    from uninas.edits.graphs import GRAPH_EDITS

    stage = f"stage {edit.stage + 1}"
    if edit.part != "block":
        return f"{stage}, transition" if edit.part == "entry" else edit.part
    if edit.kind in _OF_STAGES:
        return stage
    within = edit.kind in GRAPH_EDITS or edit.kind == "drop_subblock"
    return f"{stage}, block {edit.block + 1}" + (f", S{edit.sub + 1}" if within else "")


def _print_history(console: Console, history: Lineage) -> None:
    from rich.text import Text

    count = len(history.edits)
    console.print(Text(f"The journal: {count} edit{'s' * (count != 1)} from the start", "bold"))
    for number, edit in enumerate(history.edits, start=1):
        details = []
        for name, value in edit.arguments.items():
            if name.endswith(("_stage", "_block")) and isinstance(value, int):
                value += 1  # stages and blocks are counted from 1 here
            if "\n" not in str(value):
                details.append(f"{name.replace('_', ' ')} {value}")
        line = Text.assemble((f"{number:>3} ", "bright_black"), f"{edit.kind:<13} {_place(edit)}")
        console.print(line.append(f"  {', '.join(details)}", "bright_black"))
