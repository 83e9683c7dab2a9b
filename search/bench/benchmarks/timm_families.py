"""Real ImageNet networks: families of timm's pretrained models that one recipe trained, and which of them a run scores."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas

from search.bench.benchmarks.accuracy_table import check_percent, check_rows, doubts_of_unit, read_csv
from uninas.errors import InputError

MIN_MEMBERS = 10
"""A family has at least so many members: fewer say nothing about a ranking."""

CLASSES = 1000
_COLUMNS = ("model", "img_size", "top1")
_NO_RECIPE = ("in1k", "")  # tags that name a data set, or nothing: many recipes carry them
FIRST = "regnet.pycls_in1k"

Note = Callable[[str], None]


def read_results(path: Path, note: Note) -> pandas.DataFrame:
    """Read a table of results such as timm's results-imagenet.csv.

    Returns:
        Columns network, accuracy (top-1 in percent), size (pixels), family, tag: one row a model, the one at the size that the
        model was trained at. Models that this timm does not know, and those without a row at that size, are counted and left out.

    Raises:
        InputError: no such file, missing columns, a model twice at one size, an accuracy or size that cannot be.
    """
    from search.bench.scoring.timm_networks import describe

    table = read_csv(path, _COLUMNS)
    table["model"] = table["model"].astype(str)
    for column, expected, low, high in (("top1", "an accuracy in percent", 0, 100), ("img_size", "pixels", 1, 10_000)):
        numbers = pandas.to_numeric(table[column], errors="coerce")
        check_rows(path, table, ~numbers.between(low, high), column, f"{expected}, {low} to {high}")
        table[column] = numbers
    check_percent(path, "top1", table["top1"])
    for doubt in doubts_of_unit(path, "top1", table["top1"], 1.0):  # chance is 0.1%, which fractions are above
        note(f"warning: {doubt}")
    twice = table.duplicated(["model", "img_size"])
    if twice.any():
        line = int(twice.to_numpy().argmax())
        raise InputError(
            f"{path}: expected each model once at a size; {int(twice.sum())} of {len(table)} rows repeat one, the first is line "
            f"{line + 2}: {table['model'].iloc[line]} at {table['img_size'].iloc[line]}"
        )
    described = {name: describe(name) for name in table["model"].unique()}
    unknown = [name for name, found in described.items() if found is None]
    if unknown:
        note(f"{len(unknown)} of {len(described)} models are unknown to this timm, the first is {unknown[0]}")
    known = {name: found for name, found in described.items() if found is not None}
    table = table[table["model"].isin(known)]
    own = table["img_size"] == table["model"].map(lambda name: known[name].input_shape[1])
    missing = set(table["model"]) - set(table["model"][own])
    if missing:
        note(f"{len(missing)} models have no row at the size they were trained at, the first is {min(missing)}")
    table = table[own]
    return pandas.DataFrame(
        {
            "network": table["model"],
            "accuracy": table["top1"],
            "size": table["img_size"].astype(int),
            "family": [family_of(name, known[name].module) for name in table["model"]],
            "tag": [known[name].tag for name in table["model"]],
        }
    ).reset_index(drop=True)


def family_of(name: str, module: str) -> str:
    """Name the family of a model: timm's module and the recipe's tag, such as "regnet.pycls_in1k".

    A tag such as "in1k" names a data set, and stands behind the results of many recipes: there the models' own first word, two
    where the first is "tf", takes the module's place: "tf_efficientnet.in1k".
    """
    architecture, _, tag = name.partition(".")
    if tag not in _NO_RECIPE:
        return f"{module}.{tag}"
    words = re.match(r"(tf_)?[a-z]+", architecture)
    return f"{words[0] if words else architecture}.{tag or 'untagged'}"


def choose(
    results: pandas.DataFrame, *, families: str | None, max_macs: float, size: int | None, note: Note, count: Callable[..., int]
) -> pandas.DataFrame:
    """Choose the networks of a run: families of at least `MIN_MEMBERS` members that are small enough.

    Args:
        results: see `read_results`.
        families: a regular expression that a family's name must hold; None for all.
        max_macs: multiply-accumulates of one sample that a network may cost.
        size: pixels of every input; None for each network's own.
        note: receives what is left out, with counts.
        count: `timm_networks.macs`; what it raises leaves a network out.

    Returns:
        Columns index, network, accuracy, size, family, tag; index counts from 0 in the order of family and name, the family of
        RegNets trained by pycls first.

    Raises:
        InputError: no regular expression, or no family that it fits has members enough.
    """
    try:
        pattern = re.compile(families or "")
    except re.error as error:
        raise InputError(f"--families: expected a regular expression; got '{families}': {error}") from None
    members = results.groupby("family")["network"].transform("size")
    large = results[members >= MIN_MEMBERS]
    fitting = large[[pattern.search(family) is not None for family in large["family"]]]
    if fitting.empty:
        names = ", ".join(sorted(large["family"].unique())) or "none"
        raise InputError(f"--families: expected to match one of the families of {MIN_MEMBERS} or more: {names}; got '{families}'")
    kept, costly, broken = [], 0, list[str]()
    note(f"counting the operations of {len(fitting)} networks")
    for row in fitting.to_dict("records"):
        side = int(row["size"]) if size is None else size
        try:
            cost = count(row["network"], classes=CLASSES, input_shape=(3, side, side))
        except Exception as error:  # foreign code: whatever it raises leaves this network out, and is said
            broken.append(f"{row['network']} ({type(error).__name__}: {' '.join(str(error).split())[:80]})")
            continue
        if cost > max_macs:
            costly += 1
        else:
            kept.append(row)
    if costly:
        note(f"{costly} networks left out: more than {max_macs:g} MACs (--max-macs)")
    if broken:
        note(f"{len(broken)} networks left out that cannot be built or counted: {broken[0]}")
    chosen = pandas.DataFrame(kept, columns=list(results.columns))
    sizes = chosen.groupby("family")["network"].transform("size")
    small = sorted(chosen["family"][sizes < MIN_MEMBERS].unique())
    if small:
        note(f"{len(small)} families left out: fewer than {MIN_MEMBERS} members remain: {', '.join(small)}")
    chosen = chosen[sizes >= MIN_MEMBERS]
    if chosen.empty:
        raise InputError(f"expected a family with {MIN_MEMBERS} members of at most {max_macs:g} MACs (--max-macs); there is none")
    chosen = chosen.assign(first=chosen["family"] != FIRST).sort_values(["first", "family", "network"]).drop(columns="first")
    chosen = chosen.reset_index(drop=True)
    chosen.insert(0, "index", range(len(chosen)))
    return chosen
