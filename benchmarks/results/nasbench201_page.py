"""docs/results/nasbench201.md: the three datasets side by side, ours beside the papers'."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks.results.charts import heat, intervals
from benchmarks.results.markdown import Page, head, paper_cell, provenance, remarks, table, times
from benchmarks.results.notes import WHOLE
from search.bench.judging.judge import AT_BUDGET, RELIABILITY
from search.bench.judging.papers import DATASETS, METRICS, SETTINGS
from search.bench.page import charts, words
from search.bench.page.data import KINDS, Bench, Row
from search.bench.page.derived import combinations

TITLE = "NAS-Bench-201: every proxy on real accuracies"
_SHOWN_SCATTERS = 12


def make(benches: Sequence[Bench], notes: Mapping[str, Mapping[str, str]], command: str) -> Page:
    """The page of all runs of NAS-Bench-201.

    Of several of one dataset and population the one with most proxies is shown, and each proxy as in the run that scored it on
    most networks. A run that averages over more initialisations adds rows of its own: `vkdnw_agg ×3`.
    """
    remarked = notes.get("nasbench201", {})
    chosen, left_out = _choose(benches)
    lines = head(TITLE, command)
    if WHOLE in remarked:
        lines += [remarked[WHOLE], ""]
    pictures: dict[str, str] = {}
    measured = {population: {row.name for bench in found for row in bench.rows} for population, found in chosen.items()}
    for place, (population, found) in enumerate(chosen.items()):
        elsewhere = set().union(*(names for other, names in measured.items() if other != population))
        # A remark stands where its proxy was measured; one on what was measured nowhere is named once, in the first section.
        there = {
            name: text
            for name, text in remarked.items()
            if name in measured[population] or (place == 0 and name not in elsewhere)
        }
        lines += _population(population, found, there, pictures)
    lines += ["## Settings", ""]
    lines += [f"- {name} measured: {text}." for name, text in SETTINGS.items()]
    if left_out:
        lines += ["", f"Left out, since every proxy has as many networks in another run: {', '.join(left_out)}."]
    lines += ["", *provenance([bench for found in chosen.values() for bench in found])]
    everything = [row for found in chosen.values() for bench in found for row in bench.rows]
    return Page("nasbench201.md", TITLE, words.tally(words.places(everything, METRICS)), "\n".join(lines) + "\n", pictures)


def _choose(benches: Sequence[Bench]) -> tuple[dict[str, list[Bench]], list[str]]:
    """One bench for each dataset of each population, and the names of runs that give it nothing."""
    groups: dict[tuple[str, str], list[Bench]] = {}
    for bench in benches:
        groups.setdefault((bench.population, bench.dataset), []).append(bench)
    populations = sorted({population for population, _ in groups}, key=lambda one: (one != "reachable", one))
    order = {name: place for place, name in enumerate(DATASETS)}
    merged = {key: _merged(group) for key, group in groups.items()}
    chosen = {
        population: sorted(
            (one for key, (one, _) in merged.items() if key[0] == population), key=lambda one: order.get(one.dataset, 9)
        )
        for population in populations
    }
    return chosen, [name for _, names in merged.values() for name in names]


def _merged(group: Sequence[Bench]) -> tuple[Bench, list[str]]:
    """The bench with most rows, each row from where it has most networks; and the names of those that gave none."""
    first, *others = sorted(group, key=lambda bench: (len(bench.rows), bench.sample or 0), reverse=True)
    rows = {row.name: row for row in first.rows}
    idle = []
    for bench in others:
        if _repeats(bench) != _repeats(first):
            bench = replace(bench, rows=tuple(_averaged(bench, rows)))
        better = [row for row in bench.rows if row.name not in rows or (row.networks or 0) > (rows[row.name].networks or 0)]
        for row in better:
            weighed = rows.get(row.name, row)
            rows[row.name] = replace(row, alone=weighed.alone, memory=weighed.memory)
        if not better:
            idle.append(bench.name)
    return replace(first, rows=tuple(rows.values())), idle


def _repeats(bench: Bench) -> int:
    return int(bench.settings.get("repeats") or 1)


def _averaged(bench: Bench, known: Mapping[str, Row]) -> Iterator[Row]:
    """The rows of a run with other initialisations, under names that say so; not what no initialisation changes."""
    for row in bench.rows:
        before = known.get(row.name)
        if before is None or before.metrics.get("kendall") != row.metrics.get("kendall"):
            yield replace(row, name=f"{row.name} {words.TIMES}{_repeats(bench)}")


def _population(population: str, benches: Sequence[Bench], notes: Mapping[str, str], pictures: dict[str, str]) -> list[str]:
    titles = [words.DATASET_NAMES.get(bench.dataset, bench.dataset) for bench in benches]
    what = words.POPULATION_NAMES.get(population, population)
    rows = [row for bench in benches for row in bench.rows]
    names = _ordered(benches)
    lines = [f"## {what[0].upper()}{what[1:]}", ""]
    for title, bench in zip(titles, benches, strict=True):
        tops = {row.top for row in bench.rows if row.top is not None}
        top = f", nDCG at P = {', '.join(f'{one:,}' for one in sorted(tops))}" if tops else ""
        seed = "" if bench.seed is None else f", seed {bench.seed}"
        settings = "".join(f", {name} {bench.settings[name]}" for name in ("batch", "repeats") if name in bench.settings)
        lines.append(f"- {title}: {words.count(bench.sample)} networks{_others(bench)}{seed}{settings}{top}.")
    lines += [
        "",
        words.tally(words.places(rows, METRICS)),
        "",
        "Value [95 % bootstrap interval]; next to it the paper’s figure and where our interval lies: inside (it contains the"
        " figure), above, below." + _legend(benches),
        "",
    ]
    for metric in METRICS:
        lines += [f"### {words.METRIC_NAMES[metric]}", "", *_table(benches, titles, names, metric)]
        if metric == "kendall":
            picture = f"nasbench201/{population}_kendall.svg"
            pictures[picture] = intervals(benches, metric, names)
            lines += [f"![Our intervals and the papers’ figures]({picture})", ""]
            why = remarks(
                {title: bench.rows for title, bench in zip(titles, benches, strict=True)}, METRICS, _without_whole(notes)
            )
            lines += ["### Where they differ, and why", "", *(why or ["No figure of the papers lies above our intervals.", ""])]
    for metric, note in ((AT_BUDGET, words.BUDGET_NOTE), (RELIABILITY, words.RELIABILITY_NOTE)):
        if any(bench.has(metric) for bench in benches):
            lines += [f"### {words.METRIC_NAMES[metric]}", "", note, ""]
            lines += _table(benches, titles, names, metric)
    lines += _scatter(population, benches, titles, pictures)
    lines += _partial(population, benches, titles, pictures)
    lines += ["### What a combination keeps of its parts", "", *_combinations(benches, titles)]
    lines += ["### Agreement with published scores", "", *_agreement(benches, titles)]
    lines += ["### Time and failures", "", "Mean CPU-seconds of one network; what several proxies share is counted once.", ""]
    return [*lines, *times(benches, titles)]


def _legend(benches: Sequence[Bench]) -> str:
    averaged = any(words.TIMES in row.name for bench in benches for row in bench.rows)
    return f" {words.TIMES}k: each score is the mean of k initialisations." if averaged else ""


def _others(bench: Bench) -> str:
    """Which rows are of other networks than the rest: those of a run with fewer proxies and more networks."""
    counts: dict[int, list[str]] = {}
    for row in bench.rows:
        if row.networks is not None and row.networks != bench.sample:
            counts.setdefault(row.networks, []).append(f"`{row.name}`")
    return "".join(f", {words.count(count)} for {', '.join(names)}" for count, names in sorted(counts.items()))


def _without_whole(notes: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in notes.items() if name != WHOLE}


def _ordered(benches: Sequence[Bench]) -> list[str]:
    """All names, by kind, then by mean Kendall's tau over the datasets."""
    kinds = [*KINDS]
    found: dict[str, list[Row]] = {}
    for bench in benches:
        for row in bench.rows:
            found.setdefault(row.name, []).append(row)

    def place(name: str) -> tuple[int, float]:
        kind = found[name][0].kind
        return kinds.index(kind) if kind in kinds else len(kinds), -sum(row.kendall for row in found[name]) / len(found[name])

    return sorted(found, key=place)


def _table(benches: Sequence[Bench], titles: Sequence[str], names: Sequence[str], metric: str) -> list[str]:
    lines = []
    kind = ""
    for name in names:
        rows = [bench.row(name) for bench in benches]
        this = next(row.kind for row in rows if row is not None)
        if this != kind:
            kind = this
            lines.append([f"**{KINDS.get(kind, kind)}**", *[""] * (2 * len(benches))])
        cells = [f"`{name}`"]
        for row, bench in zip(rows, benches, strict=True):
            cells += [_figure(row, bench, metric), paper_cell(row, metric)]
        lines.append(cells)
    return table(["", *(cell for title in titles for cell in (title, "paper"))], lines)


def _figure(row: Row | None, bench: Bench, metric: str) -> str:
    if row is None:
        return words.MISSING
    of = f" of {words.count(row.networks)}" if row.networks is not None and row.networks != bench.sample else ""
    return f"{words.estimate(row.metrics.get(metric))}{of}"


def _scatter(population: str, benches: Sequence[Bench], titles: Sequence[str], pictures: dict[str, str]) -> list[str]:
    """Scatter plots of the proxies that rank best, on the last dataset that has scores: ImageNet16-120 where it is there."""
    lines = ["### Score against accuracy", ""]
    for title, bench in reversed(list(zip(titles, benches, strict=True))):
        names = bench.score_columns[:_SHOWN_SCATTERS]
        if names:
            picture = f"nasbench201/{population}_scatter.svg"
            pictures[picture] = charts.scatters(bench, names, alone=True)
            return [
                *lines,
                f"{title}, the {len(names)} that rank best; all of them are on the run’s own page.",
                "",
                f"![Score against accuracy]({picture})",
                "",
            ]
    return [*lines, "Not measured.", ""]


def _partial(population: str, benches: Sequence[Bench], titles: Sequence[str], pictures: dict[str, str]) -> list[str]:
    lines = ["### Proxy against proxy", ""]
    for title, bench in reversed(list(zip(titles, benches, strict=True))):
        if bench.names:
            picture = f"nasbench201/{population}_partial.svg"
            pictures[picture] = heat(bench)
            return [
                *lines,
                f"Partial correlation by Kendall’s τ with the accuracy taken out (T-CET, Figure 1), {title}.",
                "",
                f"![Partial correlations]({picture})",
                "",
            ]
    return [*lines, "Not measured.", ""]


def _combinations(benches: Sequence[Bench], titles: Sequence[str]) -> list[str]:
    """T-CET's Table 1."""
    lines = []
    for title, bench in zip(titles, benches, strict=True):
        for one in combinations(bench):
            kept = ((one.with_saliency, one.paper.with_saliency), (one.with_lnwot, one.paper.with_lnwot))
            name = {"rank_average": "rank average", "t_cet": "T-CET"}[one.paper.combination]
            cells = (text for ours, paper in kept for text in (words.estimate(ours), words.number(paper.get(bench.dataset), 2)))
            lines.append([f"{name} of {one.paper.saliency} and lnwot", title, *cells])
    if not lines:
        return ["Not measured: it needs lnwot, ssnr_synflow, ssnr_snip, t_cet_synflow and t_cet_snip.", ""]
    text = (
        "Partial correlation of a combination with its two parts, X the saliency, Y = lnwot (T-CET, Table 1: all 15,625 cells)."
    )
    return [text, "", *table(["combination", "dataset", "with X", "paper", "with Y", "paper"], lines)]


def _agreement(benches: Sequence[Bench], titles: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys((one.proxy, one.published) for bench in benches for one in bench.agreement))
    if not names:
        return ["Not measured.", ""]
    lines = []
    for proxy, published in names:
        cells = []
        for bench in benches:
            one = next((one for one in bench.agreement if (one.proxy, one.published) == (proxy, published)), None)
            cells.append(words.estimate(one.spearman) if one is not None and math.isfinite(one.spearman.value) else words.MISSING)
        lines.append([f"`{proxy}`", f"`{published}`", *cells])
    text = "Spearman correlation of our scores with published ones on the same networks; nothing else here uses them."
    return [text, "", *table(["proxy", "published as", *titles], lines)]
