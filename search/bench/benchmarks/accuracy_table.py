"""Tables of trained accuracies as a person brings them: read, checked, never repaired."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy
import pandas

from uninas.errors import InputError


@dataclass(frozen=True)
class Published:
    """Scores that others published: a table with a column `index`, and our label -> its column there."""

    table: pandas.DataFrame
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Population:
    """The networks of a benchmark that a run may score, sorted by index.

    Attributes:
        table: columns index, network, accuracy (percent), and what else the benchmark knows of a network.
        source: file that they were read from.
        digest: SHA-256 of indices and networks; the accuracies are not in it, no score depends on them.
        warnings: what a person should know about the table.
        published: scores of the same networks to compare ours with; None where there are none.
        drawn: whether a run scores a sample that its seed draws; else all, in the order of the table.
        keep: files that a run folder has from the start, by name: what a resume could not read again.
    """

    table: pandas.DataFrame
    source: Path
    digest: str
    warnings: tuple[str, ...] = ()
    published: Published | None = None
    drawn: bool = True
    keep: Mapping[str, str] = field(default_factory=dict)

    def draw(self, count: int | None, seed: int) -> pandas.DataFrame:
        """Draw `count` networks, or all (None), in the order of one permutation that `seed` decides.

        A larger sample begins with every smaller one; so does a run that is cut off, whose networks are then still a sample.

        Raises:
            InputError: fewer networks than `count`.
        """
        if not self.drawn:
            return self.table
        if count is not None and count > len(self.table):
            raise InputError(f"--sample: expected at most the {len(self.table)} networks of the population; got {count}")
        return self.table.iloc[numpy.random.default_rng(seed).permutation(len(self.table))[:count]].reset_index(drop=True)


def population_of(
    table: pandas.DataFrame,
    source: Path,
    *,
    warnings: tuple[str, ...] = (),
    published: Published | None = None,
    drawn: bool = True,
    keep: Mapping[str, str] | None = None,
) -> Population:
    """Make a population of a table with the columns index, network, accuracy; the other arguments are `Population`'s."""
    ordered = table.sort_values("index").reset_index(drop=True)
    names = "\n".join(f"{index} {name}" for index, name in zip(ordered["index"], ordered["network"], strict=True))
    digest = hashlib.sha256(names.encode()).hexdigest()
    return Population(ordered, source, digest, warnings, published, drawn, keep or {})


def read_csv(path: Path, columns: tuple[str, ...], what: str = "a table of accuracies") -> pandas.DataFrame:
    """Read a table that must have `columns` and at least one row; errors call it `what`.

    Raises:
        InputError: no such file, no text, no table, missing columns, no rows.
    """
    try:
        table = pandas.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"{path}: expected {what} (CSV); no such file") from None
    except (OSError, UnicodeDecodeError, pandas.errors.ParserError, pandas.errors.EmptyDataError) as error:
        raise InputError(f"{path}: expected {what} (CSV); {error}") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(f"{path}: expected columns {', '.join(columns)}; missing: {', '.join(missing)}")
    if table.empty:
        raise InputError(f"{path}: expected at least one row below the header; got none")
    return table


def check_rows(path: Path, table: pandas.DataFrame, wrong: pandas.Series, column: str, expected: str) -> None:
    """Reject a table with wrong rows.

    Raises:
        InputError: says how many, with the first one's line and its value of `column`.
    """
    if wrong.any():
        first = int(wrong.to_numpy().argmax())
        raise InputError(
            f"{path}: {column}: expected {expected}; {int(wrong.sum())} of {len(table)} rows are otherwise, the first is line "
            f"{first + 2}: '{table[column].iloc[first]}'"
        )


def check_percent(path: Path, column: str, accuracy: pandas.Series) -> None:
    """Reject fractions: nDCG's gain is 2 to the power of percent, and of numbers up to 1 it is .99 for any order.

    Raises:
        InputError: no accuracy is above 1.
    """
    if accuracy.max() <= 1:
        raise InputError(f"{path}: {column}: expected accuracies in percent; got fractions, the largest is {accuracy.max():g}")
