"""`uninas runs`: a list of run folders."""

from __future__ import annotations

import json
from pathlib import Path

import click

from uninas.commands.completion import folders
from uninas.commands.tables import show_table
from uninas.errors import InputError
from uninas.runtime.terminal import say

DEFAULT = Path("runs")
_STYLES = {"running": "green", "failed": "red", "unreadable": "red", "interrupted": "yellow", "incomplete": "yellow"}


@click.command("runs")
@click.argument("folder", required=False, type=click.Path(path_type=Path), metavar="[FOLDER]", shell_complete=folders)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(folder: Path | None, as_json: bool) -> None:
    """List the run folders below FOLDER, by default below runs/: the one that changed last first.

    Each line has the folder, its kind (search, truth, bench, sweep, training, refine), its state, how much of it is done, for how
    long nothing has changed, and the scores of the best so far. All of it comes from the files; nothing is written, and no search
    notices. A run whose process was killed still says `running`: its age tells. Of a training that is `incomplete` the files do
    not say whether it runs.

    \b
    uninas runs
    uninas runs experiments --json
    """
    from search.monitor.runs import below

    place = folder or DEFAULT
    if folder is not None and not folder.is_dir():
        raise InputError(f"FOLDER: expected a folder with runs; got {str(folder)[:200]!r}, and there is no such folder")
    rows = below(place) if place.is_dir() else []
    if as_json:
        say(json.dumps({"runs": [row.as_dict() for row in rows]}, allow_nan=False))
        return
    if not rows:
        say(f"no run folders below {place}/; uninas search demo makes the first", err=True)
        return
    from search.monitor.snapshot import duration

    cells = []
    for row in rows:
        done = "" if row.done is None else f"{row.done}/{row.total if row.total is not None else '?'} {row.unit}"
        best = row.reason or ", ".join(f"{name} {value:.5g}" for name, value in row.best.items())
        cells.append([row.path, row.kind, row.state, done, duration(row.age_seconds), best])
    titles = ("run", "kind", "state", "done", "unchanged for", "best")
    show_table(titles, cells, styles=[_STYLES.get(row.state, "") for row in rows])
