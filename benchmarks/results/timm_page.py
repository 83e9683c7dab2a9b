"""docs/results/timm.md: proxies within families of pretrained ImageNet networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.results.markdown import Page, head, provenance, table, times
from benchmarks.results.notes import WHOLE
from search.bench.judging.judge import AT_BUDGET, RELIABILITY
from search.bench.page import charts, words
from search.bench.page.data import Bench

TITLE = "timm: proxies within families of ImageNet networks"


def make(benches: Sequence[Bench], notes: Mapping[str, Mapping[str, str]], command: str) -> Page:
    """The page of the timm bench: one section per run, the largest first."""
    remarked = notes.get("timm", {})
    ordered = sorted(benches, key=lambda bench: -(bench.sample or 0))
    lines = head(TITLE, command)
    if WHOLE in remarked:
        lines += [remarked[WHOLE], ""]
    lines += ["Networks of one family were trained by one recipe, so that accuracy differs by architecture alone.", ""]
    pictures: dict[str, str] = {}
    for place, bench in enumerate(ordered):
        lines += _run(bench, place, remarked, pictures)
    lines += ["## Settings", "", *provenance(ordered)]
    first = ordered[0]
    best = next((row for row in first.rows), None)
    headline = (
        f"{len(first.families)} families, {words.count(first.sample)} networks; on average `{best.name}` ranks best,"
        f" Kendall’s τ {words.estimate(best.metrics.get('kendall'))}."
        if best is not None
        else "not measured yet."
    )
    return Page("timm.md", TITLE, headline, "\n".join(lines) + "\n", pictures)


def _run(bench: Bench, place: int, notes: Mapping[str, str], pictures: dict[str, str]) -> list[str]:
    seed = "" if bench.seed is None else f", seed {bench.seed}"
    lines = [f"## {words.count(bench.sample)} networks in {len(bench.families)} families{seed}", ""]
    notes_of = {AT_BUDGET: words.BUDGET_NOTE, RELIABILITY: words.RELIABILITY_NOTE}
    said = ["Value [95 % bootstrap interval].", *(note for metric, note in notes_of.items() if bench.has(metric))]
    lines += ["### Means over the families", "", " ".join(said), ""]
    lines += table(
        ["proxy", *(words.METRIC_NAMES[metric] for metric in bench.measures)],
        [[f"`{row.name}`", *(words.figure(metric, row.metrics.get(metric)) for metric in bench.measures)] for row in bench.rows],
    )
    lines += [f"- `{name}`: {text}" for name, text in notes.items() if name != WHOLE]
    lines += ["", "### Kendall’s τ within each family", ""]
    if bench.families:
        titles = [f"{one.name} ({words.count(one.networks)})" for one in bench.families]
        names = list(dict.fromkeys([row.name for row in bench.rows] + [row.name for one in bench.families for row in one.rows]))
        rows = []
        for name in names:
            found = [next((row for row in one.rows if row.name == name), None) for one in bench.families]
            cells = (words.estimate(row.metrics.get("kendall")) if row is not None else words.MISSING for row in found)
            rows.append([f"`{name}`", *cells])
        lines += table(["proxy", *titles], rows)
    else:
        lines += ["Not measured.", ""]
    columns = bench.score_columns[:12]
    if columns:
        picture = f"timm_{place}_scatter.svg" if place else "timm_scatter.svg"
        pictures[picture] = charts.scatters(bench, columns, alone=True)
        lines += ["### Score against accuracy", "", f"![Score against accuracy, one colour per family]({picture})", ""]
    return [*lines, "### Time and failures", "", *times([bench], ["per network"])]
