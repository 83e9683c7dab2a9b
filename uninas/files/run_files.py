"""The JSON files of a run's folder, which may be odd: cut, edited, or of another program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uninas.errors import InputError
from uninas.files.reading import read_json

__all__ = ["odd", "read_run_json"]


@contextmanager
def odd(
    path: Path, where: str = "", *, expected: str = "what a run writes", raises: type[InputError] = InputError
) -> Iterator[None]:
    """Say in one line that a file of a run, JSON, does not say what its kind does, where its values are used.

    Args:
        path: of the file.
        where: in it, for the message: "line 3: ".
        expected: of it, for the message.
        raises: the error.

    Raises:
        InputError: for a value that is missing, or of another type.
    """
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise raises(f"{path}: {where}expected {expected}; {said}") from None


def read_run_json(folder: Path, name: str, *, place: str, content: str) -> Any:
    """Read a JSON file of a run's folder.

    Args:
        folder: of the run.
        name: of the file in it.
        place: what the folder should be, for the message: "the folder of a training".
        content: what the file should contain, for the message: "the settings of a training".

    Raises:
        InputError: no such file, or it is not JSON.
    """
    path = folder / name
    try:
        return read_json(path)
    except FileNotFoundError:
        raise InputError(f"{folder}: expected {place}, with a {name}; there is none") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected {content} (JSON); {error}") from None
