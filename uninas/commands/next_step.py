"""What a run says last: the command that goes on from what it made.

    say_next("uninas", "train", run, "--data", "DATA")        next: uninas train 'runs/my run' --data DATA

It goes to the standard error, since the standard output has the results alone. DATA stands for what the user has to name.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from uninas.runtime.terminal import say

__all__ = ["say_next"]


def say_next(*words: str | Path, note: str = "") -> None:
    """Print a command, quoted for a shell, and after it what it does."""
    say(f"next: {shlex.join(map(str, words))}{note and f'   # {note}'}", err=True)
