"""From YAML to a checked `SearchConfig`, and back. The only file that knows OmegaConf.

What is read: a YAML mapping of the keys in `search.config.schema`, or a Ray cluster file that carries that mapping under
`metadata: {search: ...}`, so that one file both starts a cluster and says what to search on it.

Every fault is an `InputError` of one line: what was expected, what it got, where. OmegaConf checks the types; what it cannot do
is added here: the nearest known key, numbers in every spelling, no silent conversion. Text such as ${oc.env:HOME} is rejected and
never resolved: a stored configuration must mean the same on every machine, and must hold no secret.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from search.config.schema import SearchConfig
from search.config.validation import check
from search.ranking.objective import spelled
from uninas.errors import InputError
from uninas.files.reading import parse_yaml, read_text
from uninas.runtime import configurations
from uninas.spaces import SPACES


def load(path: str | Path, overrides: Sequence[str] = (), *, stored: bool = False) -> SearchConfig:
    """Read a configuration file, apply `key=value` overrides (dotted keys, YAML values), check it.

    `stored`: it is a run's own, which has every key of the version that wrote it; where one of `_OF_BEFORE` is missing, it is
    older than that key, and the run goes on as it was begun.

    A word that names no file and has neither an ending nor a folder is the name of a shipped configuration.

    Raises:
        InputError: the file is missing, empty, no mapping, or holds or gets a key or value that cannot be.
    """
    path = located(path)
    source = str(path)
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise InputError(f"{source}: expected a search configuration (YAML); no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: expected a search configuration (YAML); cannot read it: {error}") from None
    return parse(text, overrides, source=source, stored=stored)


def located(path: str | Path) -> Path:
    """Give the file that a word means: itself, or by name a shipped one.

    Raises:
        InputError: a word that is neither.
    """
    found = Path(path)
    if found.suffix or len(found.parts) != 1 or found.exists():
        return found
    return configurations.find(str(path), ("search",))


def name(path: str | Path) -> str:
    """Give the name of a configuration file that `load` has read: its cluster's in a cluster file, else the file's own."""
    path = located(path)
    document = _mapping(read_text(path), str(path))
    cluster = document.get("cluster_name") if "metadata" in document else None
    return cluster if isinstance(cluster, str) and re.fullmatch(r"[\w.-]+", cluster) else path.stem


def parse(text: str, overrides: Sequence[str] = (), *, source: str = "<text>", stored: bool = False) -> SearchConfig:
    """Do what `load` does, from the text itself; `source` names it in messages."""
    document = _mapping(text, source)
    values = _section(document, source)
    _spell_out(values, source)
    for override in overrides:
        _apply(values, override)
        _spell_out(values, source)
    if stored:
        _as_begun(values)
    config = _typed(_plain(values, SearchConfig, "", source), source)
    check(config, source)
    return config


def to_yaml(config: SearchConfig) -> str:
    """Write the whole configuration, defaults included, as YAML that `load` reads back to an equal one."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)


_YOUNGER = (
    ("latency",),
    ("objectives",),
    ("budget", "latency_ms"),
    ("space", "name"),
    ("space", "file"),
    ("space", "start"),
    ("space", "sampler"),
    ("space", "vocabulary"),
    ("space", "prior"),
    ("algorithm_file",),
    ("proxies", "file"),
    ("proxies", "options"),
    ("images",),
)
"""Keys that the first run folders did not have yet. Each new key that decides what a run finds belongs here."""


_OF_BEFORE = {("ties",): "older", ("space", "regularisers"): True}
"""Keys that changed what a search does when they came, with what it did before."""


def _as_begun(values: dict[Any, Any]) -> None:
    """Give a run from before a key of `_OF_BEFORE` what it began with, in place; a categorical space has no edits of graphs."""
    space = values.get("space")
    for *path, last in _OF_BEFORE:
        section = values if not path else space
        if isinstance(section, dict) and not (path and (section.get("name") or section.get("file"))):
            section.setdefault(last, _OF_BEFORE[*path, last])


def words_of_before(config: SearchConfig) -> list[str]:
    """Give the overrides by which a configuration of before the keys of `_OF_BEFORE` does what it did then."""
    chosen = config.space.name is not None or config.space.file is not None
    found = {".".join(path): value for path, value in _OF_BEFORE.items() if not (chosen and len(path) > 1)}
    return [f"{path}={json.dumps(value) if isinstance(value, bool) else value}" for path, value in found.items()]


def digest(config: SearchConfig) -> str:
    """Give the SHA-256 of all that decides what a run finds.

    Left out are `evaluations`, which a resumed run may extend, and `pool`, which says who scores but not what. So is a key of
    `_YOUNGER` at its default: a run that began before there was such a key found what it would find now; and so is one of
    `_OF_BEFORE` where it says what was done before there was such a key. Of `images` only whether there are any decides here:
    the folder may lie elsewhere on a resume, and the journal knows what was in it.
    """
    decisive = {name: value for name, value in dataclasses.asdict(config).items() if name not in ("evaluations", "pool")}
    decisive["images"] = None if config.images is None else "real"
    defaults = dataclasses.asdict(SearchConfig())
    for *path, last in _YOUNGER:
        section, default = decisive, defaults
        for name in path:
            section, default = section[name], default[name]
        if section[last] == default[last]:
            del section[last]
    if decisive["ties"] == _OF_BEFORE[("ties",)]:  # as where there was no such key
        del decisive["ties"]
    chosen = config.space.name is not None or config.space.file is not None
    if chosen or decisive["space"]["regularisers"] == _OF_BEFORE["space", "regularisers"]:
        del decisive["space"]["regularisers"]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _spell_out(values: dict[Any, Any], source: str) -> None:
    """Write short and long forms as what they stand for, in place: `space: coatnet`, `space: mobilenetv2`, `vocabulary: uninas`,
    `algorithm: {file: ..}`, `objective: {product: [..]}`.
    """
    short = values.get("space")
    if isinstance(short, str):
        values["space"] = {"name" if short in SPACES else "preset": short}
    space = values.get("space")
    if isinstance(space, dict) and isinstance(space.get("vocabulary"), str):
        space["vocabulary"] = [space["vocabulary"]]
    algorithm = values.get("algorithm")
    if isinstance(algorithm, dict):
        if not {"file"} <= algorithm.keys() <= {"file", "name"}:
            raise InputError(
                f"{source}: algorithm: expected a name, or the keys file and name; got {', '.join(map(str, algorithm)) or 'none'}"
            )
        values["algorithm"], values["algorithm_file"] = algorithm.get("name", ""), algorithm["file"]
    if isinstance(values.get("objective"), dict):
        _plain(values["objective"], Any, "objective", source)  # no references
        try:
            values["objective"] = spelled(values["objective"])
        except InputError as error:
            raise InputError(f"{source}: {error}") from None


def _read_yaml(text: str, source: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError as error:
        line, _, said = str(error).partition(": ")
        where, said = (f", {line}", said) if re.fullmatch(r"line \d+", line) else ("", str(error))
        raise InputError(f"{source}{where}: expected YAML; {said}") from None


def _mapping(text: str, source: str) -> dict[Any, Any]:
    document = _read_yaml(text, source)
    if document is None:
        raise InputError(f"{source}: expected a YAML mapping of search keys; the file is empty")
    if not isinstance(document, dict):
        raise InputError(f"{source}: expected a YAML mapping of search keys; got {_describe(document)}")
    return document


def _section(document: dict[Any, Any], source: str) -> dict[Any, Any]:
    """Find the search within the document: the document itself, or `metadata.search` of a cluster file."""
    if "metadata" not in document:
        return document
    metadata = document["metadata"]
    section = metadata.get("search") if isinstance(metadata, dict) else None
    if not isinstance(section, dict):
        raise InputError(f"{source}: expected the search keys under metadata.search; got {_describe(section)}")
    return section


def _apply(values: dict[Any, Any], override: str) -> None:
    """Set one `a.b=value` in the nested mapping, in place."""
    dotted, equals, text = override.partition("=")
    if not equals or not dotted.strip():
        raise InputError(f"override '{override}': expected key=value, for instance evaluations=200 or budget.params=5000000")
    *path, last = dotted.strip().split(".")
    for name in path:
        inner = values.get(name)
        if inner is None:
            inner = values[name] = {}
        if not isinstance(inner, dict):
            raise InputError(f"override '{override}': expected {name} to be a mapping; the configuration has {_describe(inner)}")
        values = inner
    values[last] = text.strip() if _is_text(dotted, text) else _read_yaml(text, f"override '{override}'")


def _is_text(dotted: str, text: str) -> bool:
    """Whether an override's value is the text itself: 16:16:32 where text is expected is no number of base 60."""
    plain = text.strip()
    if plain.startswith("{") and dotted.strip() in ("algorithm", "objective"):
        return False
    return _hint(dotted) is str and plain[:1] not in ("", '"', "'") and plain not in ("null", "~")


def _hint(where: str) -> Any:
    """Give the type of a key, dotted and with [places] in lists, as the schema declares it, None apart; `Any` for no key."""
    hint: Any = SearchConfig
    for name in re.findall(r"[^.\[\]\s]+", where):
        if dataclasses.is_dataclass(hint):
            hint = typing.get_type_hints(hint).get(name, Any)
        else:
            hint = (typing.get_args(hint) or (Any,))[-1]  # of the items
        if isinstance(hint, types.UnionType):
            hint = typing.get_args(hint)[0]
    return hint


def _plain(value: Any, hint: Any, where: str, source: str) -> Any:
    """Check names, and write numbers and sizes in one way, whichever way they were given; OmegaConf checks the types of the rest.

    Here is rejected what it would convert without a word, such as 5 to "5" and 1 to true.
    """
    section = dataclasses.is_dataclass(hint)
    if section and not isinstance(value, dict):
        raise _mistyped(value, where, source)
    if isinstance(value, dict):
        names = typing.get_type_hints(hint) if section else [name for name in value if isinstance(name, str)]
        unknown = next((name for name in value if name not in names), None)
        prefix = f"{where}." if where else ""
        if unknown is not None:
            raise InputError(f"{source}: {_unknown(prefix, unknown, names)}") if section else _mistyped(value, where, source)
        return {name: _plain(item, _hint(f"{prefix}{name}"), f"{prefix}{name}", source) for name, item in value.items()}
    if where == "size":
        value = _size(value)
    if isinstance(value, list):
        return [_plain(item, _hint(f"{where}[{place}]"), f"{where}[{place}]", source) for place, item in enumerate(value)]
    if isinstance(value, str) and "${" in value:
        raise InputError(f"{source}: {where}: expected a plain value; got '{value}', and references are never resolved here")
    value = _number(value, hint)
    strict = hint in (str, bool) and value is not None and type(value) is not hint
    if strict or (isinstance(value, float) and not math.isfinite(value)):
        raise _mistyped(value, where, source)
    return value


def _unknown(prefix: str, name: Any, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), 1, cutoff=0.0)
    return f"unknown key '{prefix}{name}'; nearest known key is '{prefix}{near[0]}'"


def _size(value: Any) -> Any:
    """Accept 224, [224, 224] and 224x224 for a size; anything else is left for the type check."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+)(?:x(\d+))?", value.strip())):
        value = [int(match[1]), int(match[2] or match[1])]
    return [value, value] if isinstance(value, int) and not isinstance(value, bool) else value


def _number(value: Any, hint: Any) -> Any:
    """Read text as a number where one is expected: YAML 1.1 takes 5.0e6 and 1e6, without a sign in the exponent, for text.

    A whole number may be written with a point. What is no number is left for the type check.
    """
    if hint in (int, float) and isinstance(value, str):
        with suppress(ValueError):
            value = float(value)
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT
    return int(value) if hint is int and whole else value


_EXACT = 2.0**53
"""Up to here a floating-point number says which whole number was meant."""


def _typed(plain: Any, source: str) -> SearchConfig:
    """Let OmegaConf check every value against the types of the schema."""
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SearchConfig), plain))
    except OmegaConfBaseException as error:
        where = str(getattr(error, "full_key", None) or "?")
        value = plain
        for name in re.findall(r"[^.\[\]]+", where):
            value = value[int(name)] if isinstance(value, list) else {str(key): item for key, item in value.items()}.get(name)
        raise _mistyped(value, where, source) from None
    assert isinstance(config, SearchConfig)
    return config


_EXPECTED = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list[int]: "a list of whole numbers",
    list[str]: "a list of names",
    dict[str, float]: "a mapping of names to numbers",
    Any: "a finite number or text",
}


def _mistyped(value: Any, where: str, source: str) -> InputError:
    hint = _hint(where)
    quotes = ": put it in quotes" if hint is str and isinstance(value, int | float) else ""
    return InputError(f"{source}: {where}: expected {_EXPECTED.get(hint, 'a mapping')}; got {_describe(value)}{quotes}")


def _describe(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = str(value)
    return f"{'text' if isinstance(value, str) else type(value).__name__} '{text if len(text) <= 60 else text[:57] + '...'}'"
