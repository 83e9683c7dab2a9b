"""docs/results/ablations.md: the papers' ablations, ours beside theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.results.markdown import Page, head, paper_cell, provenance, remarks, table
from benchmarks.results.notes import WHOLE
from search.bench.judging.papers import ABLATIONS, DATASETS, METRICS
from search.bench.page import words
from search.bench.page.data import Bench, Row

TITLE = "The papers’ ablations"


def make(benches: Sequence[Bench], notes: Mapping[str, Mapping[str, str]], command: str) -> Page:
    """The page of all ablations: a section each, in the order of `papers.ABLATIONS`."""
    known = list(ABLATIONS)
    names = sorted({bench.ablation for bench in benches}, key=lambda name: (known.index(name) if name in known else 99, name))
    lines = head(TITLE, command)
    if WHOLE in notes.get("ablations", {}):
        lines += [notes["ablations"][WHOLE], ""]
    lines += ["Value [95 % bootstrap interval]; next to it the paper’s figure and where our interval lies.", ""]
    shown: list[Bench] = []
    for name in names:
        found = _largest([bench for bench in benches if bench.ablation == name])
        shown += found
        lines += _section(name, found, notes.get(f"ablations.{name}", {}))
    lines += ["## Settings", "", *provenance(shown)]
    tally = words.tally(words.places((row for bench in shown for row in bench.rows), METRICS))
    return Page("ablations.md", TITLE, tally, "\n".join(lines) + "\n")


def _largest(benches: Sequence[Bench]) -> list[Bench]:
    """One run per dataset, the one with most networks, in the order of the papers' datasets."""
    best: dict[str, Bench] = {}
    for bench in benches:
        if bench.dataset not in best or (bench.sample or 0) > (best[bench.dataset].sample or 0):
            best[bench.dataset] = bench
    order = {name: place for place, name in enumerate(DATASETS)}
    return sorted(best.values(), key=lambda bench: order.get(bench.dataset, 9))


def _section(name: str, benches: Sequence[Bench], notes: Mapping[str, str]) -> list[str]:
    known = ABLATIONS.get(name)
    lines = [f"## {known.title if known else name}", ""]
    if known:
        lines += [f"{known.paper}, {known.table}: {known.setting}.", ""]
    for bench in benches:
        dataset = words.DATASET_NAMES.get(bench.dataset, bench.dataset or "unnamed")
        seed = "" if bench.seed is None else f", seed {bench.seed}"
        lines.append(f"- Ours, {dataset}: {words.networks(bench)}{seed}.")
    lines += ["", *([notes[WHOLE], ""] if WHOLE in notes else [])]
    titles = [words.DATASET_NAMES.get(bench.dataset, bench.dataset or "ours") for bench in benches]
    if known is not None and known.by_dataset:
        columns = [(title, bench, "kendall") for title, bench in zip(titles, benches, strict=True)]
        lines += _table(columns)
    else:
        for title, bench in zip(titles, benches, strict=True):
            lines += [f"### {title}", ""] if len(benches) > 1 else []
            lines += _table([(words.METRIC_NAMES[metric], bench, metric) for metric in METRICS])
    rows = {title: bench.rows for title, bench in zip(titles, benches, strict=True)}
    return [*lines, *remarks(rows, METRICS, {key: text for key, text in notes.items() if key != WHOLE})]


def _table(columns: Sequence[tuple[str, Bench, str]]) -> list[str]:
    labels = list(dict.fromkeys(row.name for _, bench, _ in columns for row in bench.rows))
    lines = []
    for label in labels:
        cells = [f"`{label}`"]
        for _, bench, metric in columns:
            row: Row | None = bench.row(label)
            cells += [words.estimate(row.metrics.get(metric)) if row is not None else words.MISSING, paper_cell(row, metric)]
        lines.append(cells)
    return table(["", *(cell for title, _, _ in columns for cell in (title, "paper"))], lines)
