"""The accuracies of NAS-Bench-201 as a person brings them: read, checked, never repaired."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy
import pandas

from uninas.errors import InputError
from uninas.spaces import nasbench201

TABLE = "nb201_accuracies.csv"
PUBLISHED = "nb201_zero_cost_scores_9445.csv"
DATASETS = ("cifar10", "cifar100", "imagenet16_120")
_COLUMNS = ("index", "arch_str", *DATASETS)


@dataclass(frozen=True)
class Population:
    """The networks of a benchmark that a run may score, sorted by index.

    Attributes:
        table: columns index, network, accuracy (percent).
        digest: SHA-256 of indices and networks; the accuracies are not in it, no score depends on them.
        warnings: what a person should know about the table.
    """

    table: pandas.DataFrame
    digest: str
    warnings: tuple[str, ...] = ()


def population_of(table: pandas.DataFrame, warnings: tuple[str, ...] = ()) -> Population:
    """Make a population of a table with columns index, network, accuracy."""
    ordered = table[["index", "network", "accuracy"]].sort_values("index").reset_index(drop=True)
    names = "\n".join(f"{index} {name}" for index, name in zip(ordered["index"], ordered["network"], strict=True))
    return Population(ordered, hashlib.sha256(names.encode()).hexdigest(), warnings)


def read_nasbench201(folder: Path, dataset: str, *, all_forms: bool = False) -> Population:
    """Read FOLDER/nb201_accuracies.csv.

    Args:
        folder: the folder, or the file itself.
        dataset: one of `DATASETS`.
        all_forms: every architecture, in stored form, instead of the reachable ones (`nasbench201.is_reachable`).

    Raises:
        InputError: no such file, no table, missing columns, an empty table, names that are no cell, an index or architecture
            that occurs twice, accuracies that are missing, no number or outside 0 .. 100: the count, and the first line.
    """
    if dataset not in DATASETS:
        raise InputError(f"--dataset: expected one of {', '.join(DATASETS)}; got '{dataset}'")
    path = folder / TABLE if folder.is_dir() else folder
    table = read_csv(path, _COLUMNS)
    _refuse(path, table, ~table["arch_str"].map(_is_cell), "arch_str", "a cell such as |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
    index = pandas.to_numeric(table["index"], errors="coerce")
    _refuse(path, table, index.isna() | (index % 1 != 0) | (index < 0), "index", "a whole number")
    _refuse(path, table, index.duplicated(), "index", "each index once")
    _refuse(path, table, table["arch_str"].duplicated(), "arch_str", "each architecture once")
    accuracy = pandas.to_numeric(table[dataset], errors="coerce")
    _refuse(path, table, ~accuracy.between(0, 100), dataset, "an accuracy in percent, 0 to 100")
    warnings = []
    if accuracy.max() <= 1:
        warnings.append(f"{path}: the largest {dataset} accuracy is {accuracy.max():g}: are these fractions? Percent is expected")
    networks = pandas.DataFrame({"index": index.astype("int64"), "network": table["arch_str"], "accuracy": accuracy})
    if not all_forms:
        reachable = networks["network"].map(nasbench201.is_reachable)
        warnings += _doubts(path, table, reachable)
        networks = networks[reachable]
    if networks.empty:
        raise InputError(f"{path}: expected at least one reachable architecture among {len(table)}; got none")
    return population_of(networks, tuple(warnings))


def _is_cell(text: object) -> bool:
    try:
        nasbench201.parse_cell(str(text))
    except InputError:
        return False
    return True


def _doubts(path: Path, table: pandas.DataFrame, reachable: pandas.Series) -> list[str]:
    """Compare with a column `reachable`, where the table has one: the rule decides, a difference is said."""
    if "reachable" not in table.columns:
        return []
    different = int((pandas.to_numeric(table["reachable"], errors="coerce").fillna(-1) != reachable.astype(int)).sum())
    return [f"{path}: {different} values of column reachable differ from the rule, which decides"] if different else []


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


def _refuse(path: Path, table: pandas.DataFrame, wrong: pandas.Series, column: str, expected: str) -> None:
    if wrong.any():
        first = int(wrong.to_numpy().argmax())
        raise InputError(
            f"{path}: {column}: expected {expected}; {int(wrong.sum())} of {len(table)} rows are otherwise, the first is line "
            f"{first + 2}: '{table[column].iloc[first]}'"
        )


def sample(population: Population, count: int | None, seed: int) -> pandas.DataFrame:
    """Draw `count` networks, or all (None), in the order of one permutation that `seed` decides.

    A larger sample begins with every smaller one; so does a run that is cut off, whose networks are then still a sample.

    Raises:
        InputError: fewer networks than `count`.
    """
    table = population.table
    if count is not None and count > len(table):
        raise InputError(f"--sample: expected at most the {len(table)} networks of the population; got {count}")
    return table.iloc[numpy.random.default_rng(seed).permutation(len(table))[:count]].reset_index(drop=True)
