"""Records of trained networks: read, checked, and made the population of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pandas

from search.bench.benchmarks.accuracy_table import Population, check_percent, doubts_of_unit, population_of
from search.bench.benchmarks.of_space import Trained
from uninas.analysis.cost import cost
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.spaces import SPACES, architecture_of

_COMPARED = 48
"""Networks whose published counts are compared with ours, spread over all of them: some seconds, and enough to see a rule."""


@dataclass(frozen=True)
class Record:
    """One training of one network.

    Attributes:
        where: of the record, for a message: entry 3.
        network: SPACE:TEXT.
        accuracy: in percent.
        counts: what the file counts of the network, by our names `params` and `macs`, without what our network leaves out.
    """

    where: str
    network: str
    accuracy: float
    counts: Mapping[str, int]


def read_records(path: Path, expected: str, most: int) -> Any:
    """Read a JSON file of at most `most` bytes. Raises InputError, which says that `expected` was."""
    try:
        return read_json(path, most)
    except FileNotFoundError:
        raise InputError(f"{path}: expected {expected}; no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected {expected}; {' '.join(str(error).split())}") from None


def part(record: Any, name: str, kind: type | tuple[type, ...], expected: str) -> Any:
    """Return a value of a JSON mapping. Raises InputError where it is missing or another kind."""
    value = record.get(name) if isinstance(record, Mapping) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{name}: expected {expected}, got {_shown(value)}")
    return value


def percent(value: float, name: str) -> float:
    """Return an accuracy. Raises InputError where it is not between 0 and 100."""
    if not 0 <= value <= 100:  # NaN is not, either
        raise InputError(f"{name}: expected an accuracy or an error in percent, 0 to 100, got {value}")
    return float(value)


def count_of(record: Mapping[str, Any], name: str) -> int | None:
    """Return a count that a record may have."""
    value = record.get(name)
    whole = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value == int(value)
    return int(value) if whole else None  # type: ignore[arg-type]


def population(records: Sequence[Record], source: Path, trained: Trained, warnings: Sequence[str]) -> Population:
    """Make a population of records; of a network that was trained several times, the mean accuracy counts.

    Its warnings: those given, accuracies below chance, repeated trainings, and counts that differ from ours.

    Raises:
        InputError: no records, or accuracies that are fractions.
    """
    if not records:
        raise InputError(f"{source}: expected a trained network; got none{': ' + warnings[0] if warnings else ''}")
    table = pandas.DataFrame({"network": [r.network for r in records], "accuracy": [r.accuracy for r in records]})
    check_percent(source, trained.column, table["accuracy"])
    told = [*warnings, *doubts_of_unit(source, trained.column, table["accuracy"], 100 / trained.classes)]
    means = table.groupby("network", sort=False)["accuracy"].mean().reset_index()
    if len(means) < len(table):
        told.append(f"{source}: {len(table)} trainings of {len(means)} networks: the mean of a network's accuracies counts")
    told += differing_counts(records, source, trained)
    return population_of(means.assign(index=range(len(means))), source, warnings=tuple(told))


def differing_counts(records: Sequence[Record], source: Path, trained: Trained) -> list[str]:
    """Compare the counts of some networks, spread over all, with ours: a line for each kind of count that differs in any."""
    chosen = [records[place] for place in sorted({*numpy.linspace(0, len(records) - 1, _COMPARED).astype(int).tolist()})]
    wrong: dict[str, list[str]] = {}
    compared: dict[str, int] = {}
    for record in chosen:
        if record.counts:
            space, _, text = record.network.partition(":")
            side = trained.side
            figures = cost(architecture_of(SPACES[space], text, trained.classes, (side, side)))
            for name, theirs in record.counts.items():
                ours: int = getattr(figures, name)
                compared[name] = compared.get(name, 0) + 1
                if ours != theirs:
                    wrong.setdefault(name, []).append(f"{record.where} has {theirs:,} beside our {ours:,}")
    return [
        f"{source}: {name} of {len(lines)} of {compared[name]} compared networks differ from ours, the first: {lines[0]}"
        for name, lines in wrong.items()
    ]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
