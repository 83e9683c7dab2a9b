"""From a bench run to the words, numbers and small drawings of its page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from search.bench.judging.judge import AT_BUDGET, RELIABILITY
from search.bench.judging.papers import ABLATIONS, ELSEWHERE, METRICS, SETTINGS
from search.bench.page import charts, words
from search.bench.page.data import KINDS, Bench, Row
from search.bench.page.derived import TOY_PERMUTATIONS, ToyRanking, combinations, defined, order_by_likeness, toy
from search.ranking.reliability import is_noise
from search.report.html import render_html

_CELL_WIDTH = 250.0  # of the small drawings, in their own units


def render(bench: Bench) -> str:
    """The page of a run."""
    names = bench.score_columns
    ablation = ABLATIONS.get(bench.ablation)
    rankings = toy()
    low = _axis_start([*bench.rows, *(row for family in bench.families for row in family.rows)])
    compared = any(row.papers for row in bench.rows)
    context: dict[str, Any] = {
        "name": bench.name,
        "title": _title(bench),
        "lead": _lead(bench),
        "cards": _cards(bench),
        "table_title": _table_title(bench),
        "first_column": "variant" if bench.ablation else "proxy",
        "summary": words.tally(words.places(bench.rows, METRICS)),
        "key": {
            "ours": _interval_drawing(0.5, 0.3, 0.7, None, 0.0, 54.0),
            "paper": _interval_drawing(math.nan, math.nan, math.nan, 0.5, 0.0, 54.0) if compared else "",
            "axis": f"each scale runs from {words.number(low, 2)} to 1, ticks at quarters",
        },
        "metric_names": [words.METRIC_NAMES[metric] for metric in METRICS],
        "measures": [words.METRIC_NAMES[metric] for metric in bench.measures],
        "groups": _groups(bench, bench.rows, low),
        "table_notes": _table_notes(bench),
        "families": _families(bench, low),
        "families_note": words.FAMILIES.get(bench.benchmark, ""),
        "charts": {
            "scatter": Markup(charts.scatters(bench, names)) if names else "",
            "toy": Markup(charts.toy(rankings)),
        },
        "whole": bench.benchmark == "nasbench201",
        "partial": _partial(bench),
        "kept": list(_kept(bench)),
        "kept_note": ""
        if bench.population == "all_forms"
        else "The paper’s figures are of all 15,625 cells as stored, this run’s are not.",
        "agreement": [
            (one.proxy, one.published, words.estimate(one.spearman), words.count(one.networks)) for one in bench.agreement
        ],
        "times": _times(bench),
        "costs": bench.costs,
        "weighed": any(row.memory is not None for row in bench.rows),
        "toy": [_toy_row(one) for one in rankings],
        "permutations": f"{TOY_PERMUTATIONS:,}",
        "settings": list(words.flat(bench.settings)),
        "environment": list(words.flat(bench.environment)),
        "papers": [
            (name, text)
            for name, text in ELSEWHERE.get(bench.population, SETTINGS).items()
            if compared and (not ablation or ablation.paper == name)
        ],
    }
    return render_html("bench.html.j2", context, package="search.bench.page")


def _toy_row(ranking: ToyRanking) -> list[str]:
    cells = [ranking.name]
    for metric in METRICS:
        cells += [words.number(ranking.values[metric]), words.probability(ranking.p_values[metric])]
    return cells


def _title(bench: Bench) -> str:
    dataset = words.DATASET_NAMES.get(bench.dataset, bench.dataset)
    if bench.ablation:
        known = ABLATIONS.get(bench.ablation)
        return f"{known.title if known else bench.ablation} · {dataset}" if dataset else str(bench.ablation)
    subject = words.SUBJECTS.get(bench.benchmark, bench.benchmark)
    return f"{subject} · {dataset}" if dataset and bench.benchmark != "timm" else subject


def _lead(bench: Bench) -> str:
    seed = "" if bench.seed is None else f", seed {bench.seed}"
    text = f"{words.networks(bench).capitalize()}{seed}; run folder {bench.name}."
    known = ABLATIONS.get(bench.ablation)
    return f"{text} The paper ({known.paper}, {known.table}): {known.setting}." if known else text


def _table_title(bench: Bench) -> str:
    if bench.ablation:
        return "The variants beside the paper’s figures"
    return "Means over the families" if bench.benchmark == "timm" else "How well each proxy ranks"


def _cards(bench: Bench) -> list[dict[str, str]]:
    """The best training-free rows and how many figures of the papers are met; none for an ablation."""
    if bench.ablation:
        return []
    cards = []
    free = [row for row in bench.rows if row.kind != "model"]
    for metric in METRICS:
        measured = [row for row in free if metric in row.metrics and math.isfinite(row.metrics[metric].value)]
        if measured:
            best = max(measured, key=lambda row: row.metrics[metric].value)
            text = f"{best.name} {words.estimate(best.metrics[metric]).partition(' ')[2]}"
            name = f"best {words.METRIC_NAMES[metric]}, training-free"
            cards.append({"name": name, "value": words.number(best.metrics[metric].value), "under": text})
    found = words.places(bench.rows, METRICS)
    if found.total():
        met = found["inside"] + found["above"]
        under = f"inside our interval {found['inside']}, exceeded {found['above']}, missed {found['below']}"
        cards.append({"name": "figures of the papers", "value": f"{met} of {found.total()}", "under": under})
    return cards


def _axis_start(rows: Iterable[Row]) -> float:
    """Where the scales of the small drawings begin: 0, or the quarter below the least estimate."""
    numbers = [value for row in rows for one in row.metrics.values() for value in (one.value, one.low)]
    return min(0.0, math.floor(4 * min((value for value in numbers if math.isfinite(value)), default=0.0)) / 4)


def _groups(bench: Bench, rows: Sequence[Row], low: float) -> list[dict[str, Any]]:
    """Table rows by kind; those of an ablation are one group without a heading, in the order given."""
    if bench.ablation:
        return [{"title": "", "rows": [_cells(bench, row, low) for row in rows]}] if rows else []
    known = {kind: title for kind, title in KINDS.items() if any(row.kind == kind for row in rows)}
    known |= {row.kind: row.kind for row in rows if row.kind not in known}
    return [
        {"title": title, "rows": [_cells(bench, row, low) for row in rows if row.kind == kind]} for kind, title in known.items()
    ]


def _cells(bench: Bench, row: Row, low: float) -> dict[str, Any]:
    cells = []
    for metric in bench.measures:
        ours, figures = row.metrics.get(metric), row.papers.get(metric, ())
        paper = figures[0] if figures else None
        measured = ours is not None and math.isfinite(ours.value)
        value, interval = words.estimate(ours).partition(" ")[::2] if measured else ("", "")
        numbers = (ours.value, ours.low, ours.high) if ours is not None else (math.nan,) * 3
        drawing = _interval_drawing(*numbers, None if paper is None else paper.value, low, _CELL_WIDTH)
        cells.append(
            {
                "value": value,
                "missing": "undefined" if metric not in METRICS and ours is not None else "not measured",
                "noise": metric == RELIABILITY and ours is not None and is_noise(ours),
                "interval": interval,
                "paper": "" if paper is None else words.number(paper.value, paper.digits),
                "source": ", ".join(f"{one.source}: {words.number(one.value, one.digits)}" for one in figures),
                "place": row.place(metric),
                "drawing": drawing if measured or paper is not None else "",
            }
        )
    return {"name": row.name, "cells": cells}


def _interval_drawing(value: float, lower: float, upper: float, paper: float | None, low: float, width: float) -> Markup:
    """A value with its interval on a scale from `low` to 1 with ticks at quarters, and the paper's figure as a diamond."""

    def x(number: float) -> float:
        return round(width * (min(max(number, low), 1.0) - low) / (1.0 - low), 1)

    parts = [f'<line x1="0" x2="{width:g}" y1="6.5" y2="6.5" stroke="var(--rule)"/>']
    for quarter in range(round(4 * low), 5):
        strength = "var(--soft)" if quarter == 0 else "var(--rule)"
        parts.append(f'<line x1="{x(quarter / 4)}" x2="{x(quarter / 4)}" y1="2" y2="11" stroke="{strength}"/>')
    if math.isfinite(lower) and math.isfinite(upper):
        ends = (x(lower), max(x(upper), x(lower) + 1.5))
        parts.append(
            f'<line x1="{ends[0]}" x2="{ends[1]}" y1="6.5" y2="6.5" stroke="var(--blue)" stroke-width="5" stroke-opacity=".45"/>'
        )
    if math.isfinite(value):
        parts.append(f'<circle cx="{x(value)}" cy="6.5" r="3" fill="var(--blue)"/>')
    if paper is not None:
        p = x(paper)
        parts.append(
            f'<path d="M{p - 4} 6.5L{p} 2.5L{p + 4} 6.5L{p} 10.5Z" fill="none" stroke="var(--amber)" stroke-width="1.6"/>'
        )
    return Markup(f'<svg viewBox="0 0 {width:g} 13" aria-hidden="true">{"".join(parts)}</svg>')


def _table_notes(bench: Bench) -> list[str]:
    notes = []
    tops = sorted({row.top for row in bench.rows if row.top is not None})
    if tops:
        notes.append(f"nDCG at P = {', '.join(f'{top:,}' for top in tops)}.")
    if bench.has(AT_BUDGET):
        notes.append(words.BUDGET_NOTE)
    if bench.has(RELIABILITY):
        notes.append(words.RELIABILITY_NOTE)
    if any(row.kind == "model" for row in bench.rows):
        notes.append("The models know the accuracies of the networks they are fitted on, and are judged on the others.")
    several = [row.name for row in bench.rows if any(len({one.paper for one in found}) > 1 for found in row.papers.values())]
    if several:
        notes.append(
            "Compared with the VKDNW paper’s figure where both papers print one (the other is in the tooltip): "
            + ", ".join(several)
            + "."
        )
    return notes


def _shade(value: float) -> str:
    """Background of a cell: blue for positive, amber for negative, the stronger the larger."""
    if not math.isfinite(value):
        return ""
    strength = round(min(abs(value), 1.0) * 62)
    return f"background:color-mix(in srgb, var(--{'blue' if value >= 0 else 'amber'}) {strength}%, transparent)"


def _families(bench: Bench, low: float) -> dict[str, Any] | None:
    if not bench.families:
        return None
    order = list(dict.fromkeys([row.name for row in bench.rows] + [row.name for one in bench.families for row in one.rows]))
    rows = []
    for name in order:
        cells = []
        for family in bench.families:
            row = next((one for one in family.rows if one.name == name), None)
            ours = row.metrics.get("kendall") if row is not None else None
            value = ours.value if ours is not None else math.nan
            cells.append({"text": words.number(value, 2), "style": _shade(value), "title": words.estimate(ours)})
        rows.append({"name": name, "cells": cells})
    titles = [f"{one.name} ({one.networks})" if defined(one.networks) else one.name for one in bench.families]
    tables = [
        {"title": title, "groups": _groups(bench, one.rows, low)} for title, one in zip(titles, bench.families, strict=True)
    ]
    return {"columns": titles, "rows": rows, "tables": tables}


def _partial(bench: Bench) -> dict[str, Any] | None:
    if not bench.names:
        return None
    order = order_by_likeness(bench.partial)
    rows = []
    for line in order:
        cells = []
        for column in order:
            value = bench.partial[line][column]
            same = line == column
            text = "" if same else words.number(value, 2).replace("0.", ".", 1)
            title = f"{bench.names[line]} and {bench.names[column]}"
            cells.append({"text": text, "style": "background:var(--rule)" if same else _shade(value), "title": title})
        rows.append({"name": bench.names[line], "cells": cells})
    return {"columns": [bench.names[place] for place in order], "rows": rows}


def _kept(bench: Bench) -> Iterable[tuple[str, ...]]:
    for one in combinations(bench):
        paper = one.paper
        yield (
            {"rank_average": "rank average", "t_cet": "T-CET"}[paper.combination],
            paper.saliency,
            words.estimate(one.with_saliency),
            words.number(paper.with_saliency.get(bench.dataset), 2),
            words.estimate(one.with_lnwot),
            words.number(paper.with_lnwot.get(bench.dataset), 2),
        )


def _times(bench: Bench) -> list[dict[str, Any]]:
    rows = [row for row in bench.rows if defined(row.seconds) or row.failed or row.networks is not None]
    longest = max((row.seconds for row in rows if row.seconds is not None and math.isfinite(row.seconds)), default=0.0)
    rows.sort(key=lambda row: -(row.seconds if row.seconds is not None else -1.0))
    return [
        {
            "name": row.name,
            "seconds": words.seconds(row.seconds),
            "share": round(100 * row.seconds / longest, 2) if longest and row.seconds is not None else None,
            "alone": words.seconds(row.alone),
            "memory": words.memory(row.memory),
            "networks": words.count(row.networks),
            "p_value": words.probability(row.p_value),
            "failed": words.failures(row) or "none",
        }
        for row in rows
    ]
