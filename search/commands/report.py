"""`uninas report`: make the page of a run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--spectra/--no-spectra",
    default=None,
    help="Compute the Fisher spectra that are not stored yet. Default: for finished runs only.",
)
def command(run: Path, spectra: bool | None) -> None:
    """Make the HTML report of a run, also of one that is still going.

    RUN is a run folder made by `uninas search`. The page, RUN/report.html, needs nothing beside itself.
    """
    from search.report import write_report

    click.echo(f"wrote {write_report(run, spectra=spectra)}")
