"""Where Unix sockets lie: in folders whose paths are short, since a socket's path has a limit of 107 characters (unix(7)).

Batch systems and macOS set TMPDIR to long paths. Processes that would put sockets there get another folder for temporary files.
"""

from __future__ import annotations

import multiprocessing.util
import os
import tempfile
from pathlib import Path

from uninas.errors import InputError

__all__ = ["LONGEST_PATH", "folder_for_sockets", "let_readers_start", "place_for_sockets"]

LONGEST_PATH = 107
"""Characters of a socket's path."""

_ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")
_READERS = len("/pymp-12345678/listener-12345678")  # what multiprocessing adds


def folder_for_sockets(prefix: str, longest: int) -> Path:
    """Make a folder that only this user can enter (0700), for sockets.

    Args:
        prefix: of its name, to which eight characters are added.
        longest: how many characters are added to its path by the longest path of a socket in it.

    Raises:
        InputError: no folder for temporary files is short enough and can be written.
    """
    return Path(tempfile.mkdtemp(prefix=prefix, dir=place_for_sockets(prefix, longest)))


def place_for_sockets(prefix: str, longest: int) -> Path:
    """Say in which folder `folder_for_sockets` would make one; arguments and error are those of it."""
    return Path(_short_folder(len(prefix) + 9 + longest))


def let_readers_start() -> None:
    """Give the processes that read data a folder that is short enough for their sockets. Call it before they are started.

    Raises:
        InputError: there is none.
    """
    if len(tempfile.gettempdir()) + _READERS <= LONGEST_PATH:
        return
    usual, tempfile.tempdir = tempfile.tempdir, _short_folder(_READERS)
    try:
        multiprocessing.util.get_temp_dir()  # makes the folder once, removes it when this process ends
    finally:
        tempfile.tempdir = usual


def _short_folder(added: int) -> str:
    """The first folder for temporary files whose path leaves so many characters."""
    usual = tempfile.gettempdir()
    for folder in (usual, *_ELSEWHERE):
        if len(folder) + added <= LONGEST_PATH and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise InputError(
        f"TMPDIR: expected a folder of at most {LONGEST_PATH - added} characters that can be written, for sockets; "
        f"got {usual} of {len(usual)}, and none of {', '.join(_ELSEWHERE)} can be written"
    )
