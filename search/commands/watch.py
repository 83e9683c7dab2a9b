"""`uninas watch`: a search seen from its files."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from uninas.commands.completion import runs
from uninas.commands.options import Number
from uninas.runtime.terminal import console as make_console
from uninas.runtime.terminal import say


@click.command("watch")
@click.argument("run", shell_complete=runs)
@click.option("--once", is_flag=True, help="Show the state of the run now, and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print the state of the run now as one JSON object and nothing else.")
@click.option(
    "--every",
    "seconds",
    type=Number(0.1),
    default=1.0,
    show_default=True,
    help="How many seconds to wait between two looks at the files; at a URL at least five.",
)
def command(run: str, once: bool, as_json: bool, seconds: float) -> None:
    """Show a search while it runs: progress, rate, failures, rejected tries, the best so far, recent candidates, workers.

    RUN is a run folder made by `uninas search`, or its URL. Everything shown comes from its files, so the search may run
    in another process or on another machine that shares the folder; nothing is written there. A terminal shows a panel that
    is redrawn; a log file gets lines.

    \b
    uninas watch runs/demo-0
    uninas watch runs/demo-0 --once
    uninas watch runs/demo-0 --json

    It ends when the run is complete, or on Ctrl-C, which the search does not notice.
    """
    from search.journal.mirror import HEARTBEAT_SECONDS, followed
    from search.journal.object_store import is_url, without_secrets
    from search.monitor.follow import RunFollower

    with followed(run) as (folder, refresh):
        follower = RunFollower(
            folder, refresh=refresh, name=without_secrets(run).rstrip("/").rpartition("/")[2] if is_url(run) else None
        )
        if as_json:
            say(json.dumps(follower.look().as_dict(), allow_nan=False))
        elif once:
            for line in follower.look().lines():
                say(line)
        else:
            _follow(follower, max(seconds, HEARTBEAT_SECONDS) if is_url(run) else seconds)


def _follow(follower: Any, seconds: float) -> None:

    console = make_console()
    if console.is_terminal:
        _follow_on_screen(follower, seconds, console)
    else:
        _follow_in_lines(follower, seconds)


def _follow_on_screen(follower: Any, seconds: float, console: Any) -> None:
    from rich.live import Live

    from search.monitor.screen import screen

    snapshot = follower.look()
    with Live(screen(snapshot, console.width), console=console, auto_refresh=False) as live:
        while snapshot.status != "complete":
            time.sleep(seconds)
            snapshot = follower.look()
            live.update(screen(snapshot, console.width), refresh=True)


def _follow_in_lines(follower: Any, seconds: float) -> None:
    """Write a line at each phase's begin and end and every ten seconds between, then all details."""
    from search.monitor.progress import PlainView

    view = PlainView(say)
    snapshot = follower.look()
    view.note(snapshot.heading)
    while snapshot.status != "complete":
        view.update(snapshot.state)
        time.sleep(seconds)
        snapshot = follower.look()
    for line in snapshot.lines():
        view.note(line)
