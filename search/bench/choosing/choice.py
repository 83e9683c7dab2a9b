"""What `uninas bench choose` found, as data: FOLDER/choose.json. A search takes it: `objective: {file: FOLDER/choose.json}`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.bench.judging.aggregates import Comparison, objective
from search.ranking.correlation import Estimate
from search.ranking.expression import CHOICE
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.writing import write_json

FILE = "choose.json"
VERSION = 2
"""1 was of one set of networks, before costs."""


@dataclass(frozen=True)
class Tried:
    """A set of components and what it is worth.

    Attributes:
        components: see `search.bench.judging.aggregates.objective`.
        value: on the half that chooses, see `search.bench.choosing.criterion`; -inf where a figure does not exist.
        cost: CPU-seconds of a network where it is dearest, see `search.bench.choosing.costs`; None where nobody measured it.
        costs: referee -> CPU-seconds of a network there.
        first: its figures on the half that chooses, referee by referee, and their means over sets of networks.
        second: those on the half that reports; empty where it was not reported.
    """

    components: tuple[str, ...]
    value: float
    first: tuple[Comparison, ...]
    second: tuple[Comparison, ...] = ()
    cost: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def above(self) -> int:
        """On how many figures of the second half the interval of the difference is above 0."""
        return sum(one.difference.low > 0 for one in self.second)

    @property
    def below(self) -> int:
        """On how many it is below 0."""
        return sum(one.difference.high < 0 for one in self.second)


@dataclass(frozen=True)
class Split:
    """What another split would have chosen."""

    seed: int
    chosen: Tried


@dataclass(frozen=True)
class Choice:
    """The chosen aggregate.

    Attributes:
        settings: what it was chosen from, on which networks, and how.
        explanation: the aggregate in two sentences.
        chosen: the set, with its figures on both halves.
        single: the best single score.
        frontier: value against cost, the cheapest first: each is worth more than all cheaper ones; empty without costs.
        sizes: the best set of each size.
        runners_up: the next best sets on the first half.
        splits: of other seeds; they decide nothing.
        families: family of the timm run -> how many networks; empty without one.
        within: the figures of the chosen set in each family.
        mean: those of the mean over families, one a metric.
        environment: versions of what judged.
    """

    settings: Mapping[str, Any]
    explanation: str
    chosen: Tried
    single: Tried
    frontier: tuple[Tried, ...] = ()
    sizes: tuple[Tried, ...] = ()
    runners_up: tuple[Tried, ...] = ()
    splits: tuple[Split, ...] = ()
    families: Mapping[str, int] = field(default_factory=dict)
    within: tuple[Comparison, ...] = ()
    mean: tuple[Comparison, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give the data for JSON; a number that does not exist is null."""
        return {
            "format": CHOICE,
            "version": VERSION,
            "settings": dict(self.settings),
            "explanation": self.explanation,
            "objective": objective(self.chosen.components).mapping,
            "chosen": _tried(self.chosen),
            "single": _tried(self.single),
            "frontier": [_tried(one) for one in self.frontier],
            "sizes": [_tried(one) for one in self.sizes],
            "runners_up": [_tried(one) for one in self.runners_up],
            "splits": [{"seed": one.seed, **_tried(one.chosen)} for one in self.splits],
            "families": dict(self.families),
            "within": [_comparison(one) for one in self.within],
            "mean": [_comparison(one) for one in self.mean],
            "environment": dict(self.environment),
        }

    def write(self, folder: Path) -> None:
        """Write FOLDER/choose.json."""
        write_json(folder / FILE, self.as_dict())


def often(choice: Choice) -> dict[str, int]:
    """Count in how many of the splits, the first included, each component was chosen, most often first."""
    chosen = (choice.chosen, *(split.chosen for split in choice.splits))
    return dict(Counter(name for one in chosen for name in one.components).most_common())


def read(folder: Path) -> Choice:
    """Read FOLDER/choose.json.

    Raises:
        InputError: no such file, or not one that this version wrote.
    """
    path = folder / FILE
    try:
        data = read_json(path)
        if data["format"] != CHOICE:
            raise ValueError("it says to be another format")
        if data["version"] != VERSION:
            raise ValueError(
                f"got version {data['version']}: choose again, or read it with the version of this package that wrote it"
            )
        return Choice(
            settings=data["settings"],
            explanation=data["explanation"],
            chosen=_read_tried(data["chosen"]),
            single=_read_tried(data["single"]),
            frontier=tuple(map(_read_tried, data["frontier"])),
            sizes=tuple(map(_read_tried, data["sizes"])),
            runners_up=tuple(map(_read_tried, data["runners_up"])),
            splits=tuple(Split(one["seed"], _read_tried(one)) for one in data["splits"]),
            families=data["families"],
            within=_read_comparisons(data["within"]),
            mean=_read_comparisons(data["mean"]),
            environment=data["environment"],
        )
    except FileNotFoundError:
        raise InputError(f"{folder}: expected what `uninas bench choose` writes, with a {FILE}; there is none") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: expected what `uninas bench choose` writes (JSON), version {VERSION}; {what}") from None


def _tried(one: Tried) -> dict[str, Any]:
    return {
        "components": list(one.components),
        "value": one.value if math.isfinite(one.value) else None,
        "cost": one.cost,
        "costs": dict(one.costs),
        "above": one.above,
        "below": one.below,
        "first": [_comparison(figure) for figure in one.first],
        "second": [_comparison(figure) for figure in one.second],
    }


def _comparison(one: Comparison) -> dict[str, Any]:
    return {
        "where": one.where,
        "metric": one.metric,
        "ours": one.ours.as_dict(),
        "reference": one.reference.as_dict(),
        "difference": one.difference.as_dict(),
    }


def _read_tried(data: Mapping[str, Any]) -> Tried:
    return Tried(
        tuple(data["components"]),
        -math.inf if data["value"] is None else float(data["value"]),
        _read_comparisons(data["first"]),
        _read_comparisons(data["second"]),
        data["cost"],
        data["costs"],
    )


def _read_comparisons(data: Sequence[Mapping[str, Any]]) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(
            one["where"],
            one["metric"],
            _read_estimate(one["ours"]),
            _read_estimate(one["reference"]),
            _read_estimate(one["difference"]),
        )
        for one in data
    )


def _read_estimate(data: Mapping[str, Any]) -> Estimate:
    return Estimate(_number(data["value"]), _number(data["low"]), _number(data["high"]))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
