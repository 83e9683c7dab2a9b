"""Tables of trained accuracies as a person brings them: read, checked, never repaired."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy
import pandas

from uninas.errors import InputError
from uninas.files.tables import read_table

_BELOW = 0.99
"""Share of chance that is not below it: tables round."""


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


def parsed(path: Path) -> pandas.DataFrame:
    """Read any table, see `read_table`. Raises ValueError and OSError as that does."""
    found = read_table(path)
    return pandas.read_csv(io.StringIO(found.text), sep=found.separator, decimal=found.decimal, index_col=False)


def read_csv(path: Path, columns: tuple[str, ...], what: str = "a table of accuracies") -> pandas.DataFrame:
    """Read a table that must have `columns` and at least one row; errors call it `what`.

    Cells are separated by commas, semicolons or tabs, with a byte-order mark or without.

    Raises:
        InputError: no such file, no text, no table, a column twice, rows of another length, missing columns, no rows.
    """
    try:
        table = parsed(path)
    except FileNotFoundError:
        raise InputError(f"{path}: expected {what} (CSV); no such file") from None
    except (OSError, ValueError) as error:  # pandas' own are among them
        raise InputError(f"{path}: expected {what} (CSV); {' '.join(str(error).split())}") from None
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


def check_numbers(path: Path, table: pandas.DataFrame, columns: Iterable[str]) -> None:
    """Make the columns that are there numbers, in place; an empty cell is a missing one.

    Raises:
        InputError: cells that are no numbers; as `check_rows`.
    """
    for column in columns:
        if column in table.columns:
            numbers = pandas.to_numeric(table[column], errors="coerce")
            check_rows(path, table, numbers.isna() & table[column].notna(), column, "numbers")
            table[column] = numbers


def doubts_of_unit(path: Path, column: str, accuracy: pandas.Series, chance: float) -> list[str]:
    """Say where accuracies may be fractions beside percent: no trained network is far below chance.

    Args:
        path, column: of the accuracies, for the message.
        accuracy: in percent.
        chance: in percent, that of guessing.
    """
    below = accuracy < _BELOW * chance
    if not below.any():
        return []
    first = int(below.to_numpy().argmax())
    return [
        f"{path}: {int(below.sum())} of {len(accuracy)} {column} accuracies are below chance ({chance:.3g}%), the first is line "
        f"{first + 2}: {accuracy.iloc[first]:g}: are these fractions beside percent? Ranks of such a table mean nothing"
    ]


def check_percent(path: Path, column: str, accuracy: pandas.Series) -> None:
    """Reject fractions: nDCG's gain is 2 to the power of percent, and of numbers up to 1 it is .99 for any order.

    Raises:
        InputError: no accuracy is above 1.
    """
    if accuracy.max() <= 1:
        raise InputError(f"{path}: {column}: expected accuracies in percent; got fractions, the largest is {accuracy.max():g}")


def finite(measure: pandas.Series) -> pandas.Series:
    """Say of each cell whether it is a finite number."""
    return measure.notna() & ~numpy.isinf(measure)


def stretched(path: Path, column: str, measure: pandas.Series) -> pandas.Series:
    """Map a measure that is no percentage to 0 (the least of the table) to 100: nDCG's gain is 2 to the power of percent.

    Ranks stay as they are. Missing cells stay missing.

    Raises:
        InputError: all networks have the same.
    """
    least, most = float(measure.min()), float(measure.max())
    if least == most:
        raise InputError(f"{path}: {column}: expected numbers that differ; all of them are {least:g}")
    found: pandas.Series = (measure - least) * (100 / (most - least))
    return found
