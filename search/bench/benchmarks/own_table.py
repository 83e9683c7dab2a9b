"""Anybody's table of trained networks: which column is what, what each row's network is, and its mean accuracy.

network,accuracy,seed,family
resnet.json,52.7,1,convolution          a file beside the table, or a folder of a run
coatnet,49.9,1,hybrid                   a preset, or a published network by timm's name
nasbench201:|nor_conv_3x3~0|+...        a point of a space, SPACE:TEXT
timm:resnet18.a1_in1k,71.5              a model of timm
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

import uninas
from search.bench.benchmarks.accuracy_table import check_percent, check_rows, doubts_of_unit, read_csv
from uninas.errors import InputError
from uninas.spaces import SPACES

NETWORKS = ("architecture", "network", "model", "file")
"""Columns that may name a network; the first that is there does."""

_ACCURACIES = ("acc", "top1", "top-1")  # what the name of a column of accuracies holds
_TIMM = "timm:"
_CLASSES = 1000  # of presets and timm's models, where no file says how many


@dataclass(frozen=True)
class Columns:
    """What a person says of the table; None for what its header says."""

    accuracy: str | None = None
    family: str | None = None
    classes: int | None = None
    size: int | None = None


@dataclass(frozen=True)
class OwnTable:
    """A table that was read.

    Attributes:
        networks: columns index, network, accuracy (percent, mean of its trainings), source, definition, channels, height, width,
            and family where there are families.
        accuracy: the column of accuracies.
        classes: outputs of every network.
        warnings: what a person should know about it.
    """

    networks: pandas.DataFrame
    accuracy: str
    classes: int
    warnings: tuple[str, ...]


def read_table(path: Path, columns: Columns) -> OwnTable:
    """Read a table of trained networks, and every architecture that it names.

    Raises:
        InputError: of the table, with its first bad line; of an architecture; no one column of accuracies, or number of classes.
    """
    if path.is_dir():
        raise InputError(f"{path}: expected a table of trained networks (CSV); got a folder: name the file in it")
    table = read_csv(path, (), "a table of trained networks")
    named = next((name for name in NETWORKS if name in table.columns), None)
    if named is None:
        raise InputError(f"{path}: expected a column {' or '.join(NETWORKS)}; got {', '.join(map(str, table.columns))}")
    check_rows(path, table, table[named].isna(), named, "a network in each row")
    column = _accuracy(path, table, columns.accuracy)
    accuracy = pandas.to_numeric(table[column], errors="coerce")
    check_rows(path, table, ~accuracy.between(0, 100), column, "an accuracy in percent, 0 to 100")
    check_percent(path, column, accuracy)
    trainings = [named, "seed"] if "seed" in table.columns else [named]
    once = "each network once with a seed" if "seed" in table.columns else "each network once, or a column seed"
    check_rows(path, table, table.duplicated(trainings), named, once)
    rows = pandas.DataFrame({"network": table[named].astype(str), "accuracy": accuracy})
    family = columns.family or ("family" if "family" in table.columns else None)
    for name in ("size", "classes"):
        if name in table.columns and getattr(columns, name) is None:
            numbers = pandas.to_numeric(table[name], errors="coerce")
            check_rows(path, table, ~(numbers.between(1, 65_536) & (numbers % 1 == 0)), name, "a whole number, 1 to 65536")
            rows[name] = numbers.astype(int)
    if family is not None:
        if family not in table.columns:
            raise InputError(f"{path}: --family: expected one of its columns, {', '.join(table.columns)}; got '{family}'")
        check_rows(path, table, table[family].isna(), family, "a family in each row")
        rows["family"] = table[family].astype(str)
    warnings = doubts_of_unit(path, column, accuracy, 1.0)
    first, repeated = rows.drop_duplicates("network"), int(rows["network"].duplicated().sum())
    for name in [name for name in ("family", "size", "classes") if name in rows]:
        other = rows[name] != rows["network"].map(first.set_index("network")[name])
        check_rows(path, rows, other, name, "one value for all trainings of a network")
    if repeated:
        several = rows[rows["network"].duplicated(keep=False)].groupby("network")["accuracy"]
        widest = float((several.max() - several.min()).max())
        warnings.append(f"{path}: {several.ngroups} networks were trained more than once, up to {widest:.2g} apart: means count")
    found = _defined(path, table, first, named, columns)
    means = rows.groupby("network")["accuracy"].mean()
    found.insert(0, "index", range(len(found)))
    found["accuracy"] = found["network"].map(means)
    return OwnTable(found.drop(columns="classes"), column, _one_number(path, found, columns.classes), tuple(warnings))


def _accuracy(path: Path, table: pandas.DataFrame, asked: str | None) -> str:
    """Find the column of accuracies: the one asked for, the one of that name, or the only one that is called like it."""
    if asked is not None:
        if asked not in table.columns:
            raise InputError(f"{path}: --accuracy: expected one of its columns, {', '.join(table.columns)}; got '{asked}'")
        return asked
    if "accuracy" in table.columns:
        return "accuracy"
    likely = [name for name in table.columns if any(word in str(name).lower() for word in _ACCURACIES)]
    if len(likely) != 1:
        found = f"several: {', '.join(likely)}" if likely else f"only {', '.join(map(str, table.columns))}"
        raise InputError(f"{path}: expected a column accuracy; got {found}: --accuracy names the column")
    return str(likely[0])


def _defined(path: Path, table: pandas.DataFrame, rows: pandas.DataFrame, named: str, columns: Columns) -> pandas.DataFrame:
    """Find out what each network is: rows of network, source, definition, channels, height, width, classes (0: any), family."""
    found, wrong = [], dict[int, str]()
    for place, row in zip(rows.index, rows.to_dict("records"), strict=True):
        try:
            found.append({"network": row["network"], **_network(row["network"], path.parent)})
        except InputError as error:
            wrong[place] = str(error)
            continue
        side = columns.size or row.get("size")
        if side is not None:
            found[-1] |= {"height": int(side), "width": int(side)}
        found[-1]["classes"] = int(row.get("classes") or found[-1]["classes"])
        if "family" in row:
            found[-1]["family"] = row["family"]
    if wrong:
        marked = pandas.Series([place in wrong for place in table.index], index=table.index)
        check_rows(path, table, marked, named, f"a network ({next(iter(wrong.values()))})")
    return pandas.DataFrame(found)


def _network(name: str, folder: Path) -> Mapping[str, Any]:
    """Say what builds a network, and from what; files lie in `folder`, which the table is in.

    Raises:
        InputError: there is no such network.
    """
    if name.startswith(_TIMM):
        return _timm(name.removeprefix(_TIMM))
    made_by_hand = name in {*uninas.PRESETS, *uninas.ZOO}
    space = name.partition(":")[0] if ":" in name else ""
    architecture = uninas.canonicalise(uninas.load(name if made_by_hand or space in SPACES else folder / name))
    height, width = architecture.input_size
    return {
        "source": "architecture",
        "definition": uninas.to_text(architecture),
        "channels": architecture.in_channels,
        "height": height,
        "width": width,
        "classes": 0 if made_by_hand else architecture.classes,
    }


def _timm(name: str) -> Mapping[str, Any]:
    from search.bench.scoring.timm_networks import describe  # timm: only where a table names one of its models

    known = describe(name)
    if known is None:
        raise InputError(f"expected a pretrained model of timm with its tag, such as resnet18.a1_in1k; got '{name}'")
    channels, height, width = known.input_shape
    size = {"channels": channels, "height": height, "width": width}
    return {"source": "timm", "definition": name, **size, "classes": 0}


def _one_number(path: Path, networks: pandas.DataFrame, asked: int | None) -> int:
    """Find how many classes the networks have: as asked, as their files say, or those of ImageNet."""
    if asked is not None:
        return asked
    known = networks[networks["classes"] > 0].drop_duplicates("classes")
    if len(known) > 1:
        two = " and ".join(f"{row['classes']} ({row['network']})" for row in known.head(2).to_dict("records"))
        raise InputError(f"{path}: expected one number of classes; got {two}: --classes N gives all networks N")
    return int(known["classes"].iloc[0]) if len(known) else _CLASSES
