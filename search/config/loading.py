"""From YAML to a checked `SearchConfig`, and back.

What is read: a YAML mapping of the keys in `search.config.schema`, or a Ray cluster file that carries that mapping under
`metadata: {search: ...}`, so that one file both starts a cluster and says what to search on it.

Every fault is an `InputError` of one line: what was expected, what it got, where.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from search.config import trained
from search.config.schema import SearchConfig
from search.config.typed import Schema, describe, mapping
from search.config.validation import check
from search.ranking.objective import spelled
from uninas.errors import InputError
from uninas.files.reading import read_text
from uninas.runtime import configurations
from uninas.spaces import SPACES

SCHEMA = Schema(SearchConfig, mappings=("algorithm", "objective"))


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
    document = mapping(read_text(path), str(path))
    cluster = document.get("cluster_name") if "metadata" in document else None
    return cluster if isinstance(cluster, str) and re.fullmatch(r"[\w.-]+", cluster) else path.stem


def parse(text: str, overrides: Sequence[str] = (), *, source: str = "<text>", stored: bool = False) -> SearchConfig:
    """Do what `load` does, from the text itself; `source` names it in messages."""
    document = mapping(text, source)
    values = _section(document, source)
    _spell_out(values, source)
    for override in overrides:
        SCHEMA.override(values, override)
        _spell_out(values, source)
    if stored:
        _as_begun(values)
    config = SCHEMA.fill(values, source)
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
    ("space", "fitted"),
    ("space", "sampler"),
    ("space", "vocabulary"),
    ("space", "prior"),
    ("algorithm_file",),
    ("proxies", "file"),
    ("proxies", "options"),
    ("images",),
    ("training", "held_out"),
    ("training",),
    ("ladder",),
    ("finalists", "reliability"),
    ("finalists", "per_class"),
    ("finalists", "epochs"),
)
"""Keys that the first run folders did not have yet. Each new key that decides what a run finds belongs here."""


_OF_BEFORE: dict[tuple[str, ...], Any] = {
    ("ties",): "older",
    ("space", "regularisers"): True,
    ("finalists", "controls"): [],
    ("finalists", "by_model"): 0,
}
"""Keys that changed what a search does when they came, with what it did before."""


def _as_begun(values: dict[Any, Any]) -> None:
    """Give a run from before a key of `_OF_BEFORE` what it began with, in place; a categorical space has no edits of graphs."""
    values.setdefault("finalists", {})
    for *path, last in _OF_BEFORE:
        section = values.get(path[0]) if path else values
        if isinstance(section, dict) and not (path == ["space"] and (section.get("name") or section.get("file"))):
            section.setdefault(last, _OF_BEFORE[*path, last])


def words_of_before(config: SearchConfig) -> list[str]:
    """Give the overrides by which a configuration of before the keys of `_OF_BEFORE` does what it did then."""
    chosen = config.space.name is not None or config.space.file is not None
    found = {".".join(path): value for path, value in _OF_BEFORE.items() if not (chosen and path[0] == "space")}
    return [f"{path}={value if isinstance(value, str) else json.dumps(value)}" for path, value in found.items()]


def digest(config: SearchConfig) -> str:
    """Give the SHA-256 of all that decides what a run finds.

    Left out are `evaluations`, which a resumed run may extend, and `pool`, which says who scores but not what. So is a key of
    `_YOUNGER` at its default: a run that began before there was such a key found what it would find now; and so is one of
    `_OF_BEFORE` where it says what was done before there was such a key. Of images only whether there are any decides here:
    the folder may lie elsewhere on a resume, and the journal knows what was in it.
    """
    decisive = {name: value for name, value in dataclasses.asdict(config).items() if name not in ("evaluations", "pool")}
    decisive["images"] = None if config.images is None else "real"
    if config.training.images is not None:
        decisive["training"]["images"] = "real"
    defaults = dataclasses.asdict(SearchConfig())
    for *path, last in _YOUNGER:
        section, default = decisive, defaults
        for name in path:
            section, default = section[name], default[name]
        if section[last] == default[last]:
            del section[last], default[last]  # of the section, too, that may come behind it
    chosen = config.space.name is not None or config.space.file is not None
    for *path, last in _OF_BEFORE:
        section = decisive[path[0]] if path else decisive
        if section[last] == _OF_BEFORE[*path, last] or (chosen and path == ["space"]):  # as where there was no such key
            del section[last]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _spell_out(values: dict[Any, Any], source: str) -> None:
    """Write short and long forms as what they stand for, in place: `space: coatnet`, `space: mobilenetv2`, `vocabulary: uninas`,
    `algorithm: {file: ..}`, `objective: {product: [..]}`, `objective: {train: ..}`.
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
    objective = values.get("objective")
    if isinstance(objective, dict) and set(objective) == {"train"}:
        SCHEMA.plain(objective, Any, "objective", source)
        try:
            values["training"] = trained.spelled_out(objective["train"])
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        values["objective"] = trained.TOP1
    elif isinstance(objective, dict):
        SCHEMA.plain(values["objective"], Any, "objective", source)  # no references
        try:
            values["objective"] = spelled(values["objective"])
        except InputError as error:
            raise InputError(f"{source}: {error}") from None


def _section(document: dict[Any, Any], source: str) -> dict[Any, Any]:
    """Find the search within the document: the document itself, or `metadata.search` of a cluster file."""
    if "metadata" not in document:
        return document
    metadata = document["metadata"]
    section = metadata.get("search") if isinstance(metadata, dict) else None
    if not isinstance(section, dict):
        raise InputError(f"{source}: expected the search keys under metadata.search; got {describe(section)}")
    return section
