"""The configurations that are shipped with the project, by name: in the sources, or in the data folder of an installation.

find("demo")                             .../configs/search/demo.yaml
find("search/demo"), find("cluster/aws") with the folder, where two might have the same name
find("upernet_uninas_ade20k", ("mmseg",))
"""

from __future__ import annotations

import difflib
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from uninas.errors import InputError

__all__ = ["FOLDERS", "find", "names"]

FOLDERS = ("search", "truth", "cluster", "mmdet", "mmseg")
"""Of configs/: searches, ground truths, Ray clusters, MMDetection's and MMSegmentation's own."""

_ENDINGS = (".yaml", ".py")
_INSTALLED = Path("share", "uninas", "configs")


def find(name: str, folders: Sequence[str] = FOLDERS, *, roots: Sequence[Path] | None = None) -> Path:
    """Give the file of a configuration.

    Args:
        name: of the file without its ending, or FOLDER/NAME; the first of `folders` with such a file counts.
        folders: some of `FOLDERS`.
        roots: that contain the folders; None for the sources and the data folders of an installation.

    Raises:
        InputError: no such name, with the known names and the nearest; or no configurations at all.
    """
    places = _roots() if roots is None else roots
    known = _known(folders, places)
    if known is None:
        raise InputError(
            f"expected the configurations of the project in {' or '.join(map(str, places))}; got none: reinstall the project"
        )
    for key, file in known.items():
        if name in (key, file.stem):
            return file
    stems = list(dict.fromkeys(file.stem for file in known.values()))
    near = difflib.get_close_matches(name, [*stems, *known], 1, cutoff=0.4)
    hint = f", nearest is '{near[0]}'" if near else ""
    raise InputError(f"expected a file, or the name of a shipped configuration ({', '.join(stems)}); got '{name}'{hint}")


def names(folders: Sequence[str] = FOLDERS) -> list[str]:
    """List the names that `find` knows, without their folders; none where there are no configurations."""
    return list(dict.fromkeys(file.stem for file in (_known(folders, _roots()) or {}).values()))


def _known(folders: Sequence[str], places: Sequence[Path]) -> dict[str, Path] | None:
    """Give the files by FOLDER/NAME, of the first place that has such a folder; None where none has."""
    root = next((root for root in places if any((root / folder).is_dir() for folder in folders)), None)
    if root is None:
        return None
    files = ((folder, file) for folder in folders for file in sorted((root / folder).glob("*")))
    return {f"{folder}/{file.stem}": file for folder, file in files if file.suffix in _ENDINGS}


def _roots() -> list[Path]:
    """Give the possible roots in order: of the sources, of this environment, of this user, of `pip install --target`."""
    sources = Path(__file__).resolve().parents[2]
    data = [Path(sysconfig.get_path("data")), Path(sysconfig.get_path("data", sysconfig.get_preferred_scheme("user"))), sources]
    own = [sources / "configs"] if (sources / "pyproject.toml").is_file() else []
    return [*own, *dict.fromkeys(place / _INSTALLED for place in data)]
