"""An algorithm whose code is not ours, held to the contract of `Strategy`: what it breaks is reported in one line."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

from search.algorithms.asktell import Reported, Strategy
from search.algorithms.candidate import Candidate, Rejected
from uninas.errors import InputError
from uninas.runtime.own_code import FAILURES, line_of, named


class AlgorithmError(InputError):
    """An algorithm of the user's own broke its contract, or raised."""


@final
class Guarded:
    """The algorithm of the file `path`, as a `Strategy` that keeps its word.

    Raises:
        AlgorithmError: from every method, where the algorithm raises anything, or proposes what is no candidate.
    """

    def __init__(self, strategy: Strategy, path: Path) -> None:
        self._strategy = strategy
        self._path = path

    def propose(self, index: int, rng: random.Random, unscored: Sequence[Candidate]) -> Candidate | Rejected:
        """As the algorithm says."""
        found = call(self._path, "propose", self._strategy.propose, index, rng, unscored)
        if not isinstance(found, Candidate | Rejected):
            raise AlgorithmError(
                f"{self._path}: propose: expected a Candidate of the space, or Rejected; got {type(found).__name__}"
            )
        return found

    def learn(self, reported: Reported) -> None:
        """As the algorithm says."""
        call(self._path, "learn", self._strategy.learn, reported)


def guarded(make: Callable[..., Strategy], path: Path) -> Callable[..., Strategy]:
    """Have what `make` makes guarded, and its making too."""

    def made(*arguments: Any) -> Strategy:
        strategy = call(path, "its constructor", make, *arguments)
        missing = [name for name in ("propose", "learn") if not callable(getattr(strategy, name, None))]
        if missing:
            raise InputError(f"{path}: expected a Strategy; {type(strategy).__name__} lacks {', '.join(missing)}")
        return Guarded(strategy, path)

    return made


def call(path: Path, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of the file. Raises AlgorithmError with the line in it for whatever it raises."""
    try:
        return function(*arguments)
    except InputError:
        raise
    except FAILURES as error:
        raise AlgorithmError(f"{path}{line_of(error, path)}: {what}: expected to run; got {named(error)}") from None
