"""Where a network of a run came from: the edits in the run's journal that lead from its start to it.

The journal is read as the file that it is (docs/guides/search.md): a line a candidate, with its parent's digest and the edit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uninas.canonical import canonicalise
from uninas.edits import Edit, Limits, Rejection, apply
from uninas.errors import InputError
from uninas.graph import Architecture
from uninas.source import load

_NO_LIMITS = Limits(nodes_per_subblock=1 << 20, blocks_per_stage=1 << 20, smallest_width=1, largest_width=1 << 20)


@dataclass(frozen=True)
class Lineage:
    """The edits of a run that lead from its start, of digest `start`, to one of its networks, in order."""

    start: str
    edits: tuple[Edit, ...]


def lineage(run: Path, digest: str) -> Lineage | None:
    """Where the network of that digest came from; None where the folder has no journal, or the journal no such network.

    Raises InputError for a line that is no record.
    """
    path = run / "journal.jsonl"
    if not path.is_file():
        return None
    made: dict[str, tuple[str | None, Any]] = {}
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith("\n"):
                break  # being written
            try:
                record = json.loads(line)
                if record["kind"] == "candidate":
                    parent, edit = record["parent"], record["edit"]
                    if parent is not None and not isinstance(edit, dict):
                        raise TypeError
                    made.setdefault(record["digest"], (parent, edit))
            except (ValueError, TypeError, KeyError):
                raise InputError(f"{path}, line {number}: expected a record of a search, came {line[:40].strip()!r}") from None
    if digest not in made:
        return None
    steps: list[Edit] = []
    seen = set()
    while digest in made and made[digest][0] is not None and digest not in seen:
        seen.add(digest)
        parent, edit = made[digest]
        steps[:0] = [Edit.from_dict(step) for step in edit.get("edits", [edit])]
        assert parent is not None
        digest = parent
    return Lineage(digest, tuple(steps))


def start_of(run: Path, end: Architecture) -> tuple[Architecture, Lineage]:
    """The network that a run began with, and how it led to `end`, a network of that run.

    The folder says which: start.json, or the preset of config.yaml. It is checked: the journal's edits must lead from it to
    `end`.

    Raises InputError where the folder does not say, or the edits lead elsewhere.
    """
    found = lineage(run, end.digest)
    if found is None:
        raise InputError(f"{run}: expected the folder of a search whose journal has its best network; give two networks instead")
    start = _stored_start(run, end)
    reached = start
    for edit in found.edits:
        child = apply(reached, edit, _NO_LIMITS)
        if isinstance(child, Rejection):
            raise InputError(f"{run}: expected the journal's edits to apply to its start; {edit.kind}: {child.detail}")
        reached = child
    if start.digest != found.start or reached.digest != end.digest:
        raise InputError(f"{run}: expected a start of digest {found.start[:12]}, as in its journal, came {start.digest[:12]}")
    return start, found


def _stored_start(run: Path, end: Architecture) -> Architecture:
    if (run / "start.json").is_file():
        return canonicalise(load(run / "start.json"))
    import yaml

    from uninas.presets import preset

    try:
        space = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["space"]
        name = space["preset"]
        shape = {key: space[key] for key in ("widths", "depths", "stem") if space.get(key)}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise InputError(f"{run}: expected a start.json, or a config.yaml with space.preset; give two networks instead") from None
    return canonicalise(preset(name, classes=end.classes, input_size=end.input_size, **shape))
