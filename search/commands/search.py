"""`uninas search`: run a search, or resume one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from uninas.commands.completion import runs, search_configurations
from uninas.commands.next_step import say_next
from uninas.errors import InputError
from uninas.runtime.terminal import say


@click.command("search")
@click.argument("words", nargs=-1, metavar="[CONFIG.yaml] [KEY=VALUE]...", shell_complete=search_configurations)
@click.option(
    "--out",
    help="The run folder to create, or a URL: s3://bucket/run. Default: runs/<name of the configuration or cluster>-<seed>.",
)
@click.option(
    "--resume",
    "folder",
    shell_complete=runs,
    help="The run folder, or its URL, to continue where its journal ends. Only evaluations=N may follow, for a longer search.",
)
@click.option(
    "--accept-changes",
    is_flag=True,
    help="With --resume: go on although the code that decides scores has changed since; the journal says from where.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be searched, score a few candidates here, and estimate time, memory and disk. Nothing is written.",
)
def command(words: tuple[str, ...], out: str | None, folder: str | None, accept_changes: bool, dry_run: bool) -> None:
    """Search the space as CONFIG.yaml says, and write the best network with its cost, its scores and a report.

    Networks are ranked by zero-cost (training-free) proxies, or by short trainings. KEY=VALUE replaces a key of the
    configuration; dots lead into sections.

    \b
    uninas search configs/search/demo.yaml
    uninas search configs/search/demo.yaml --dry-run
    uninas search configs/search/uninas_30m.yaml seed=1 pool.workers=8 pool.gpus_per_worker=0.5 --out runs/mine
    uninas search --resume runs/mine evaluations=2000
    uninas search configs/search/uninas_30m.yaml --out s3://bucket/run

    \b
    space.vocabulary=uninas                                   what edits may insert
    'space.prior={insert: 8, width: 0}'                       how often kinds of edit are drawn
    space.sampler=grammar                                     random samples are networks drawn whole
    algorithm_options.crossover=0.3 algorithm_options.max_per_niche=2 children of two parents; survivors that differ
    'objective={product: [jacov, vkdnw]}'                     also mean: [..], weighted: {..}, or file: choose.json
    proxies.file=my_scores.py 'algorithm={file: my_search.py}' proxies and an algorithm of your own

    Files of your own (space.file, proxies.file, algorithm: {file: ..}) run as code: name only what you would run yourself. The
    run keeps copies of them, and a resume runs those.

    CONFIG.yaml may be a Ray cluster file with the search under metadata, such as configs/cluster/search.yaml, or the name of a
    shipped configuration: uninas search demo.

    The run folder holds config.yaml, journal.jsonl (every candidate), best.json, finalists/, run.json and report.html, and
    front/ where there are several objectives. Ctrl-C stops cleanly, and the run can be resumed, as it can after a crash. A run
    at a URL is mirrored there every few seconds.
    """
    from search.workers.interrupts import as_ctrl_c

    if dry_run and folder is not None:
        raise InputError("--dry-run: expected a configuration; got --resume, whose run says how long it took: uninas watch RUN")
    if folder is not None:
        if out is not None:
            raise InputError("--out: expected no other folder with --resume; a run stays where it is")
        with as_ctrl_c():
            _resume(folder, words, accept_changes)
        return
    if accept_changes:
        raise InputError("--accept-changes: expected only with --resume; a new run has nothing that could have changed")
    if not words:
        raise InputError("expected a configuration file, such as configs/search/demo.yaml, or --resume RUN; got neither")
    with as_ctrl_c():
        if dry_run:
            _preview(words[0], words[1:], out)
        else:
            _begin(words[0], words[1:], out)


def _preview(source: str, overrides: tuple[str, ...], out: str | None) -> None:
    from search.config import loading
    from search.preview.preview import preview

    settings = loading.load(source, overrides)
    place = out or f"runs/{loading.name(source)}-{settings.seed}"
    for line in preview(settings, place, note=lambda text: say(text, err=True)):
        say(line)


def _begin(source: str, overrides: tuple[str, ...], out: str | None) -> None:
    from search.api import default_view
    from search.config import loading
    from search.engine import driver
    from search.journal.mirror import run_folder
    from search.journal.object_store import without_secrets

    settings = loading.load(source, overrides)
    name = loading.name(source)
    place, view = out or f"runs/{name}-{settings.seed}", default_view()
    with run_folder(place, fresh=True, note=view.note) as folder:
        place = without_secrets(place)
        _finish(folder, driver.begin(settings, folder, view=view, name=name, address=place), place)


def _resume(place: str, words: tuple[str, ...], accept_changes: bool) -> None:
    from search.api import default_view
    from search.engine import driver
    from search.journal.mirror import run_folder
    from search.journal.object_store import without_secrets

    overrides = {}
    for word in words:
        name, _, value = word.partition("=")
        if name != "evaluations" or not value.isdecimal():
            raise InputError(f"--resume: expected at most evaluations=N (a whole number) after it; got '{word}'")
        overrides[name] = int(value)
    view = default_view()
    with run_folder(place, fresh=False, note=view.note) as folder:
        place = without_secrets(place)
        found = driver.resume(folder, overrides, view=view, address=place, accept_changes=accept_changes)
        _finish(folder, found, place)


def _finish(folder: Path, run: dict[str, Any], place: str) -> None:
    """Print what was found, then write the report: a report that cannot be written hides no result."""
    from search.engine.finals.verdict import in_words
    from search.report import write_report

    best = run["best"]
    cost = ", ".join(f"{name} {best['cost'][name]:,}" for name in ("params", "macs", "layers", "attention_tokens"))
    mean = ", ".join(f"{name} {value:.5g}" for name, value in best["mean"].items())
    done = run["counts"]["search"]["done"]
    say(f"best of {done} (candidate {best['index']}, {best['digest'][:12]}): {cost}")
    say(f"mean over {len(best['rescores'])} held-out seeds: {mean}")
    for line in in_words(run):
        say(line)
    say(f"{place.rstrip('/')}/best.json")
    if run.get("front"):
        say(f"front of {len(run['front'])} networks ({', '.join(run['objectives'])}): {place.rstrip('/')}/front/")
    say("making the report: Fisher spectra of the best network and of the presets, drawings", err=True)
    try:
        page = write_report(folder)
    except KeyboardInterrupt:
        say(f"stopped: the search is complete, its report is not made; make it with: uninas report {place}", err=True)
        raise
    say(f"{place.rstrip('/')}/{page.name}")
    if "://" in place:  # other commands read folders
        say(f"next: copy {place.rstrip('/')}/best.json to this machine, and uninas train best.json --data DATA", err=True)
    else:
        say_next("uninas", "refine", place, "--data", "DATA", note="trains the finalists briefly; uninas train trains the best")
