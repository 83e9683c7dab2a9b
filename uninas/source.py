"""Load architectures from a preset's name, a point of a published space, an architecture file, or the reference's JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from uninas.canonical import READ_FROM
from uninas.errors import InputError
from uninas.graph import Architecture
from uninas.networks.catalogue import preset
from uninas.networks.presets import PRESETS
from uninas.networks.zoo import ZOO
from uninas.spaces import SPACES, architecture_of
from uninas.text import FORMAT, from_document, read_object

if TYPE_CHECKING:
    from uninas.reference import Layer

_MAX_BYTES = 64 << 20


def load(source: str | Path) -> Architecture:
    """Load an architecture: a preset, our file, the reference's JSON, or the run folder of a search or of a training.

    SPACE:TEXT, such as `nasbench201:` and the text of a cell, names a network of a published space, with the classes and the
    input size of its source.
    Raises InputError that says what was expected, what was given and where.
    """
    return load_with_metadata(source)[0]


def load_with_metadata(source: str | Path) -> tuple[Architecture, dict[str, Any]]:
    """As `load`; and what the file says of the architecture's origin, nothing where there is no file, or it says nothing."""
    if str(source) in {*PRESETS, *ZOO}:
        return preset(str(source)), {}
    space, colon, text = str(source).partition(":")
    if colon and space in SPACES:
        return architecture_of(SPACES[space], text), {}
    path, document = _document(source)
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    if _is_reference(document):
        from uninas.reference import from_reference

        architecture = from_reference(document, str(path))
    elif "format" in document:
        architecture = from_document(document, str(path))
    else:
        raise InputError(f'{path}: expected "format": "{FORMAT}" or the reference\'s "model_str", got neither')
    architecture.memo[READ_FROM] = str(path)
    return architecture, metadata


def load_layers(source: str | Path, architecture: Architecture) -> list[Layer]:
    """Return the reference's layers of an architecture that was loaded from `source`: of the file itself where it is one of the
    reference's, else of what would be written.

    Raises InputError where the reference cannot express the architecture.
    """
    from uninas.reference import read_reference, reference_layers

    if Path(source).exists():
        path, document = _document(source)
        if _is_reference(document):
            return read_reference(document, str(path))[1]
    return reference_layers(architecture)


def _is_reference(document: dict[str, Any]) -> bool:
    return "model_str" in document and "format" not in document


def _document(source: str | Path) -> tuple[Path, dict[str, Any]]:
    """Read the JSON object of a file, or of the architecture's in a run's folder. Raises InputError."""
    path = Path(source)
    try:
        path = _in_folder(path)
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        text = content.decode("utf-8")
    except FileNotFoundError:
        raise InputError(
            f"expected a preset ({', '.join([*PRESETS, *ZOO])}), SPACE:TEXT or a file, got {str(source)[:200]!r}: no such file"
        ) from None
    except IsADirectoryError:
        files = "best.json (of a search that has ended) or an architecture.json (of a training)"
        raise InputError(f"{_shown(path)}: expected a run's folder with a {files}, got neither") from None
    except OSError as error:
        raise InputError(f"{_shown(path)}: cannot be read as a text file ({error.strerror or error})") from None
    except ValueError as error:  # no UTF-8, or a path with a null character
        raise InputError(f"{_shown(path)}: cannot be read as a text file ({error})") from None
    if len(content) > _MAX_BYTES:
        raise InputError(f"{path}: expected an architecture file of at most {_MAX_BYTES >> 20} MB, got a larger one")
    if not text.strip():
        raise InputError(f"{path}: expected an architecture file, got an empty one")
    return path, read_object(text, str(path))


def _in_folder(path: Path) -> Path:
    """The architecture's file in the folder of a run; else the path itself."""
    files = [path / name for name in ("best.json", "architecture.json")] if path.is_dir() else []
    return next((file for file in files if file.is_file()), path)


def _shown(path: Path) -> str:
    """The path for a message: printable, and no longer than a line."""
    name = str(path)
    return name if name.isprintable() and len(name) <= 200 else repr(name[:200])
