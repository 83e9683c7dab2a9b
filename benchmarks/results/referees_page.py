"""docs/results/referees.md: every proxy by every referee, in one table, and the referees that have no page of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.results.charts import heat_map
from benchmarks.results.markdown import Page, head, paper_cell, provenance, remarks, table, times
from benchmarks.results.notes import WHOLE
from search.bench.judging.judge import AT_BUDGET, RELIABILITY
from search.bench.judging.papers import ELSEWHERE, METRICS
from search.bench.page import words
from search.bench.page.data import KINDS, Bench, Row

TITLE = "Referees: which proxy to trust, and where"
OWN_PAGES = ("nasbench201", "timm")
"""Referees whose figures have a page of their own."""

TABLE = "table"
HERE = ("nasbench_macro", "autoformer", "pit", "transnas_micro", "transnas_macro", "blox", TABLE)
"""Referees that are shown whole on this page."""


@dataclass(frozen=True)
class Referee:
    """Networks and accuracies, and the runs that scored them, the one with most networks first."""

    title: str
    runs: tuple[Bench, ...]

    def row(self, name: str) -> tuple[Row, Bench] | None:
        """Give the row of a proxy, of the run that scored it on most networks."""
        found = ((row, bench) for bench in self.runs if (row := bench.row(name)) is not None)
        return next(found, None)

    def kendall(self, name: str) -> float:
        """Give Kendall's tau of a proxy; NaN where it was not measured, or does not exist."""
        found = self.row(name)
        estimate = None if found is None else found[0].metrics.get("kendall")
        return math.nan if estimate is None else estimate.value


def make(benches: Sequence[Bench], notes: Mapping[str, Mapping[str, str]], command: str) -> Page:
    """The page of all referees: a heat map, the same figures with intervals, and at equal budget.

    Args:
        benches: runs of every kind but ablations, in any order.
        notes: remarks of each page; those of "referees" are this one's.
        command: that makes it.
    """
    remarked = notes.get("referees", {})
    referees = referees_of(benches)
    names = ordered(referees)
    lines = head(TITLE, command)
    if WHOLE in remarked:
        lines += [remarked[WHOLE], ""]
    picture = "referees.svg"
    columns = [referee.title for referee in referees]
    values = [[referee.kendall(name) for referee in referees] for name in names]
    pictures = {picture: heat_map("referees", "Kendall's tau of every proxy by every referee", names, columns, values)}
    lines += [
        "Kendall’s τ of each score (rows) with the accuracies of each set of trained networks (columns). The rows are in the"
        " order of their mean over the referees that measured them. An empty cell was not measured.",
        "",
        f"![Proxies by referees]({picture})",
        "",
        "## Kendall’s τ, with intervals",
        "",
        "Value [95 % bootstrap interval].",
        "",
        *_figures(referees, names, "kendall"),
    ]
    if any(bench.has(AT_BUDGET) for bench in benches):
        lines += [f"## {words.METRIC_NAMES[AT_BUDGET]}", "", words.BUDGET_NOTE, "", *_figures(referees, names, AT_BUDGET)]
    if any(bench.has(RELIABILITY) for bench in benches):
        lines += ["## Reliability", "", words.RELIABILITY_NOTE, "", *_figures(referees, names, RELIABILITY)]
    for referee in referees:
        if referee.runs[0].benchmark in HERE:
            lines += _whole(referee, remarked)
    lines += ["## Settings", ""]
    for population, settings in ELSEWHERE.items():
        if any(bench.population == population for bench in benches):
            lines += [f"- {paper} measured: {text}." for paper, text in settings.items()]
    lines += ["", *provenance([bench for referee in referees for bench in referee.runs])]
    headline = f"{len(names)} scores by {len(referees)} sets of trained networks."
    return Page("referees.md", TITLE, headline, "\n".join(lines) + "\n", pictures)


def referees_of(benches: Sequence[Bench]) -> list[Referee]:
    """Put runs of the same networks and accuracies together; NAS-Bench-201 first, tables of one's own last.

    Two tables are two referees, whatever their columns are called: each has the name of its run.
    """
    groups: dict[tuple[str, str, str], list[Bench]] = {}
    for bench in benches:
        dataset = bench.name if bench.benchmark == TABLE else bench.dataset
        groups.setdefault((bench.benchmark, bench.population, dataset), []).append(bench)
    order = [*OWN_PAGES[:1], *HERE[:-1], *OWN_PAGES[1:], *HERE[-1:]]
    found = []
    for (kind, population, dataset), runs in sorted(groups.items(), key=lambda group: order.index(group[0][0])):
        runs.sort(key=lambda bench: (-(bench.sample or 0), bench.name))
        data = "" if kind == "timm" else f", {words.DATASET_NAMES.get(dataset, dataset)}"
        forms = ", all forms" if population == "all_forms" else ""
        subject = words.SUBJECTS.get(kind, kind).removesuffix(" of timm") + (" (timm)" if kind == "timm" else "")
        title = dataset.replace("_", " ") if kind == TABLE else f"{subject}{data}{forms}"
        found.append(Referee(title, tuple(runs)))
    return found


def ordered(referees: Sequence[Referee]) -> list[str]:
    """Give the names of all scores and aggregates, not of models, in the order of their mean Kendall."""
    rows = (row for referee in referees for bench in referee.runs for row in bench.rows if row.kind != "model")
    names = dict.fromkeys(row.name for row in rows)

    def mean(name: str) -> float:
        found = [value for referee in referees if math.isfinite(value := referee.kendall(name))]
        return math.fsum(found) / len(found) if found else -math.inf

    return sorted(names, key=lambda name: (-mean(name), name))


def _figures(referees: Sequence[Referee], names: Sequence[str], metric: str) -> list[str]:
    lines = []
    for name in names:
        cells = []
        for referee in referees:
            found = referee.row(name)
            cells.append(words.MISSING if found is None else _figure(*found, metric, referee.runs[0]))
        lines.append([f"`{name}`", *cells])
    titles = [f"{referee.title} ({words.count(referee.runs[0].sample)})" for referee in referees]
    return table(["proxy", *titles], lines)


def _figure(row: Row, bench: Bench, metric: str, largest: Bench) -> str:
    of = f" of {words.count(bench.sample)}" if bench.sample != largest.sample else ""
    return f"{words.figure(metric, row.metrics.get(metric))}{of}"


def _whole(referee: Referee, notes: Mapping[str, str]) -> list[str]:
    """All figures of a referee that has no page of its own, beside the papers'."""
    rows = {row.name: row for bench in reversed(referee.runs) for row in bench.rows}  # of the run with most networks
    found = sorted(rows.values(), key=lambda row: (list(KINDS).index(row.kind), -row.kendall))
    compared = any(row.papers for row in found)
    measures = referee.runs[0].measures
    titles = [words.METRIC_NAMES[metric] for metric in measures]
    lines = [f"## {referee.title}", ""]
    for bench in referee.runs:
        settings = "".join(f", {name} {bench.settings[name]}" for name in ("batch", "repeats") if name in bench.settings)
        scored = ", ".join(f"`{row.name}`" for row in bench.rows) if len(referee.runs) > 1 else f"{len(bench.rows)} scores"
        lines.append(f"- {words.networks(bench)}{settings}: {scored}.")
    lines += [""]
    if compared:
        lines += [words.tally(words.places(found, METRICS)), ""]
    lines += table(
        ["proxy", *titles, *(["paper’s τ"] if compared else [])],
        [
            [
                f"`{row.name}`",
                *(words.figure(metric, row.metrics.get(metric)) for metric in measures),
                *([paper_cell(row, "kendall")] if compared else []),
            ]
            for row in found
        ],
    )
    if compared:
        lines += remarks({"": found}, METRICS, {name: text for name, text in notes.items() if name != WHOLE})
    lines += _within_families(referee.runs[0], [row.name for row in found])
    return [*lines, "### Time and failures", "", *times(referee.runs[:1], ["per network"])]


def _within_families(bench: Bench, names: Sequence[str]) -> list[str]:
    """Kendall's tau of each score among the networks of each family; nothing where the run has no families."""
    if not bench.families:
        return []
    rows = [{row.name: row.metrics.get("kendall") for row in family.rows} for family in bench.families]
    titles = [f"{family.name} ({words.count(family.networks)})" for family in bench.families]
    return [
        "### Kendall’s τ within families",
        "",
        words.FAMILIES[bench.benchmark],
        "",
        *table(["proxy", *titles], [[f"`{name}`", *(words.estimate(row.get(name)) for row in rows)] for name in names]),
    ]
