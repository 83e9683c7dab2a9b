"""A space of one's own from a Python file that defines SPACE. The file runs as code: load only what you would run."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import ModuleType

from uninas.errors import InputError
from uninas.spaces.choices import ChoiceSpace, check_legal, shown

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
    """Run the text of a space's file and give its SPACE; `path` is where messages and tracebacks say that it stands.

    Raises:
        InputError: the file fails, with the line; it defines no SPACE; SPACE lacks something of a `ChoiceSpace`; the start is not
            legal.
    """
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    sys.modules[_MODULE] = module  # dataclasses look their module up
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno}: expected Python; {error.msg}") from None
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f", line {lines[-1]}" if lines else ""
        raise InputError(f"{path}{where}: expected to run; {type(error).__name__}: {error}") from None
    space = getattr(module, NAME, None)
    if space is None:
        raise InputError(f"{path}: expected it to define {NAME}, a uninas.spaces.Product or another ChoiceSpace; it does not")
    missing = [name for name in _NEEDED if not hasattr(space, name)]
    if missing:
        raise InputError(f"{path}: {NAME}: expected a ChoiceSpace; {shown(type(space).__name__)} lacks {', '.join(missing)}")
    found: ChoiceSpace = space
    check_legal(found, found.start(), "start")
    return found


def load(path: Path) -> ChoiceSpace:
    """Read and run a space's file. Raises InputError."""
    return run(read(path), path)
