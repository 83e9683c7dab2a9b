"""Foreign files in our packages: other distributions have packages of these names, and pip silently lets one overwrite another.

PyPI has a `uninas` (the UniNAS reference implementation), a `downstream` and a `proxies`. Installed together with this
distribution, they put their files among ours, and the first to be uninstalled takes the other's files with it. The check is
cheap, since it runs on every import of `uninas` and every start of the command: each package is looked up, not imported, and the
folder that holds them is listed once.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import re
import sys
import warnings
from functools import cache
from pathlib import Path

__all__ = ["LANDMARKS", "foreign_files", "warn"]

LANDMARKS = {
    "uninas": "labelling.py",
    "proxies": "vkdnw/fisher.py",
    "search": "algorithms/asktell.py",
    "downstream": "protocols.py",
}
"""Package -> a file of ours in it that no other package of that name has."""

_REMEDY = "reinstall uninas-ray from its checkout or wheel file (pip install --force-reinstall --no-deps ...)"


def foreign_files(path: list[str] | None = None) -> str | None:
    """Name foreign files in our packages, and what to do, in one line; None where there are none.

    Args:
        path: where packages are looked for; default: wherever Python looks.
    """
    roots = set[Path]()
    for name, landmark in LANDMARKS.items():
        spec = sys.modules[name].__spec__ if path is None and name in sys.modules else _spec(name, path)
        folder = next(iter(spec.submodule_search_locations or ()), None) if spec is not None else None
        if spec is None or folder is None:
            continue  # not installed: what needs it reports that
        if not os.path.exists(os.path.join(folder, landmark)):
            return f"the package {name!r} in {folder} is not that of uninas-ray: uninstall what put it there, then {_REMEDY}"
        if spec.origin is None:
            return f"the package {name!r} in {folder} has lost its __init__.py to another distribution: {_REMEDY}"
        roots.add(Path(folder).parent)
    for root in sorted(roots):
        found = _mixed(root)
        if found is not None:
            return f"the distribution {found!r} has put files among those of uninas-ray: pip uninstall {found}, then {_REMEDY}"
    return None


@cache
def warn() -> None:
    """Warn of foreign files, once per process."""
    found = foreign_files()
    if found is not None:
        warnings.warn(found, RuntimeWarning, stacklevel=2)


def _spec(name: str, path: list[str] | None) -> importlib.machinery.ModuleSpec | None:
    return importlib.util.find_spec(name) if path is None else importlib.machinery.PathFinder.find_spec(name, path)


def _mixed(root: Path) -> str | None:
    """Find a distribution with the name of one of our packages that has installed files into that package under `root`."""
    for entry in os.listdir(root):
        match = re.fullmatch(r"(uninas|proxies|search|downstream)-.*\.dist-info", entry, re.IGNORECASE)
        if match is not None and _has_installed(root / entry, match[1].lower()):
            return match[1].lower()
    return None


def _has_installed(information: Path, package: str) -> bool:
    try:
        record = (information / "RECORD").read_text(encoding="utf-8")
    except OSError:
        return False
    return any(line.startswith(f"{package}/") for line in record.splitlines())
