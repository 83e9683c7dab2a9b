"""`uninas doctor`: what this machine has, and what it lacks for what."""

from __future__ import annotations

import json
from pathlib import Path

import click

from uninas.commands.completion import folders
from uninas.commands.tables import show_table
from uninas.runtime.terminal import console, say

_RUNS = Path("runs")


@click.command("doctor")
@click.option(
    "--quick", is_flag=True, help="Look for packages and do not import them: a second, but what is broken is not found."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_RUNS,
    show_default=True,
    shell_complete=folders,
    help="Folder in which runs would be; its disk is looked at.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(quick: bool, out: Path, as_json: bool) -> int:
    """Say what this machine has, and what is missing for what, with the command that mends it.

    First Python, processor, memory, GPUs, packages, disks, shared memory and the ports of Ray's dashboard; of a container what it
    may use. Then what can be done: search, scoring on GPUs, training, detection and segmentation, export to ONNX, dashboards.

    Packages are imported in processes of their own, which takes some seconds: one that is installed may still be broken. Nothing
    is started, and nothing is written.

    \b
    uninas doctor
    uninas doctor --quick
    uninas doctor --json

    The exit code is 0 where a search can run, and 1 where something is missing that it needs.
    """
    from uninas.doctor.examine import examine

    if not quick and not as_json:
        say("importing each package in a process of its own; --quick does without", err=True)
    report = examine(out, quick=quick)
    if as_json:
        say(json.dumps(report.as_dict(), allow_nan=False))
        return 0 if report.ready else 1
    screen = console()
    facts = [(fact.name, fact.value, "" if fact.warning is None else f"! {fact.warning}") for fact in report.facts]
    styles = ["" if fact.warning is None else "red" if fact.fatal else "yellow" for fact in report.facts]
    show_table(("this machine", "has", ""), facts, styles=styles, to=screen)
    say("")
    rows, styles = [], []
    for purpose in report.purposes:
        state = "ready" if purpose.ready else "cannot run" if purpose.essential else "missing"
        said = [lack.what for lack in purpose.lacks] + list(purpose.notes)
        rows.append((purpose.name, state, "; ".join(said)))
        styles.append("green" if purpose.ready else "red" if purpose.essential else "yellow")
    show_table(("for", "state", "what is missing"), rows, styles=styles, to=screen)
    cures = dict.fromkeys(lack.cure for purpose in report.purposes for lack in purpose.lacks if lack.cure)
    if cures:
        say("")
    for cure in cures:
        say(f"to mend: {cure}")
    return 0 if report.ready else 1
