"""A space of one's own: from a Python file that defines SPACE, or from an installed package. Both run as code."""

from __future__ import annotations

import sys
from pathlib import Path

from uninas.errors import InputError
from uninas.runtime import own_code
from uninas.spaces.choices import ChoiceSpace, check_legal, shown
from uninas.spaces.guarded import Guarded

NAME = "SPACE"
"""What the file has to define."""

_MODULE = "uninas_own_space"
_NEEDED = ("name", "size", "classes", "input_size", "start", "sample", "mutate", "fault", "build", "text", "parse")


def read(path: Path) -> str:
    """The text of a space's file. Raises InputError that says what was expected."""
    return own_code.read(path, f"a Python file that defines {NAME}")


def run(text: str, path: Path) -> ChoiceSpace:
    """Run the text of a space's file and give its SPACE, guarded; `path` is where messages say that it stands.

    Raises:
        InputError: the file fails, with the line; it defines no SPACE; SPACE lacks something of a `ChoiceSpace`; the start is not
            legal. Later, what `Guarded` raises.
    """
    space = getattr(own_code.run(text, path, _MODULE), NAME, None)
    if space is None:
        raise InputError(f"{path}: expected it to define {NAME}, a uninas.spaces.Product or another ChoiceSpace; it does not")
    fault = _fault(space)
    if fault is not None:
        raise InputError(f"{path}: {NAME}: expected a ChoiceSpace; {fault}")
    return _guarded(space, path)


def load(path: Path) -> ChoiceSpace:
    """Read and run a space's file. Raises InputError."""
    return run(read(path), path)


def installed(name: str, space: object) -> ChoiceSpace:
    """The space that an installed package offers under a name, guarded. Raises ValueError where it is none."""
    fault = _fault(space)
    if fault is not None:
        raise ValueError(f"expected a ChoiceSpace; {fault}")
    module = sys.modules[type(space).__module__]
    return _guarded(space, Path(getattr(module, "__file__", None) or name))


def _fault(space: object) -> str | None:
    """What keeps an object from being a space; None where nothing does."""
    if isinstance(space, type):
        return f"got its class: {NAME} = {shown(space.__name__)}()"
    missing = [name for name in _NEEDED if not hasattr(space, name)]
    return f"{shown(type(space).__name__)} lacks {', '.join(missing)}" if missing else None


def _guarded(space: object, path: Path) -> ChoiceSpace:
    found: ChoiceSpace = Guarded(space, path)  # type: ignore[arg-type]
    check_legal(found, found.start(), "start")
    return found
