"""The lock of a run folder: one process writes it at a time."""

from __future__ import annotations

import fcntl
from typing import IO, Any

__all__ = ["try_lock"]


def try_lock(file: IO[Any]) -> bool:
    """Take the exclusive lock of an open file without waiting. It ends when the file is closed, or the process ends in any way.

    Returns:
        False if another process has it, or the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
