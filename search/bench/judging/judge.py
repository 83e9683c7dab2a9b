"""Scores against accuracies: the table of a bench run, with intervals.

frame = score_table(networks, scores, labels)      one row per network: index, network, accuracy, every raw score, deciles, ranks
rows = judge(frame, labels, ...)                   one row per proxy, population rank or model
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy
import pandas

from search.bench.scoring.run import Scores
from search.bench.scoring.second_seed import second
from search.ranking import correlation
from search.ranking.budget import Held
from search.ranking.objective import OBJECTIVES, Objective
from search.ranking.reliability import of_objective

Note = Callable[[str], None]

MODEL_NETWORKS = 200
"""Fewer networks are not worth a model: half of them are held out."""

AT_BUDGET = "at_budget"
"""A row's key of the correlation at equal budget, see `search.ranking.budget`; a row without it was not measured so."""

RELIABILITY = "reliability"
"""A row's key of the agreement of two seeds, see `search.ranking.reliability`; a row without it was scored under one."""

BUDGET = ("params", "flops")
"""Scores that it takes out; a run that lacks one of them has no such figure."""

DECILES = tuple(f"vkdnw_decile_{number}" for number in range(1, 10))


def score_table(networks: pandas.DataFrame, scores: Scores, labels: Sequence[str]) -> pandas.DataFrame:
    """Make the table of what is scored: networks (index, network, accuracy, and what else they have), sorted by index.

    Returns:
        Those columns, one per label (NaN where it failed), the nine deciles of the Fisher spectrum if vkdnw was scored, one per
        population rank whose raw scores are there. Networks that lack the record of any label, as in a run in progress, are left
        out, save where no network has one of a label.
    """
    present = {label for label in labels if label in scores.scored()}
    complete = [index for index, values in scores.values.items() if present <= values.keys() and values]
    known = networks[networks["index"].isin(complete)].sort_values("index").reset_index(drop=True)
    columns: dict[str, Any] = {label: [_number(scores.values[index].get(label)) for index in known["index"]] for label in labels}
    if "vkdnw" in labels:
        spectra = [scores.details[index].get("vkdnw", {}).get("deciles") or [math.nan] * 9 for index in known["index"]]
        columns |= {name: [spectrum[place] for spectrum in spectra] for place, name in enumerate(DECILES)}
    table = pandas.concat([known, pandas.DataFrame(columns, index=known.index)], axis=1)
    ranked = {objective.name: objective.rank_table(table) for objective in objectives(labels)}
    return pandas.concat([table, pandas.DataFrame(ranked, index=known.index)], axis=1)


def _number(value: Any) -> float:
    return math.nan if value is None or isinstance(value, Mapping) else float(value)


def objectives(labels: Sequence[str]) -> list[Objective]:
    """Give the population ranks whose raw scores are all among the labels, save those that are a raw score by themselves."""
    return [
        objective
        for objective in OBJECTIVES.values()
        if objective.name not in labels and set(objective.proxies) <= set(labels) and len(objective.proxies) > 1
    ]


def judge(
    table: pandas.DataFrame,
    scores: Scores,
    labels: Sequence[str],
    *,
    top: int | None,
    resamples: int,
    seed: int,
    note: Note = lambda text: None,
) -> list[dict[str, Any]]:
    """Judge every raw score and population rank of a table, best Kendall first.

    Args:
        table: see `score_table`.
        scores: for failures and seconds.
        labels: raw scores.
        top: P of nDCG; None for the default of a sample of the 9,445.
        resamples: of the bootstrap; as many random orders decide the p-value, which is Kendall's.
        seed: of all draws.
        note: receives messages about slow steps.
    """
    ranks = objectives(labels)
    note(f"judging {len(labels) + len(ranks)} rankings of {len(table)} networks: {resamples} resamples each")
    held = held_of(table, resamples=resamples, seed=seed)
    rows = []
    for name in [*labels, *(objective.name for objective in ranks)]:
        objective = objective_of(name, labels)
        made_of, many = objective.proxies, len(objective.columns) > 1
        figures = judged(table[name], table["accuracy"], top=top, resamples=resamples, seed=seed)
        rows.append(
            {
                "proxy": name,
                "kind": "aggregate" if many else "single",
                **figures,
                **({} if held is None else {AT_BUDGET: held.estimate(table[name].to_numpy(dtype=numpy.float64)).as_dict()}),
                **reliability_of(objective, scores, table["index"], resamples=resamples, seed=seed),
                "networks": len(table),
                "failed": failures(scores, table["index"], made_of),
                # Work that several proxies share is the first one's: a sum over some of them would say nothing.
                "seconds": None if many else cpu_seconds(scores, table["index"], made_of),
            }
        )
    return by_kendall(rows)


def held_of(table: pandas.DataFrame, *, resamples: int, seed: int) -> Held | None:
    """Hold what networks cost equal; None where a score of `BUDGET` is missing, of the table or of a network."""
    if any(name not in table or not numpy.isfinite(table[name].to_numpy(dtype=numpy.float64)).all() for name in BUDGET):
        return None
    controls = [table[name].to_numpy(dtype=numpy.float64) for name in BUDGET]
    return Held(controls, table["accuracy"].to_numpy(dtype=numpy.float64), resamples=resamples, seed=seed)


def objective_of(name: str, labels: Sequence[str]) -> Objective:
    """Give the order of a raw score, one of `labels`, or else the population rank of that name."""
    return Objective(name, ((name,),)) if name in labels else OBJECTIVES[name]


def under_two_seeds(objective: Objective, scores: Scores, networks: Iterable[int]) -> list[list[dict[str, float | None]]]:
    """Give the raw scores of an objective under the first seed and the second, of the networks that were scored under both."""
    both = [
        values
        for index in networks
        if (values := scores.values.get(index, {})) and all(second(name) in values for name in objective.proxies)
    ]
    return [[{name: _there(values.get(label(name))) for name in objective.proxies} for values in both] for label in (str, second)]


def _there(value: Any) -> float | None:
    return None if value is None or isinstance(value, Mapping) else float(value)


def reliability_of(
    objective: Objective, scores: Scores, networks: Iterable[int], *, resamples: int, seed: int
) -> dict[str, dict[str, float | None]]:
    """Estimate how far a score can be trusted, for a row: figures and networks; nothing where there is one seed."""
    tables = under_two_seeds(objective, scores, networks)
    if not tables[0]:
        return {}
    found = of_objective(objective, tables, seed=seed, resamples=resamples)
    return {RELIABILITY: {**found.as_dict(), "networks": len(tables[0])}}


def judge_models(
    table: pandas.DataFrame,
    labels: Sequence[str],
    graphs: Mapping[str, Sequence[float]],
    *,
    resamples: int,
    seed: int,
    note: Note = lambda text: None,
) -> list[dict[str, Any]]:
    """Judge the models (`search.bench.judging.forest.MODELS`) whose features are there.

    On held-out networks, mean of five splits.

    Args:
        table: see `score_table`.
        labels: raw scores.
        graphs: features of the networks' graphs, one column per feature; may be empty.
        resamples: of the bootstrap.
        seed: of splits, forests and draws.
        note: receives which models are left out, and why.

    Returns:
        Rows as `judge` gives them, with `train` (networks fitted on), `held_out` and `features`.
    """
    from search.bench.judging import forest

    if len(table) < MODEL_NETWORKS:
        note(f"no models: expected at least {MODEL_NETWORKS} networks to fit on and to hold out; there are {len(table)}")
        return []
    columns = {name: table[name].to_numpy(dtype=numpy.float64) for name in (*labels, *DECILES) if name in table.columns}
    complete = set(forest.SPECTRUM) <= set(columns)
    rows = []
    for name, model in forest.MODELS.items():
        others = len(columns) > len(forest.SPECTRUM)
        if (model.spectrum and not complete) or (model.scores and not others) or (model.graphs and not graphs):
            note(f"no {name}: not all of its features were scored")
            continue
        found = forest.evaluate_model(name, columns, graphs, table["accuracy"].to_numpy(), seed=seed, resamples=resamples)
        rows.append(
            {
                "proxy": name,
                "kind": "model",
                **{metric: estimate.as_dict() for metric, estimate in found.metrics.items()},
                "top": correlation.default_top(found.held_out),
                "p_value": None,
                "networks": len(table),
                "failed": {},
                "seconds": None,
                "train": found.train,
                "held_out": found.held_out,
                "features": found.features,
            }
        )
    return rows


def judged(values: pandas.Series, accuracies: pandas.Series, *, top: int | None, resamples: int, seed: int) -> dict[str, Any]:
    """Judge one ranking: kendall, spearman, ndcg as {"value", "low", "high"}, top, p_value."""
    ours, truth = values.to_numpy(dtype=numpy.float64), accuracies.to_numpy(dtype=numpy.float64)
    figures: dict[str, Any] = {
        metric: correlation.estimate(metric, ours, truth, seed=seed, resamples=resamples, top=top).as_dict()
        for metric in correlation.METRICS
    }
    chance = correlation.p_value("kendall", ours, truth, seed=seed, permutations=resamples)
    return {
        **figures,
        "top": correlation.default_top(len(ours)) if top is None else top,
        "p_value": chance if math.isfinite(chance) else None,
    }


def by_kendall(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort rows, best Kendall first; a row without one last."""
    return sorted(rows, key=lambda row: -math.inf if row["kendall"]["value"] is None else row["kendall"]["value"], reverse=True)


def failures(scores: Scores, networks: Iterable[int], labels: Iterable[str]) -> dict[str, int]:
    """Count the networks on which one of `labels` failed, by the reason's first word or words (what stands before a colon)."""
    counts: Counter[str] = Counter()
    for index in networks:
        values = (scores.values[index].get(label, {"failed": "not scored"}) for label in labels)
        failed = next((value for value in values if isinstance(value, Mapping)), None)
        if failed is not None:
            counts[failed["failed"].partition(":")[0]] += 1
    return dict(counts.most_common())


def cpu_seconds(scores: Scores, networks: Iterable[int], labels: Iterable[str]) -> float | None:
    """Give the mean CPU-seconds of a network for `labels` together; None where nothing was measured."""
    labels = tuple(labels)
    spent = [
        sum(scores.seconds[index][label] for label in labels)
        for index in networks
        if all(label in scores.seconds.get(index, {}) for label in labels)
    ]
    return math.fsum(spent) / len(spent) if spent else None


def partial(table: pandas.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """Correlate every two rankings with the accuracy taken out (T-CET paper, eq. 1 and Figure 1): {"names", "matrix"}."""
    columns = [table[name].to_numpy(dtype=numpy.float64) for name in names]
    truth = table["accuracy"].to_numpy(dtype=numpy.float64)
    matrix: list[list[float | None]] = [
        [1.0 if row == column else None for column in range(len(names))] for row in range(len(names))
    ]
    for row in range(len(names)):
        for column in range(row):
            value = correlation.partial_correlation(columns[row], columns[column], truth)
            matrix[row][column] = matrix[column][row] = value if math.isfinite(value) else None
    return {"names": list(names), "matrix": matrix}


def agreement(
    table: pandas.DataFrame, published: pandas.DataFrame, names: Mapping[str, str], *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Say how our scores rank as published ones do, by Spearman.

    Args:
        table: see `score_table`.
        published: a column `index` and published scores.
        names: our label -> their column; pairs that either table lacks are left out.
        resamples: of the bootstrap.
        seed: of its draws.
    """
    rows = []
    for ours, theirs in names.items():
        if ours not in table.columns or theirs not in published.columns:
            continue
        both = table[["index", ours]].merge(published[["index", theirs]], on="index").dropna()
        columns = both[[ours, theirs]].to_numpy(dtype=numpy.float64)
        if len(columns) < 2:
            continue
        estimate = correlation.estimate("spearman", columns[:, 0], columns[:, 1], seed=seed, resamples=resamples)
        rows.append({"proxy": ours, "published": theirs, "spearman": estimate.as_dict(), "networks": len(columns)})
    return rows
