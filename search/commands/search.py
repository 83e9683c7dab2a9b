"""`uninas search`: run a search, or take one up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from uninas.errors import InputError


@click.command("search")
@click.argument("words", nargs=-1, metavar="[CONFIG.yaml] [KEY=VALUE]...")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder to create. Default: runs/<config name>-<seed>.")
@click.option("--resume", "folder", type=click.Path(path_type=Path), help="Run folder to take up; only evaluations=N may follow.")
def command(words: tuple[str, ...], out: Path | None, folder: Path | None) -> None:
    """Search the space as CONFIG.yaml says, and leave a network, its cost, its scores and a report.

    KEY=VALUE replaces a key of the configuration; dots lead into sections.

    \b
    uninas search configs/search/demo.yaml
    uninas search configs/search/uninas_30m.yaml seed=1 pool.workers=8 pool.gpus_per_worker=0.5 --out runs/mine
    uninas search --resume runs/mine evaluations=2000

    The run folder holds config.yaml, journal.jsonl (every candidate), best.json, finalists/, run.json and report.html. Ctrl-C
    stops in good order, and the run can be resumed; so can it after a crash.
    """
    if folder is not None:
        if out is not None:
            raise InputError("--out: expected no other folder beside --resume; a run stays where it is")
        _finish(folder, _resume(folder, words))
        return
    if not words:
        raise InputError("expected a configuration file, such as configs/search/demo.yaml, or --resume RUN; got neither")
    _finish(*_begin(words[0], words[1:], out))


def _begin(source: str, overrides: tuple[str, ...], out: Path | None) -> tuple[Path, dict[str, Any]]:
    from rich.console import Console

    from search import config, driver
    from search.progress import view_for

    settings = config.load(source, overrides)
    name = Path(source).stem
    folder = out or Path("runs") / f"{name}-{settings.seed}"
    return folder, driver.begin(settings, folder, view=view_for(Console(stderr=True)), name=name)


def _resume(folder: Path, words: tuple[str, ...]) -> dict[str, Any]:
    from rich.console import Console

    from search import driver
    from search.progress import view_for

    overrides = {}
    for word in words:
        name, _, value = word.partition("=")
        if name != "evaluations" or not value.isdecimal():
            raise InputError(f"--resume: expected at most evaluations=N (a whole number) behind it; got '{word}'")
        overrides[name] = int(value)
    return driver.resume(folder, overrides, view=view_for(Console(stderr=True)))


def _finish(folder: Path, run: dict[str, Any]) -> None:
    """Say what was found, then write the report: a report that cannot be written hides no result."""
    from search.report import write_report

    best = run["best"]
    cost = ", ".join(f"{name} {best['cost'][name]:,}" for name in ("params", "macs", "layers", "attention_tokens"))
    mean = ", ".join(f"{name} {value:.5g}" for name, value in best["mean"].items())
    done = run["counts"]["search"]["done"]
    click.echo(f"best of {done} (candidate {best['index']}, {best['digest'][:12]}): {cost}")
    click.echo(f"mean over {len(best['rescores'])} fresh seeds: {mean}")
    click.echo(f"{folder / 'best.json'}")
    click.echo("making the report: the Fisher spectra of the best network and the presets, pictures", err=True)
    click.echo(f"{write_report(folder)}")
