"""A space of one's own from a Python file that defines SPACE. The file runs as code: load only what you would run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

from uninas.errors import InputError
from uninas.spaces.choices import ChoiceSpace, check_legal, shown
from uninas.spaces.guarded import FAILURES, Guarded, line_of, named

NAME = "SPACE"
"""What the file has to define."""

_MODULE = "uninas_own_space"
_NEEDED = ("name", "size", "classes", "input_size", "start", "sample", "mutate", "fault", "build", "text", "parse")


def read(path: Path) -> str:
    """The text of a space's file. Raises InputError that says what was expected."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: expected a Python file that defines {NAME}; no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a Python file that defines {NAME}; cannot read it: {error}") from None


def run(text: str, path: Path) -> ChoiceSpace:
    """Run the text of a space's file and give its SPACE, guarded; `path` is where messages say that it stands.

    Raises:
        InputError: the file fails, with the line; it defines no SPACE; SPACE lacks something of a `ChoiceSpace`; the start is not
            legal. Later, what `Guarded` raises.
    """
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    sys.modules[_MODULE] = module  # dataclasses look their module up
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno}: expected Python; {error.msg}") from None
    except FAILURES as error:
        raise InputError(f"{path}{line_of(error, path)}: expected to run; got {named(error)}") from None
    space = getattr(module, NAME, None)
    if space is None:
        raise InputError(f"{path}: expected it to define {NAME}, a uninas.spaces.Product or another ChoiceSpace; it does not")
    if isinstance(space, type):
        raise InputError(f"{path}: {NAME}: expected a ChoiceSpace; got its class: {NAME} = {shown(space.__name__)}()")
    missing = [name for name in _NEEDED if not hasattr(space, name)]
    if missing:
        raise InputError(f"{path}: {NAME}: expected a ChoiceSpace; {shown(type(space).__name__)} lacks {', '.join(missing)}")
    found: ChoiceSpace = Guarded(space, path)
    check_legal(found, found.start(), "start")
    return found


def load(path: Path) -> ChoiceSpace:
    """Read and run a space's file. Raises InputError."""
    return run(read(path), path)
