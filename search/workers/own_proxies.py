"""Proxies of the user's own, from a Python file, in this process and in every worker.

    load(Path("my_scores.py"))          in the process that starts the workers: runs the file, which registers its proxies
    loaded()                            what was loaded so far, as data that travels
    load_all(loaded())                  in a worker, on any machine: runs the same text

The file runs as code: load only what you would run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proxies import registry
from search.ranking.objective import OBJECTIVES
from uninas.errors import InputError
from uninas.runtime import own_code

_EXPECTED = "a Python file that registers proxies with @proxies.register"
_MODULE = "uninas_own_proxies"


@dataclass(frozen=True)
class OwnFile:
    """A file's text, and the path that messages give it; the path need not exist where the text is run."""

    text: str
    path: str


_loaded: list[OwnFile] = []
_homes: dict[str, OwnFile] = {}  # by proxy: the file that registered it last


def read(path: Path) -> OwnFile:
    """Read a file without running it. Raises InputError."""
    return OwnFile(own_code.read(path, _EXPECTED), str(path))


def load(path: Path) -> tuple[str, ...]:
    """Read and run a file, see `run`. Raises InputError."""
    return run(read(path))


def run(file: OwnFile) -> tuple[str, ...]:
    """Run a file's text; what it registers are proxies from then on, here and in the workers that are started later.

    Returns:
        the names that it registers.

    Raises:
        InputError: it fails, with the line; it registers nothing; or a name is that of an objective.
    """
    before = {name: registry.find(name) for name in registry.registered()}
    own_code.run(file.text, Path(file.path), _MODULE)
    names = tuple(name for name in registry.registered() if registry.find(name) is not before.get(name))
    if not names:
        raise InputError(f"{file.path}: expected {_EXPECTED}(name); it registers none")
    for name in names:
        if name in OBJECTIVES:
            raise InputError(f"{file.path}: expected a name that no objective has; got '{name}'")
    _homes.update(dict.fromkeys(names, file))
    if file in _loaded:
        _loaded.remove(file)
    _loaded.append(file)
    return names


def loaded() -> tuple[OwnFile, ...]:
    """What was run in this process, in its order."""
    return tuple(_loaded)


def file_of(names: Iterable[str]) -> OwnFile | None:
    """Give the file that registered those of the proxies that come from one; None where none does.

    Raises:
        InputError: they come from several.
    """
    found = tuple(dict.fromkeys(_homes[name] for name in names if name in _homes and name in registry.registered()))
    if len(found) > 1:
        raise InputError(f"proxies: expected those of one's own in one file; got {' and '.join(file.path for file in found)}")
    return found[0] if found else None


def load_all(files: Iterable[OwnFile]) -> None:
    """Run what was loaded elsewhere. Raises InputError."""
    for file in files:
        if file not in _loaded:
            run(file)
