"""Combinations of raw scores in words: what a configuration may say, the one line that it is stored as, and the objective of it.

In a configuration                               stored and shown as
    objective: {product: [jacov, flops]}         jacov x flops
    objective: {mean: [jacov, [aleph, vkdnw]]}   mean(jacov, (aleph, vkdnw))
    objective: {weighted: {jacov: 1, flops: 0.5}}
                                                 1 jacov + 0.5 flops
    objective: {file: runs/aggregate/choose.json}
                                                 what `uninas bench choose` found, as one of the above
A column is a raw score, or a pair that orders by its first score and, among equals, by its second one. A named objective of one
column, such as vkdnw_single, stands for its column. A weighted combination is the sum over its columns of weight x ln(rank).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from search.ranking.ranks import Combine
from uninas.errors import InputError
from uninas.files.reading import read_json

__all__ = ["CHOICE", "FORMS", "Column", "Combination", "as_mapping", "from_mapping", "parse", "spelled"]

FORMS = ("product", "mean", "weighted", "file")
"""The keys that a mapping may have, one of them."""

CHOICE = "uninas-bench-choice"
"""The format of what `uninas bench choose` writes."""

Column = tuple[str, ...]
Named = Mapping[str, tuple[Column, ...]]
"""The columns of the named objectives."""

_NAME = r"[A-Za-z_]\w*"
_COLUMN = rf"(?:{_NAME}|\(\s*{_NAME}\s*,\s*{_NAME}\s*\))"
_NUMBER = r"\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_PRODUCT = re.compile(rf"{_COLUMN}(?:\s+x\s+{_COLUMN})*", re.ASCII)
_MEAN = re.compile(rf"mean\(\s*{_COLUMN}(?:\s*,\s*{_COLUMN})*\s*\)", re.ASCII)
_WEIGHTED = re.compile(rf"{_NUMBER}\s+{_COLUMN}(?:\s+\+\s+{_NUMBER}\s+{_COLUMN})*", re.ASCII)

_EXPECTED = (
    "a name, or {product: [..]}, {mean: [..]} or {weighted: {name: number, ..}} of raw scores, or {file: what bench choose wrote}"
)


class Combination(NamedTuple):
    """A combination of raw scores: its name in one line, its columns, and how their ranks are combined."""

    name: str
    columns: tuple[Column, ...]
    combine: Combine


def spelled(value: Any, named: Named) -> str:
    """Write what a configuration says of its objective, a name or a mapping, as the one line that is stored.

    Raises:
        InputError: it is neither, a file cannot be read, or its columns are none.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in FORMS:
        _reject(_EXPECTED, f"the keys {', '.join(map(str, value)) or 'none'}" if isinstance(value, Mapping) else repr(value))
    form, content = next(iter(value.items()))
    return _from_file(content, named) if form == "file" else from_mapping(value, named).name


def from_mapping(value: Mapping[str, Any], named: Named) -> Combination:
    """Read {product: [..]}, {mean: [..]} or {weighted: {..}}.

    Raises:
        InputError: its columns are none, a weight is no number above 0, or a column is given twice.
    """
    form, content = next(iter(value.items()))
    combine: Combine = form
    if form == "weighted":
        weights = _weights(content)
        columns = tuple(_column(name, named) for name in weights)
        combine = tuple(weights.values())
        name = " + ".join(f"{weight:g} {_shown(column)}" for column, weight in zip(columns, combine, strict=True))
    else:
        if not isinstance(content, Sequence) or isinstance(content, str) or not content:
            _reject(f"a list of raw scores behind {form}", repr(content))
        columns = tuple(_column(one, named) for one in content)
        listed = [_shown(column) for column in columns]
        name = " x ".join(listed) if form == "product" else f"mean({', '.join(listed)})"
    twice = next((column for place, column in enumerate(columns) if column in columns[:place]), None)
    if twice is not None:
        _reject("each column once", f"{_shown(twice)} twice")
    return Combination(name, columns, combine)


def as_mapping(columns: Sequence[Column], combine: Combine) -> dict[str, Any]:
    """Write a combination as the mapping that `from_mapping` reads; JSON data."""
    if isinstance(combine, str):
        return {combine: [column[0] if len(column) == 1 else list(column) for column in columns]}
    return {"weighted": {_shown(column): weight for column, weight in zip(columns, combine, strict=True)}}


def parse(text: str, named: Named) -> Combination:
    """Read what `spelled` wrote. A single name is a raw score.

    Raises:
        InputError: it is no such line.
    """
    text = text.strip()
    if _MEAN.fullmatch(text):
        return from_mapping({"mean": [_pair(column) for column in re.findall(_COLUMN, text[len("mean(") : -1])]}, named)
    if _PRODUCT.fullmatch(text):
        return from_mapping({"product": [_pair(column) for column in re.split(r"\s+x\s+", text)]}, named)
    if _WEIGHTED.fullmatch(text):
        terms = [term.split(None, 1) for term in re.split(r"\s+\+\s+", text)]
        return from_mapping({"weighted": {column: float(weight) for weight, column in terms}}, named)
    _reject(_EXPECTED, f"'{text[:80]}'")


def _pair(text: str) -> str | list[str]:
    names = re.findall(_NAME, text, re.ASCII)
    return names if text.startswith("(") else str(names[0])


def _column(value: Any, named: Named) -> Column:
    if isinstance(value, str) and re.fullmatch(_COLUMN, value.strip(), re.ASCII):
        value = _pair(value.strip())
    if isinstance(value, str):
        if not re.fullmatch(_NAME, value, re.ASCII):
            _reject("names of raw scores as columns, or pairs of them", f"'{value}'")
        if value not in named:
            return (value,)
        if len(named[value]) > 1:
            _reject("raw scores as columns", f"'{value}', which is a combination itself")
        return named[value][0]
    if not isinstance(value, Sequence) or len(value) != 2 or not all(isinstance(name, str) for name in value):
        _reject("names of raw scores as columns, or pairs of them", repr(value))
    return tuple(value)


def _weights(content: Any) -> dict[str, float]:
    if not isinstance(content, Mapping) or not content:
        _reject("a mapping of raw scores to weights behind weighted", repr(content))
    found = {}
    for name, weight in content.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:
            _reject(f"a weight above 0 for {name}", repr(weight))
        found[str(name)] = float(f"{weight:g}")  # what its name says
    return found


def _shown(column: Column) -> str:
    return column[0] if len(column) == 1 else f"({', '.join(column)})"


def _from_file(name: Any, named: Named) -> str:
    """Read the objective of a file: what `uninas bench choose` wrote, or a mapping of one of the other forms. JSON."""
    if not isinstance(name, str):
        _reject("the path of a JSON file behind file", repr(name))
    path = Path(name)
    path = path / "choose.json" if path.is_dir() else path
    try:
        data = read_json(path)
    except FileNotFoundError:
        _reject("what `uninas bench choose` writes", f"{path}, which does not exist")
    except (OSError, ValueError) as error:
        _reject(f"what `uninas bench choose` writes (JSON) in {path}", str(error))
    if isinstance(data, dict) and data.get("format") == CHOICE:
        try:
            data = data["objective"] if "objective" in data else {"product": data["chosen"]["components"]}
        except (KeyError, TypeError):
            _reject("what `uninas bench choose` writes", f"{path} without a choice")
    if isinstance(data, dict) and "file" not in data:
        return spelled(data, named)
    _reject(f"an objective in {path}", "something else")


def _reject(expected: str, got: str) -> NoReturn:
    raise InputError(f"objective: expected {expected}; got {got}")
