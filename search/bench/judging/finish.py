"""From scores to what a person reads: RUN/scores.csv, RUN/results.json, RUN/report.html, a table in the terminal."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from search.bench.judging.judge import AT_BUDGET, RELIABILITY
from search.bench.judging.papers import paper_figure
from search.bench.scoring.run import Scores
from search.bench.scoring.second_seed import second
from search.bench.scoring.settings import Settings
from search.ranking.reliability import NOISE
from uninas.files.writing import write_json, write_text

RESULTS = "results.json"
SCORES = "scores.csv"
SECOND = "second_seed.csv"

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "uninas-ray")


def results(
    settings: Settings,
    table: pandas.DataFrame,
    rows: list[dict[str, Any]],
    scores: Scores,
    *,
    partial: Mapping[str, Any] | None = None,
    agreement: list[dict[str, Any]] | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Put together what RUN/results.json holds. `more`: keys of one kind of benchmark alone."""
    return {
        "format": "uninas-bench-results",
        "version": 1,
        "benchmark": settings.benchmark,
        "dataset": settings.dataset,
        "population": settings.population,
        "sample": len(table),
        "seed": settings.seed,
        "settings": settings_shown(settings),
        **(more or {}),
        "rows": rows,
        "partial": dict(partial or {"names": [], "matrix": []}),
        "agreement": agreement or [],
        "environment": environment(scores),
    }


def settings_shown(settings: Settings) -> dict[str, Any]:
    """Give the settings without the names of 64 images."""
    shown = settings.as_dict()
    if settings.pictures is not None:
        shown["pictures"] = {name: settings.pictures[name] for name in ("folder", "size", "mean", "std", "digest")}
        shown["pictures"]["folder"] = Path(settings.pictures["folder"]).name
    return shown


def environment(scores: Scores) -> dict[str, Any]:
    """Say on what was scored, and with what was judged."""
    last = scores.sessions[-1]["environment"] if scores.sessions else {}
    seconds = round(sum(session["wall_seconds"] for session in scores.sessions), 1)
    return {**last, "judged_with": judged_with(), "wall_seconds": seconds}


def judged_with() -> dict[str, str]:
    """Give the versions of what computes figures."""
    return {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def write(folder: Path, data: Mapping[str, Any], table: pandas.DataFrame) -> None:
    """Write scores.csv and results.json. Numbers are unrounded; an empty cell is a failure."""
    ordered = ["network", "index", "accuracy"]
    rest = [name for name in table.columns if name not in ordered]
    write_text(folder / SCORES, table[[*ordered, *rest]].to_csv(index=False))
    write_json(folder / RESULTS, data)


def write_second(folder: Path, networks: pandas.DataFrame, scores: Scores, labels: Sequence[str]) -> None:
    """Write second_seed.csv: what the networks that were scored twice have under the second seed; an empty cell is a failure."""
    rows = [
        {"network": row["network"], "index": row["index"], **{name: values.get(second(name)) for name in labels}}
        for row in networks.to_dict("records")
        if any(second(name) in (values := scores.values.get(int(row["index"]), {})) for name in labels)
    ]
    table = pandas.DataFrame(rows, columns=["network", "index", *labels])
    numbers = table[[*labels]].apply(pandas.to_numeric, errors="coerce")
    write_text(folder / SECOND, table[["network", "index"]].join(numbers).sort_values("index").to_csv(index=False))


def show(data: Mapping[str, Any], write_line: Callable[[Any], None]) -> None:
    """Show results as a table, best Kendall first, with the papers' Kendall where they have one."""
    from rich.table import Table
    from rich.text import Text

    title = f"{data['benchmark']}, {data['dataset']}, {data['sample']} networks ({data['population']}), seed {data['seed']}"
    shown = Table(title=title, title_justify="left")
    shown.add_column("proxy", no_wrap=True)
    figures = ["kendall", "spearman", "ndcg"]
    if any(row.get(AT_BUDGET) for row in data["rows"]):
        figures.append(AT_BUDGET)
    if any(row.get(RELIABILITY) for row in data["rows"]):
        figures.append(RELIABILITY)
    for name in figures:
        shown.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for name in ("paper", "failed", "CPU-s"):
        shown.add_column(name, justify="right", min_width=len(name))  # else a narrow terminal takes them away whole
    for row in data["rows"]:
        printed = _printed(row, data)
        shown.add_row(
            Text(row["proxy"], style="bold" if row["kind"] != "single" else ""),
            *(_cell(name, row[name]) if row.get(name) else "" for name in figures),
            "" if printed is None else _plain(printed),
            "" if not row["failed"] else str(sum(row["failed"].values())),
            "" if row["seconds"] is None else f"{row['seconds']:.2g}",
        )
    write_line(shown)
    write_line(Text("value [low, high]: 95% bootstrap interval; paper: its Kendall; CPU-s: mean of a network", style="dim"))
    if AT_BUDGET in figures:
        write_line(Text("at budget: rank correlation (Spearman) with parameters and MACs taken out", style="dim"))
    if RELIABILITY in figures:
        write_line(Text(f"reliability: Spearman of two seeds on the same networks; NOISE: surely below {NOISE:g}:", style="dim"))
        write_line(Text("the luck of the seed decides more than the network does, and a search cannot go by it", style="dim"))
    for row in data["rows"]:
        if row["failed"]:
            reasons = ", ".join(f"{count} x {reason}" for reason, count in row["failed"].items())
            write_line(Text(f"{row['proxy']}: failed on {reasons}"))


def _cell(name: str, figure: Mapping[str, float | None]) -> str:
    """Write a figure of a row; a score that is noise is said to be so."""
    noise = name == RELIABILITY and figure["high"] is not None and figure["high"] < NOISE
    return f"{written(figure)} NOISE" if noise else written(figure)


def _printed(row: Mapping[str, Any], data: Mapping[str, Any]) -> float | None:
    """Give the Kendall that the papers print: an ablation's row has it, otherwise the name decides."""
    if "paper" in row:
        value: float | None = row["paper"].get("kendall")
        return value
    figure = paper_figure(row["proxy"], data["dataset"], "kendall", data["population"])
    return None if figure is None else figure.value


def written(estimate: Mapping[str, float | None]) -> str:
    """Write a figure with its interval as in a terminal: .743 [.731, .755]."""
    if estimate["value"] is None:
        return "undefined"
    if estimate["low"] is None or estimate["high"] is None:
        return _plain(estimate["value"])
    return f"{_plain(estimate['value'])} [{_plain(estimate['low'])}, {_plain(estimate['high'])}]"


def _plain(number: float) -> str:
    """Write three digits without the leading zero, as the papers do."""
    return f"{number:.3f}".replace("0.", ".", 1)
