"""The lock of a run folder: one process writes it at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import IO, Any

from uninas.errors import InputError

__all__ = ["WITHOUT", "try_lock"]

WITHOUT = "UNINAS_WITHOUT_LOCKS"
"""An environment variable: set to 1, runs lie where there are no locks, and the user sees to it that one process writes each."""

_NO_LOCKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL}


def try_lock(file: IO[Any]) -> bool:
    """Take the exclusive lock of an open file without waiting. It ends when the file is closed, or the process ends in any way.

    Returns:
        False if another process has it.

    Raises:
        InputError: the file system has no locks, as some network file systems, and nobody said that it may do without.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            return False
        if os.environ.get(WITHOUT) != "1":
            raise InputError(
                f"{file.name}: expected a file system with locks; this one has none ({error.strerror}): put the run on a local "
                f"disk, or set {WITHOUT}=1 and let no second process write it"
            ) from None
    return True
