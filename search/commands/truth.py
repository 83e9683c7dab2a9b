"""`uninas truth`: train networks of one budget, drawn from the whole space, as a table to judge scores by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from uninas.commands.completion import runs, truth_configurations
from uninas.commands.next_step import say_next
from uninas.errors import InputError
from uninas.runtime.terminal import console as make_console
from uninas.runtime.terminal import say

_FOLDER = click.Path(path_type=Path)


@click.command("truth")
@click.argument("words", nargs=-1, metavar="[CONFIG.yaml] [KEY=VALUE]...", shell_complete=truth_configurations)
@click.option("--data", type=_FOLDER, help="Folder of images: train/ and val/ (or test/) with one folder per class.")
@click.option("--out", type=_FOLDER, help="Run folder to create. Default: runs/<name of the configuration>-<seed>.")
@click.option(
    "--resume",
    "folder",
    type=_FOLDER,
    metavar="RUN",
    shell_complete=runs,
    help="Run folder to continue. networks=N, repeated=N and seeds=N may follow, for a larger truth, and keys of pool.",
)
@click.option(
    "--accept-changes",
    is_flag=True,
    help="With --resume: go on although the code that trains has changed since; the journal says from where.",
)
def command(words: tuple[str, ...], data: Path | None, out: Path | None, folder: Path | None, accept_changes: bool) -> None:
    """Train networks by one short recipe, and write a table of their accuracies, which `uninas bench table` reads.

    \b
    uninas truth cifar10 --data cifar10 networks=16 --out runs/truth     a pilot
    uninas truth --resume runs/truth networks=128 pool.workers=8         the whole
    uninas bench table runs/truth/accuracy.csv --family family           which score ranks them

    Networks are drawn from the whole space within a narrow band of parameters and MACs, equally many of each family; the presets
    stand beside them, at the widths that fill the budget. Some networks are trained with two seeds: how far these agree is how
    far the table can be trusted.

    CONFIG.yaml is a file, or the name of a shipped one: cifar10. The run folder holds config.yaml, networks/, journal.jsonl
    (every training), accuracy.csv and truth.json, which are up to date after each training. Ctrl-C stops cleanly. A run can be
    resumed after that, and after a crash; only the trainings that were under way are repeated.
    """
    from search.workers.interrupts import as_ctrl_c

    with as_ctrl_c():
        if folder is None:
            _begin(words, data, out, accept_changes)
        else:
            _resume(folder, words, data, out, accept_changes)


def _begin(words: tuple[str, ...], data: Path | None, out: Path | None, accept_changes: bool) -> None:
    from search.api import default_view
    from search.truth import run, settings

    if accept_changes:
        raise InputError("--accept-changes: expected only with --resume; a new run has nothing that could have changed")
    if not words or data is None:
        raise InputError("expected the configuration of a ground truth, such as cifar10, and --data FOLDER, or --resume RUN")
    config = settings.load(words[0], words[1:])
    folder = out or Path("runs") / f"{Path(words[0]).stem}-{config.seed}"
    _show(folder, run.begin(config, data, folder, view=default_view()))


def _resume(folder: Path, words: tuple[str, ...], data: Path | None, out: Path | None, accept_changes: bool) -> None:
    from search.api import default_view
    from search.truth import run

    if out is not None:
        raise InputError("--out: expected no other folder with --resume; a run stays where it is")
    _show(folder, run.resume(folder, words, data=data, view=default_view(), accept_changes=accept_changes))


def _show(folder: Path, found: dict[str, Any]) -> None:
    """Print accuracies by family, and how far they can be trusted."""
    import sys

    from rich.table import Table

    from search.truth.results import LEAST_KENDALL, LEAST_RATIO, TABLE

    table = Table("family", "networks", "top-1, %", "deviation", "best", box=None, header_style="bold")
    for name, row in found["families"].items():
        deviation = "" if row["deviation"] is None else f"{row['deviation']:.2f}"
        table.add_row(name, str(row["networks"]), f"{row['mean']:.2f}", deviation, f"{row['best']:.2f}")
    make_console(width=None if sys.stdout.isatty() else 120).print(table)
    noise = found["noise"]
    if noise is not None:
        kendall = noise["kendall"]
        interval = "" if kendall["low"] is None else f" [{kendall['low']:.2f}, {kendall['high']:.2f}]"
        tau = "undefined" if kendall["value"] is None else f"{kendall['value']:.2f}{interval}"
        ratio = "-" if noise["ratio"] is None else f"{noise['ratio']:.1f}"
        say(
            f"two seeds of {noise['networks']} networks: Kendall's tau {tau}, deviation between networks "
            f"{noise['between_networks']:.2f}, between seeds {noise['between_seeds']:.2f} points: {ratio} times"
        )
        if not noise["ranks"]:
            say(
                f"warning: this recipe does not rank these networks: expected a tau of at least {LEAST_KENDALL} "
                f"and {LEAST_RATIO:g} times; train longer (recipe.epochs), or on more images",
                err=True,
            )
    if found["failed"]:
        name, reason = next(iter(found["failed"].items()))
        say(f"warning: {len(found['failed'])} networks could not be trained, the first is {name}: {reason}", err=True)
    say(f"{folder / TABLE}")
    say_next("uninas", "bench", "table", folder / TABLE, "--family", "family", note="judges the scores by it")
