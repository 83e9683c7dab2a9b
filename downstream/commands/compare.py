"""`uninas compare`: networks in a table, as in the papers."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from downstream.protocols import PRECISIONS, TASKS
from uninas.commands.completion import architectures
from uninas.commands.options import Size
from uninas.errors import InputError
from uninas.runtime.terminal import console as make_console
from uninas.runtime.terminal import say


@click.command("compare")
@click.argument("archs", nargs=-1, required=True, shell_complete=architectures)
@click.option("--tasks", default=",".join(TASKS), show_default=True, help="Tasks to compare for, separated by commas.")
@click.option(
    "--sizes", help="One image size per task, separated by commas, such as 224,800x1280,512; by default the protocol's."
)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Images per batch, for speed and memory.")
@click.option("--device", help="Device to measure on; cuda by default where there is one, else cpu; none only counts.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Precision of the measured passes.",
)
@click.option("--classes", type=click.IntRange(1), default=1000, show_default=True, help="Number of classes of the classifier.")
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="ARCH=RUN",
    help="Take the accuracy of ARCH from this folder or log of a training; may be repeated.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File for the table, whose format follows the ending: .csv, .json or .md."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(archs: tuple[str, ...], logs: tuple[str, ...], out: Path | None, as_json: bool, **options: Any) -> None:
    """Compare ARCHS: parameters, 2 x MACs, images/s and peak memory on this device, accuracy from logs.

    \b
    uninas compare resnet efficientnet vit coatnet runs/search --device none
    uninas compare coatnet runs/search --tasks classify --batch 64 --log runs/search=runs/found --out table.md

    Classification runs the whole network, detection and segmentation only the backbone, at the protocol's sizes. The run of a
    training is its own log.
    """

    from downstream.evaluation.compare import accuracies, compare, once, sizes_of
    from uninas.source import load

    once("ARCHS", archs)
    if out is not None:
        _check(out)
    tasks = [task.strip() for task in options["tasks"].split(",") if task.strip()]
    sizes = [Size().convert(size, None, None) for size in (options["sizes"] or "").split(",") if size.strip()]
    known = {}
    for given in logs:
        name, sign, path = given.partition("=")
        if not sign or name not in archs:
            raise InputError(f"--log: expected ARCH=RUN with one of {', '.join(archs)}; got {given}")
        known[name] = accuracies(Path(path))
    for name in archs:
        if name not in known and (Path(name) / "log.csv").is_file():
            known[name] = accuracies(Path(name), needed=False)
    err = make_console(stderr=True)
    rows = compare(
        {name: load(name) for name in archs},
        sizes_of(tasks, sizes),
        device=_device(options["device"]),
        batch=options["batch"],
        precision=options["precision"],
        classes=options["classes"],
        logs=known,
        note=lambda text: err.print(text, markup=False, highlight=False),
    )
    if as_json:
        found = {"rows": [asdict(row) for row in rows], "batch": options["batch"], "precision": options["precision"]}
        say(json.dumps(found, allow_nan=False))
    else:
        _show(rows, make_console(width=None if sys.stdout.isatty() else 130))
        for row in rows:
            if row.failed:
                say(f"{row.name}, {row.task}: {row.failed}")
    if out is not None:  # last: a disk that is full does not lose what was measured
        _write(rows, out)


def _device(given: str | None) -> str | None:
    if given == "none":
        return None
    from uninas.runtime.device import device_of

    return str(device_of(given))


HEADINGS = ("network", "task", "size", "params", "2 x MACs", "images/s", "memory", "accuracy")


def _cells(row: Any) -> tuple[str, ...]:
    from downstream.evaluation.compare import METRICS

    accuracy = "  ".join(f"{title} {row.accuracy[key]:.2f}" for key, title in METRICS[row.task] if key in (row.accuracy or {}))
    return (
        row.name,
        row.task,
        f"{row.size[0]}x{row.size[1]}",
        f"{row.params / 1e6:.1f}M",
        f"{2 * row.macs / 1e9:.2f}G",
        "" if row.pictures_per_second is None else f"{row.pictures_per_second:.1f}",
        "" if row.peak_bytes is None else f"{row.peak_bytes / 2**20:,.0f} MiB",
        accuracy,
    )


def _show(rows: Sequence[Any], console: Any) -> None:
    from rich.table import Table

    device = next((row.device for row in rows if row.device), None)
    table = Table(title=None if device is None else f"on {device}", title_justify="left")
    for place, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if place in (0, 1, 7) else "right", no_wrap=place > 0)
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)


def _check(out: Path) -> None:
    """Reject a file that could not be written, before anything is measured."""
    if out.suffix not in (".csv", ".json", ".md"):
        raise InputError(f"--out: expected a file that ends in .csv, .json or .md; got {out}")
    if out.is_dir():
        raise InputError(f"--out: expected a file; got a folder, {out}")
    if not out.parent.is_dir():
        raise InputError(f"--out: expected a file in a folder that exists; got {out}")


def _write(rows: Sequence[Any], out: Path) -> None:
    from uninas.files.tables import csv_text
    from uninas.files.writing import write_text

    if out.suffix == ".json":
        text = json.dumps([asdict(row) for row in rows], indent=1) + "\n"
    elif out.suffix == ".csv":
        flat = [{**asdict(row), "size": f"{row.size[0]}x{row.size[1]}", **(row.accuracy or {})} for row in rows]
        text = csv_text(flat, [name for name in dict.fromkeys(name for row in flat for name in row) if name != "accuracy"])
    else:
        lines = [HEADINGS, tuple("---" if place in (0, 1, 7) else "---:" for place in range(len(HEADINGS))), *map(_cells, rows)]
        text = "".join("| " + " | ".join(line) + " |\n" for line in lines)
    write_text(out, text)
