"""What tells the data of one training from those of another, wherever they lie: names, sizes and numbers of files.

    of_files(folder, names)          a folder of images: all names, and the sizes of `SIZES` files spread over them
    of_content(file)                 a file of annotations: every byte

Pictures are not read: a data set of a million is described in seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["SIZES", "Fingerprint", "below_folder", "changes", "of_content", "of_files"]

SIZES = 1000
"""Files whose sizes count. The same names with pictures of another resolution or compression are other data."""

Fingerprint = Mapping[str, Mapping[str, Any]]
"""Part of the data, such as "train" -> {"files": their number, "digest": SHA-256}."""


def of_files(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """Describe files of a folder, by their paths in it, in any order."""
    ordered = sorted(names)
    found = hashlib.sha256()
    for name in ordered:
        found.update(name.encode("utf-8", "surrogateescape") + b"\0")
    for place in range(min(SIZES, len(ordered))):
        name = ordered[place * len(ordered) // min(SIZES, len(ordered))]
        found.update(b"%d\0" % (folder / name).stat().st_size)
    return {"files": len(ordered), "digest": found.hexdigest()}


def below_folder(folder: Path) -> dict[str, Any]:
    """Describe all files below a folder, hidden ones excepted."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return of_files(folder, (name for name in names if not any(part.startswith(".") for part in name.split("/"))))


def of_content(path: Path) -> dict[str, Any]:
    """Describe a file by what it holds."""
    with path.open("rb") as file:
        return {"files": 1, "digest": hashlib.file_digest(file, "sha256").hexdigest()}


def changes(now: Fingerprint, before: Fingerprint) -> list[str]:
    """Say in which parts the data differ, a phrase each; none where they are the same."""
    found = []
    for part in dict.fromkeys((*before, *now)):
        new, old = now.get(part), before.get(part)
        if new == old:
            continue
        counts = [0 if one is None else int(one["files"]) for one in (new, old)]
        if counts[0] != counts[1]:
            found.append(f"{part} has {counts[0]:,} files and had {counts[1]:,}")
        else:
            found.append(f"{part} is another file" if counts[0] == 1 else f"{part} has other files, {counts[0]:,} as before")
    return found
