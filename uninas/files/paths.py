"""Paths made of names that came from data: of a store, an archive, a file of a run. What they name stays below their folder.

below(folder, "finalists/01.json")     folder/finalists/01.json
below(folder, "../../.bashrc")         InputError
below(folder, "finalists/01.json")     InputError too, where finalists is a link: what is written through it lands elsewhere
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from uninas.errors import InputError

__all__ = ["below", "is_name", "nearest", "new_file", "open_file", "own_folder", "plain"]

LONGEST = 255
"""Bytes of a file's name: no file system takes more."""


def is_name(part: str) -> bool:
    """Whether a text can be the name of a file or folder, and leads nowhere else."""
    return (
        part not in ("", ".", "..")
        and not set(part) & {"/", "\\"}
        and part.isprintable()
        and len(part.encode("utf-8", "surrogatepass")) <= LONGEST
    )


def nearest(folder: Path) -> Path:
    """Give a folder, or the nearest one above it that there is and that may be looked at."""
    place = folder.absolute()
    while place != place.parent:
        try:
            if place.exists():
                break
        except OSError:  # of another user
            pass
        place = place.parent
    return place


def plain(name: str) -> bool:
    """Whether a name with slashes leads to something below the folder it is joined to."""
    return all(map(is_name, name.split("/")))


def below(folder: Path, name: str) -> Path:
    """Give the path of what `name` names below a folder, whether it exists or not. The folder itself may be a link.

    Raises:
        InputError: the name leads elsewhere, by itself or over a link.
    """
    if not plain(name):
        raise InputError(f"{folder}: expected the name of a file below it; got {name[:80]!r}")
    path = folder
    for part in name.split("/"):
        path = path / part
        if path.is_symlink():
            raise InputError(f"{path}: expected a file or folder of its own; it is a link")
    return path


def own_folder(folder: Path, name: str) -> Path:
    """Give a folder below `folder`, made where there is none.

    Raises:
        InputError: the name leads elsewhere, by itself or over a link.
        OSError: it cannot be made.
    """
    path = below(folder, name)
    path.mkdir(parents=True, exist_ok=True)
    return path


def new_file(path: Path) -> None:
    """Make an empty file; what had the name before is removed, a link itself rather than what it leads to.

    Raises:
        OSError: it cannot be made, or another process made one at the same moment.
    """
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOT_OVER_A_LINK, 0o666))


def open_file(path: Path) -> BinaryIO:
    """Open a file to read and change it in place, unbuffered.

    Raises:
        InputError: it is a link or no file at all: what is written would land elsewhere.
        OSError: it cannot be opened.
    """
    if path.is_symlink():
        raise InputError(f"{path}: expected a file of its own; it is a link")
    handle = os.open(path, os.O_RDWR | _NOT_OVER_A_LINK | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path}: expected a file; it is something else")
    return os.fdopen(handle, "r+b", buffering=0)


_NOT_OVER_A_LINK = getattr(os, "O_NOFOLLOW", 0)
