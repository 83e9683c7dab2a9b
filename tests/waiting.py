"""Waiting for other processes: by looking often, never by guessing how long they take."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 300.0
"""After which a test gives up; a machine under load is not a failure."""

_LOOK_SECONDS = 0.01  # a loop without it takes a core from the process that it waits for


def wait_until(
    true: Callable[[], object],
    process: subprocess.Popen[str] | None = None,
    *,
    every: float = _LOOK_SECONDS,
    said: Callable[[], str] = lambda: "waited in vain",
) -> None:
    """Return as soon as something holds, or the process has ended; fail, with what `said` gives, when patience is at its end.

    Looks that are dear, such as a request, come less often: `every` so many seconds.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true() and (process is None or process.poll() is None):
        assert time.monotonic() < deadline, said()
        time.sleep(every)


def lines(path: Path) -> int:
    """How many whole lines a file has; none where it is not there yet."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_lines(process: subprocess.Popen[str], path: Path, count: int) -> None:
    """Return as soon as a file has so many lines, or the process has ended."""
    wait_until(lambda: lines(path) >= count, process)
