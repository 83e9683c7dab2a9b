"""Code that is not ours: a Python file of the user's own, and what installed packages offer under entry points.

Such code runs with all rights of this process: load only what you would run yourself. What it raises is reported in one line
with the file and the line in it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar, final

from uninas.errors import InputError

__all__ = ["FAILURES", "Catalogue", "line_of", "named", "read", "run"]

FAILURES = (Exception, SystemExit)
"""What code that is not ours may end with; Ctrl-C is the user's."""

T = TypeVar("T")


def read(path: Path, expected: str) -> str:
    """The text of a file; `expected` says in messages what it was to be, such as "a Python file that defines SPACE".

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: expected {expected}; no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected {expected}; cannot read it: {error}") from None


def run(text: str, path: Path, name: str) -> ModuleType:
    """Run the text of a Python file as a module.

    Args:
        text: the program.
        path: where messages and tracebacks say that it is; it is not read.
        name: of the module in `sys.modules`, where dataclasses look it up. A module of that name is replaced.

    Raises:
        InputError: it is no Python, or raises; the message has the line.
    """
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno}: expected Python; {error.msg}") from None
    except FAILURES as error:
        raise InputError(f"{path}{line_of(error, path)}: expected to run; got {named(error)}") from None
    return module


def line_of(error: BaseException, path: Path) -> str:
    """Where in a file an exception was raised: ", line 12", or nothing where it was not raised there."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def named(error: BaseException) -> str:
    """An exception in a message: its class and what it says, in one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


@final
class Catalogue(Mapping[str, T], Generic[T]):
    """What there is of a kind, by name: ours, what was added in this process, and what installed packages offer.

    An installed package offers something as an entry point of `group`, whose name is the thing's. It is imported when that name
    is looked up, and not before: names alone import nothing. A name of ours stays ours.

    Args:
        kind: what messages call one of them, such as "space".
        group: of the entry points.
        ours: by name.
        accept: makes one of them of what an entry point's value is; raises ValueError that says what was expected.
    """

    def __init__(self, kind: str, group: str, ours: Mapping[str, T], accept: Callable[[str, object], T]) -> None:
        self.kind = kind
        self.group = group
        self._ours = ours
        self._accept = accept
        self._added: dict[str, T] = {}
        self._loaded: dict[str, T] = {}

    @property
    def added(self) -> Mapping[str, T]:
        """Those that were added in this process."""
        return self._added

    def add(self, name: str, one: T) -> None:
        """Add one. It replaces an earlier one of its name.

        Raises:
            InputError: the name is one of ours.
        """
        if name in self._ours:
            raise InputError(f"{self.kind}: expected a new name; got '{name}', one of this package")
        self._added[name] = one

    def __getitem__(self, name: str) -> T:
        """The one of that name. Raises KeyError; InputError where its entry point cannot be loaded."""
        for known in (self._ours, self._added, self._loaded):
            if name in known:
                return known[name]
        self._loaded[name] = self._load(name, _offered(self.group)[name])
        return self._loaded[name]

    def _load(self, name: str, point: importlib.metadata.EntryPoint) -> T:
        where = f"{self.kind} {name}: expected the entry point {self.group} of {_package(point)} to load {point.value}"
        try:
            value = point.load()
        except FAILURES as error:
            raise InputError(f"{where}; got {named(error)}") from None
        if name in self._added:  # its module has added it
            return self._added[name]
        try:
            return self._accept(name, value)
        except ValueError as error:
            raise InputError(f"{where}; {error}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._ours or name in self._added or name in _offered(self.group)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._ours, *self._added, *_offered(self.group))))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<{self.group}: {', '.join(self)}>"


@functools.cache
def _offered(group: str) -> Mapping[str, importlib.metadata.EntryPoint]:
    """What installed packages offer, read once in a process."""
    return {point.name: point for point in importlib.metadata.entry_points(group=group)}


def _package(point: importlib.metadata.EntryPoint) -> str:
    return "an installed package" if point.dist is None else str(point.dist.name)
