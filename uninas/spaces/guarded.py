"""A space whose code is not ours, held to the contract of `ChoiceSpace`: what it breaks is reported in one line, with its place.

Genotypes pass as copies, as JSON gives them back. So code that changes its argument changes nothing but its own copy, and a
search sees the genotype that its journal will give a resume.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, final

from uninas.canonical import canonicalise
from uninas.errors import InputError
from uninas.graph import Architecture
from uninas.runtime.own_code import FAILURES, line_of, named
from uninas.spaces.choices import ChoiceSpace, Genotype, Listed, SpaceError, as_json, shown


@final
class Guarded:
    """The space of the file `path`, as a `ChoiceSpace` that keeps its contract.

    InputError of a method passes, for it is part of the contract.

    Raises:
        SpaceError: from the constructor and every method, where the space raises anything else, or gives what the contract does
            not say.
    """

    name: str
    classes: int
    input_size: tuple[int, int]

    def __init__(self, space: ChoiceSpace, path: Path) -> None:
        self._space = space
        self._path = path
        self.name = self._attribute("name", "text", lambda value: isinstance(value, str) and bool(value))
        self.classes = self._attribute("classes", "a whole number of at least 1", _is_count)
        self.input_size = self._attribute("input_size", "(height, width) in pixels", _is_size)
        self.input_size = (self.input_size[0], self.input_size[1])

    @property
    def size(self) -> int | None:
        """As the space says, counted on request, since that may take a while."""
        found: int | None = self._attribute("size", "a whole number, or None", lambda value: value is None or _is_count(value))
        return found

    def start(self) -> Genotype:
        """Do as the space does."""
        return self._genotype("start")

    def every(self) -> Iterator[Genotype] | None:
        """Do as the space does, where it lists its genotypes; None where it does not."""
        found = self._call("every") if isinstance(self._space, Listed) else None
        return None if found is None else self._listed(found)

    def _listed(self, found: Any) -> Iterator[Genotype]:
        try:
            for genotype in found:
                yield as_json(genotype)
        except SpaceError:
            raise
        except FAILURES as error:
            raise self._error("every", "JSON data, one genotype after the other", named(error)) from None

    def sample(self, rng: random.Random) -> Genotype:
        """Do as the space does."""
        return self._genotype("sample", rng)

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """Do as the space does."""
        return self._genotype("mutate", as_json(genotype), rng)

    def fault(self, genotype: Genotype) -> str | None:
        """Do as the space does."""
        found = self._call("fault", as_json(genotype))
        if found is not None and not isinstance(found, str):
            raise self._error("fault", "a text that explains what is wrong, or None", found, genotype)
        return found

    def build(self, genotype: Genotype, classes: int, input_size: tuple[int, int]) -> Architecture:
        """Do as the space does."""
        found = self._call("build", as_json(genotype), classes, input_size)
        if not isinstance(found, Architecture):
            raise self._error("build", "an Architecture (does network return it?)", found, genotype)
        try:
            canonicalise(found)  # its parts have not been checked yet, and may be anything
        except InputError:
            raise
        except FAILURES as error:
            raise self._error("build", "an Architecture of stages of blocks of graphs", named(error), genotype) from None
        return found

    def text(self, genotype: Genotype) -> str:
        """Do as the space does."""
        found = self._call("text", as_json(genotype))
        if not isinstance(found, str):
            raise self._error("text", "text", found, genotype)
        return found

    def parse(self, text: str) -> Genotype:
        """Do as the space does."""
        return self._genotype("parse", text)

    def _genotype(self, method: str, *arguments: Any) -> Genotype:
        found = self._call(method, *arguments)
        try:
            return as_json(found)
        except (TypeError, ValueError) as error:
            raise self._error(method, "JSON data", f"{shown(found)} ({error})") from None

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._space, method)(*arguments)
        except SpaceError as error:
            raise SpaceError(f"{self._path}: {error}") from None
        except InputError:
            raise
        except FAILURES as error:
            what = f" of {shown(arguments[0])}" if arguments and not isinstance(arguments[0], random.Random) else ""
            where = line_of(error, self._path)
            raise SpaceError(f"{self._path}{where}: {method}{what}: expected to run; got {named(error)}") from None

    def _attribute(self, name: str, expected: str, holds: Callable[[Any], bool]) -> Any:
        try:
            found = getattr(self._space, name)
        except FAILURES as error:
            where = line_of(error, self._path)
            raise SpaceError(f"{self._path}{where}: {name}: expected {expected}; got {named(error)}") from None
        if not holds(found):
            raise SpaceError(f"{self._path}: {name}: expected {expected}; got {shown(found)}")
        return found

    def _error(self, method: str, expected: str, found: object, genotype: object = None) -> SpaceError:
        what = "" if genotype is None else f" of {shown(genotype)}"
        return SpaceError(f"{self._path}: {method}{what}: expected {expected}; got {shown(found)}")


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_size(value: object) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_count, value))
