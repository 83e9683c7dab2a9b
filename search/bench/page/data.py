"""A bench run as its pages see it: results.json and scores.csv, read and checked, never written.

What a run has not measured is absent here and said on the page; what a file says wrongly is an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas

from search.bench.benchmarks.accuracy_table import parsed
from search.bench.judging.judge import AT_BUDGET, RELIABILITY
from search.bench.judging.papers import ABLATIONS, METRICS, Figure, paper_figures
from search.bench.scoring.costs import slowest
from search.ranking.correlation import Estimate
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.run_files import read_run_json

RESULTS, SCORES, COSTS = "results.json", "scores.csv", "costs.json"
KINDS: dict[str, str] = {
    "aggregate": "Aggregates of ranks, training-free",
    "single": "Single proxies",
    "model": "Random forests fitted on known accuracies",
}
"""The kinds of rows and their headings, in the order of the tables."""

_MORE = (AT_BUDGET, RELIABILITY)
"""What not every run has measured."""

_NO_SCORE = ("index", "accuracy", "family", "tag", "size")


@dataclass(frozen=True)
class Row:
    """One proxy, population rank, model or variant on one set of networks.

    Attributes:
        name: of the proxy, or the label of an ablation's row.
        kind: single, aggregate or model.
        metrics: metric -> estimate, for the metrics that were measured; `AT_BUDGET` and `RELIABILITY` are two.
        top: P of nDCG; None where not stated.
        p_value: against random rankings.
        networks: how many were scored.
        failed: reason -> networks without a score.
        seconds: CPU-seconds per network, mean.
        alone: CPU-seconds by itself on the heaviest network (costs.json).
        memory: bytes at the peak, likewise.
        papers: metric -> what the papers print, the figure to compare with first.
    """

    name: str
    kind: str
    metrics: Mapping[str, Estimate]
    top: int | None = None
    p_value: float | None = None
    networks: int | None = None
    failed: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None
    alone: float | None = None
    memory: float | None = None
    papers: Mapping[str, tuple[Figure, ...]] = field(default_factory=dict)

    def place(self, metric: str) -> str:
        """Our interval against the first figure of the papers: inside, above, below; "" where one of the two is missing."""
        figures, ours = self.papers.get(metric, ()), self.metrics.get(metric)
        if not figures or ours is None or not (math.isfinite(ours.low) and math.isfinite(ours.high)):
            return ""
        return figures[0].place(ours.low, ours.high)

    @property
    def kendall(self) -> float:
        """Kendall's tau for sorting: the unmeasured comes last."""
        value = self.metrics["kendall"].value if "kendall" in self.metrics else math.nan
        return value if math.isfinite(value) else -math.inf


@dataclass(frozen=True)
class Family:
    """The rows of one family of networks, trained by one recipe."""

    name: str
    networks: int | None
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Agreement:
    """Spearman correlation of our scores with published ones on the same networks."""

    proxy: str
    published: str
    spearman: Estimate
    networks: int | None


@dataclass(frozen=True)
class Bench:
    """A bench run.

    Attributes:
        name: of the run folder.
        benchmark: nasbench201, timm, or ablation.
        ablation: the ablation's name, "" for other benches.
        dataset, population: whose accuracies, which networks.
        sample: networks drawn; None where not stated.
        seed: of sample, inputs and initial weights; None where not stated.
        settings, environment: as written.
        rows: best Kendall's tau first.
        families: of the timm bench, or those that a table of networks names.
        names, partial: proxy-against-proxy partial correlations with the accuracy taken out; NaN where undefined.
        agreement: with published scores.
        scores: scores.csv, one row per network; None if there is no such file.
        costs: what costs.json says in words; "" where there is no such file.
    """

    name: str
    benchmark: str
    ablation: str
    dataset: str
    population: str
    sample: int | None
    seed: int | None
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    rows: tuple[Row, ...]
    families: tuple[Family, ...] = ()
    names: tuple[str, ...] = ()
    partial: tuple[tuple[float, ...], ...] = ()
    agreement: tuple[Agreement, ...] = ()
    scores: pandas.DataFrame | None = None
    costs: str = ""

    def row(self, name: str) -> Row | None:
        """The row of a proxy."""
        return next((row for row in self.rows if row.name == name), None)

    @property
    def measures(self) -> tuple[str, ...]:
        """The metrics that its tables show: at equal budget too, and the reliability, where a row has them."""
        return (*METRICS, *(metric for metric in _MORE if self.has(metric)))

    def has(self, metric: str) -> bool:
        """Whether a row has that metric."""
        rows = (*self.rows, *(row for family in self.families for row in family.rows))
        return any(metric in row.metrics for row in rows)

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Columns of scores.csv that are scores with more than one finite value, in the order of the rows."""
        if self.scores is None:
            return ()
        found = [
            name
            for name in self.scores.select_dtypes("number").columns
            if name not in _NO_SCORE and "_decile_" not in name and _varies(self.scores[name])
        ]
        order = {row.name: place for place, row in enumerate(self.rows)}
        return tuple(sorted(found, key=lambda name: (order.get(name, len(order)), name)))


def _varies(column: Any) -> bool:
    finite = column[column.map(math.isfinite)]
    return bool(finite.nunique() > 1)


def read_bench(folder: Path) -> Bench:
    """Read a bench run's folder.

    Raises:
        InputError: no results.json, or one of the two files is not what a bench writes; the message says where.
    """
    path = folder / RESULTS
    data = read_run_json(folder, RESULTS, place="the folder of a bench run", content="the results of a bench")
    try:
        return _bench(data, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: expected the results of a bench; {what}") from None


def _bench(data: Mapping[str, Any], folder: Path) -> Bench:
    benchmark, _, variant = str(data.get("benchmark") or "bench").partition(" ")  # "ablation fim_size"
    ablation = str(data.get("ablation") or variant)
    dataset, population = str(data.get("dataset") or ""), str(data.get("population") or "")
    costs = _costs(folder)
    alone = {one["proxy"]: one for one in costs["rows"]} if costs else {}
    rows = [_row(one, dataset, population, ablation, alone.get(one.get("proxy"), {})) for one in data["rows"]]
    if not ablation:  # an ablation keeps the order of its table
        rows.sort(key=lambda row: -row.kendall)
    partial = data.get("partial") or {}
    names = tuple(map(str, partial.get("names", ())))
    matrix = tuple(tuple(_number(cell) for cell in line) for line in partial.get("matrix", ()))
    if len(matrix) != len(names) or any(len(line) != len(names) for line in matrix):
        raise ValueError(f"partial: {len(names)} names need a matrix of as many rows and columns")
    return Bench(
        name=folder.resolve().name,
        benchmark="ablation" if ablation else benchmark,
        ablation=ablation,
        dataset=dataset,
        population=population,
        sample=data.get("sample"),
        seed=data.get("seed"),
        settings=data.get("settings") or {},
        environment=data.get("environment") or {},
        rows=tuple(rows),
        families=tuple(_family(one) for one in data.get("families") or ()),
        names=names,
        partial=matrix,
        agreement=tuple(_agreement(one) for one in data.get("agreement") or ()),
        scores=_scores(folder / SCORES),
        costs=_costs_in_words(costs) if costs else "",
    )


def _costs(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = read_json(folder / COSTS)
        slowest(found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / COSTS}: expected what `uninas bench costs` writes (JSON); {error}") from None
    return found


def _costs_in_words(costs: Mapping[str, Any]) -> str:
    names, ratio = slowest(costs)
    if ratio is None:
        return f"Alone on {costs['network']}, the heaviest network."
    together = costs["together"]["seconds"]
    return (
        f"Alone on {costs['network']}, the heaviest network. All proxies together took {together:.1f} CPU-seconds there: "
        f"{ratio:.2f} times the slowest three alone ({', '.join(names)})."
    )


def _row(data: Mapping[str, Any], dataset: str, population: str, ablation: str, costs: Mapping[str, Any]) -> Row:
    name = str(data["label"] if ablation else data["proxy"])
    return Row(
        name=name,
        kind=str(data.get("kind") or "single"),
        metrics={metric: _estimate(data[metric]) for metric in (*METRICS, *_MORE) if data.get(metric) is not None},
        top=data.get("top"),
        p_value=data.get("p_value"),
        networks=data.get("networks"),
        failed=data.get("failed") or {},
        seconds=data.get("seconds"),
        alone=costs.get("seconds"),
        memory=costs.get("memory"),
        papers={
            metric: figures for metric in METRICS if (figures := _printed(data, name, dataset, population, ablation, metric))
        },
    )


def _printed(data: Mapping[str, Any], name: str, dataset: str, population: str, ablation: str, metric: str) -> tuple[Figure, ...]:
    """What the papers print for a row. An ablation's row brings it along; else its label decides."""
    if not ablation:
        return paper_figures(name, dataset, metric, population)
    known = ABLATIONS.get(ablation)
    if known is None:
        return ()
    if "paper" in data:  # empty where the run is of another dataset or population than the paper's
        brought = data["paper"].get(metric)
        return () if brought is None else (Figure(float(brought), known.paper, known.table, known.digits),)
    if known.by_dataset and metric != "kendall":
        return ()
    figure = known.figure(name, dataset if known.by_dataset else metric)
    return () if figure is None else (figure,)


def _estimate(data: Mapping[str, Any]) -> Estimate:
    return Estimate(_number(data["value"]), _number(data.get("low")), _number(data.get("high")))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _family(data: Mapping[str, Any]) -> Family:
    name = ".".join(str(data[key]) for key in ("family", "tag") if data.get(key))
    rows: Sequence[Row] = [_row(one, "", "", "", {}) for one in data.get("rows") or ()]
    return Family(name, data.get("networks"), tuple(sorted(rows, key=lambda row: -row.kendall)))


def _agreement(data: Mapping[str, Any]) -> Agreement:
    return Agreement(str(data["proxy"]), str(data["published"]), _estimate(data["spearman"]), data.get("networks"))


def _scores(path: Path) -> pandas.DataFrame | None:
    if not path.exists():
        return None
    try:
        table = parsed(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a table of scores (CSV); {error}") from None
    if missing := [name for name in ("network", "accuracy") if name not in table.columns]:
        raise InputError(f"{path}: expected the columns network and accuracy; missing: {', '.join(missing)}")
    return table
