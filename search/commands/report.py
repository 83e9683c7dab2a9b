"""`uninas report`: make the page of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from uninas.commands.completion import runs
from uninas.runtime.terminal import say


@click.command(name="report")
@click.argument("run", shell_complete=runs)
@click.option(
    "--spectra/--no-spectra",
    default=None,
    help="Whether to compute the Fisher spectra that are not stored with the run yet. By default only for finished runs.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write instead of RUN/report.html; RUN need not be writable then."
)
def command(run: str, spectra: bool | None, out: Path | None) -> None:
    """Make the HTML report of a run, also of one that is not finished.

    RUN is a run folder made by `uninas search`, or its URL. The page, RUN/report.html, is a single file that needs no other.
    """
    from search.journal.mirror import snapshot
    from search.journal.object_store import without_secrets
    from search.report import write_report
    from search.workers.interrupts import as_ctrl_c

    with as_ctrl_c(), snapshot(run) as folder:
        page = write_report(folder, spectra=spectra, out=out, note=partial(say, err=True))
    place = without_secrets(run).rstrip("/")
    say(f"wrote {out or f'{place}/{page.name}'}")
