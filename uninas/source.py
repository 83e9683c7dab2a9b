"""Where architectures come from: a preset's name, an architecture file, a reference JSON."""

from __future__ import annotations

from pathlib import Path

from uninas.errors import InputError
from uninas.graph import Architecture
from uninas.presets import PRESETS, preset
from uninas.text import FORMAT, from_document, read_json

_MAX_BYTES = 64 << 20


def load(source: str | Path) -> Architecture:
    """The architecture that `source` names: a preset, our file, the reference's JSON, or a run folder's best.json.

    Raises InputError that says what was expected, what came and where.
    """
    if str(source) in PRESETS:
        return preset(str(source))
    path = Path(source)
    if path.is_dir() and (path / "best.json").is_file():
        path = path / "best.json"
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path}: expected an architecture file of at most {_MAX_BYTES >> 20} MB")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"expected a preset ({', '.join(PRESETS)}) or a file, came {str(source)!r}: no such file") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a text file ({error})") from None
    if not text.strip():
        raise InputError(f"{path}: expected an architecture file, came an empty one")
    document = read_json(text, str(path))
    if "model_str" in document and "format" not in document:
        from uninas.reference import from_reference

        return from_reference(document, str(path))
    if "format" not in document:
        raise InputError(f'{path}: expected "format": "{FORMAT}" or the reference\'s "model_str", came neither')
    return from_document(document, str(path))
