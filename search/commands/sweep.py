"""`uninas sweep`: several seeds or budgets of a search."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from uninas.commands.completion import runs, search_configurations
from uninas.errors import InputError
from uninas.runtime.terminal import console as make_console
from uninas.runtime.terminal import say

_FOLDER = click.Path(path_type=Path)


@click.command("sweep")
@click.argument("words", nargs=-1, metavar="[CONFIG.yaml] [KEY=V1,V2]...", shell_complete=search_configurations)
@click.option("--seeds", help="Seeds, such as 0..4 or 0,7. Default: 0..2.")
@click.option("--out", type=_FOLDER, help="Folder to create. Default: runs/sweep-<config name>.")
@click.option("--resume", type=_FOLDER, metavar="FOLDER", shell_complete=runs, help="Sweep to continue where it was stopped.")
@click.option("--concurrent", type=click.IntRange(1), help="Searches at a time. Default: one per processor core.")
@click.option(
    "--accept-changes",
    is_flag=True,
    help="With --resume: go on although the code that decides scores has changed since; the journals say from where.",
)
def command(
    words: tuple[str, ...],
    seeds: str | None,
    out: Path | None,
    resume: Path | None,
    concurrent: int | None,
    accept_changes: bool,
) -> None:
    """Run CONFIG.yaml with several seeds, and with every combination of the values of KEY=V1,V2.

    \b
    uninas sweep configs/search/demo.yaml --seeds 0..4
    uninas sweep configs/search/demo.yaml --seeds 0,1 budget.params=400000,600000 evaluations=100 --out runs/budgets
    uninas sweep --resume runs/budgets

    CONFIG.yaml may also be the name of a shipped configuration, such as demo.

    Searches run in parallel as trials of Ray Tune, each in its own process and run folder, on one processor core (the serial
    pool). To use several GPUs, run one search with pool.kind ray instead.
    """

    from search.distributed import sweep

    console = make_console(stderr=True)

    def note(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    if resume is not None:
        if words or seeds or out:
            raise InputError("--resume: expected only the folder of a sweep, which keeps its configuration, seeds and location")
        folder = resume
    else:
        if accept_changes:
            raise InputError("--accept-changes: expected only with --resume; a new sweep has nothing that could have changed")
        if not words:
            raise InputError("expected a configuration file, such as configs/search/demo.yaml, or --resume FOLDER; got neither")
        folder = out or Path("runs") / f"sweep-{Path(words[0]).stem}"
        sweep.begin(folder, sweep.expand(words[0], words[1:], _seeds(seeds or "0..2")))
    try:
        failed = sweep.run_searches(folder, concurrent=concurrent, note=note, accept_changes=accept_changes)
    except KeyboardInterrupt:
        note(f"stopped; continue with: uninas sweep --resume {folder}")
        raise
    _show(sweep.write_results(folder), failed)
    say(f"{folder / 'results.csv'}")
    if failed:
        name, reason = next(iter(failed.items()))
        raise InputError(f"{len(failed)} searches failed, the first is {name}: {reason}")


def _seeds(text: str) -> list[int]:
    """Read 0..4 or 0,7.

    Raises:
        InputError: neither.
    """
    if match := re.fullmatch(r"(\d+)\.\.(\d+)", text):
        found = list(range(int(match[1]), int(match[2]) + 1))
    elif re.fullmatch(r"\d+(,\d+)*", text):
        found = [int(part) for part in text.split(",")]
    else:
        found = []
    if not found or len(set(found)) < len(found):
        raise InputError(f"--seeds: expected different whole numbers, such as 0..4 or 0,7; got '{text}'")
    return found


def _show(rows: list[dict[str, Any]], failed: dict[str, str]) -> None:
    import sys

    from rich.table import Table

    table = Table("search", "candidates", "best", "params", "MACs", "scores on held-out seeds", box=None, header_style="bold")
    costs = ("params", "macs", "layers", "attention_tokens", "live_params", "activation_bytes")
    plain = {"search", "overrides", "status", "candidates", "digest", "objective", *costs}
    for row in rows:
        if row["status"] != "complete":
            table.add_row(row["search"], failed.get(row["search"], row["status"]))
            continue
        scores = ", ".join(f"{name} {value:.5g}" for name, value in row.items() if name not in plain)
        table.add_row(row["search"], str(row["candidates"]), row["digest"][:12], f"{row['params']:,}", f"{row['macs']:,}", scores)
    make_console(width=None if sys.stdout.isatty() else 160).print(table)
