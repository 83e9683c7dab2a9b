"""Where a network of a run came from: what in the run's journal leads from its start to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.journal.lines import LineReader
from uninas.canonical import canonicalise
from uninas.edits import Edit, Limits, Rejection, apply
from uninas.errors import InputError
from uninas.files.reading import parse_yaml, read_text
from uninas.graph import Architecture
from uninas.rejections import OVER_BUDGET
from uninas.source import load
from uninas.spaces import SPACES, ChoiceSpace, Genotype
from uninas.spaces.choices import canonical_network
from uninas.text import from_document

_NO_LIMITS = Limits(nodes_per_subblock=1 << 20, blocks_per_stage=1 << 20, smallest_width=1, largest_width=1 << 20)


@dataclass(frozen=True)
class Lineage:
    """What leads to one of a run's networks, in order.

    Attributes:
        start: digest of the network that it began with.
        edits: of the universal graph space.
        sample: the network that it began with, where that was drawn whole and the journal carries it.
        genotypes: of a categorical space, from the first that is not the start to the network's own.
    """

    start: str
    edits: tuple[Edit, ...] = ()
    sample: Architecture | None = None
    genotypes: tuple[Genotype, ...] = ()

    def as_list(self) -> list[dict[str, Any]]:
        """Give the steps as JSON-able data."""
        return [edit.as_dict() for edit in self.edits] + [{"genotype": genotype} for genotype in self.genotypes]


def lineage(run: Path, digest: str) -> Lineage | None:
    """Find where the network of that digest came from; None where the folder has no journal, or the journal no such network.

    Raises:
        InputError: a line is no record.
    """
    path = run / "journal.jsonl"
    if not path.is_file():
        return None
    made = _candidates(path)
    if digest not in made:
        return None
    edits: list[Edit] = []
    genotypes: list[Genotype] = []
    seen = set()
    while digest in made and digest not in seen:
        seen.add(digest)
        parent, edit = made[digest]
        if parent is None:
            break
        if edit is None:
            raise InputError(f"{path}, candidate {digest[:12]}: expected the edit that made it of its parent; there is none")
        if "genotype" in edit:
            genotypes.insert(0, edit["genotype"])
        else:
            steps = edit.get("edits", [edit])
            edits[:0] = [Edit.from_dict(step) for step in steps]
        if "architecture" in edit:  # drawn whole: the parent is one in name only
            sample = canonicalise(from_document(edit["architecture"], f"{path}, sample {digest[:12]}"))
            return Lineage(sample.digest, tuple(edits), sample)
        digest = parent
    return Lineage(digest, tuple(edits), None, tuple(genotypes))


def _candidates(path: Path) -> dict[str, tuple[str | None, Mapping[str, Any] | None]]:
    """Give (parent, edit) of every candidate of a journal, by digest.

    Only these are read, without the journal's dataclasses, which need numpy: `uninas diff` answers at once.
    """
    made: dict[str, tuple[str | None, Mapping[str, Any] | None]] = {}
    reader = LineReader(path)
    with path.open("rb") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break  # being written
            record = reader.read(line)
            try:
                if record["kind"] == "candidate":
                    parent, edit = record["parent"], record["edit"]
                    if parent is not None and not isinstance(edit, dict):
                        raise TypeError
                    made.setdefault(record["digest"], (parent, edit))
            except (ValueError, TypeError, KeyError):
                shown = line[:40].decode("utf-8", "replace").strip()
                raise InputError(f"{path}, line {reader.number}: expected a record of a search; got {shown!r}") from None
    return made


def start_of(run: Path, end: Architecture) -> tuple[Architecture, Lineage]:
    """Find the network that a run began with, and how it led to `end`, a network of that run.

    The folder says which: a sample that its journal carries, start.json, or the preset or published space of config.yaml. It is
    checked: the journal's edits must lead from it to `end`.

    Raises:
        InputError: the folder does not say, or the edits lead elsewhere.
    """
    found = lineage(run, end.digest)
    if found is None:
        raise InputError(f"{run}: expected the folder of a search whose journal has its best network; give two networks instead")
    starts = [found.sample] if found.sample else _stored_starts(run, end)
    start = next((one for one in starts if one.digest == found.start), starts[0])
    reached = start
    for edit in found.edits:
        child = apply(reached, edit, _NO_LIMITS)
        if isinstance(child, Rejection):
            raise InputError(f"{run}: expected the journal's edits to apply to its start; {edit.kind}: {child.detail}")
        reached = child
    if start.digest != found.start:
        raise InputError(f"{run}: expected a start of digest {found.start[:12]}, as in its journal; got {start.digest[:12]}")
    if not found.genotypes and reached.digest != end.digest:
        raise InputError(f"{run}: expected the journal's edits to lead to {end.digest[:12]}, its best; got {reached.digest[:12]}")
    return start, found


def space_of(run: Path) -> ChoiceSpace | None:
    """Give the published categorical space that a run searched; None for another: a user's own is code, which is not run here."""
    return SPACES.get(str(_configured_space(run).get("name")))


def _configured_space(run: Path) -> Mapping[str, Any]:
    """Give `space` of the run's config.yaml; nothing where it does not say."""
    try:
        space = parse_yaml(read_text(run / "config.yaml"))["space"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return space if isinstance(space, dict) else {}


def _stored_starts(run: Path, end: Architecture) -> list[Architecture]:
    """Make what a run began with again, in its order: at least one network."""
    from uninas.networks.catalogue import preset

    space = _configured_space(run)
    found = [canonicalise(load(run / "start.json"))] if (run / "start.json").is_file() else []
    if isinstance(space.get("preset"), str):
        shape = {key: space[key] for key in ("widths", "depths", "stem") if space.get(key)}
        found.append(canonicalise(preset(space["preset"], classes=end.classes, input_size=end.input_size, **shape)))
    found += _fitted(run, space.get("fitted"), end)
    if found:
        return found
    if space.get("file") is not None:
        raise InputError(f"{run}: its space is a Python file, which is not run to compare networks; give two networks instead")
    chosen = space_of(run)
    if chosen is None:
        expected = "a start.json, or a config.yaml with space.preset, space.fitted or a published space.name"
        raise InputError(f"{run}: expected {expected}; give two networks instead")
    genotype = chosen.start() if space.get("start") is None else chosen.parse(str(space["start"]))
    return [canonical_network(chosen, genotype, end.classes, end.input_size)]


def _fitted(run: Path, names: Any, end: Architecture) -> list[Architecture]:
    """Fit presets to the budget of a run's config.yaml; none where that has no list of them."""
    if not isinstance(names, list) or not names:
        return []
    from uninas.networks.fitted import fitted

    try:
        budget = parse_yaml(read_text(run / "config.yaml"))["budget"]
        bounds = {key: int(bound) for key, bound in budget.items() if key in OVER_BUDGET and bound is not None}
    except (KeyError, AttributeError, TypeError, ValueError):
        raise InputError(f"{run / 'config.yaml'}: expected a budget of whole numbers beside space.fitted") from None
    return [canonicalise(fitted(str(name), bounds, classes=end.classes, input_size=end.input_size)) for name in names]
