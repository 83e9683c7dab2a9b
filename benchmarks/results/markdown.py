"""Parts of the Markdown pages: tables, comparisons, remarks, settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.results.notes import WHOLE
from search.bench.page import words
from search.bench.page.data import Bench, Row

_HIDDEN = ("host", "hostname", "node", "nodes", "user", "folder", "argv")
_PATH = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)+")


@dataclass(frozen=True)
class Page:
    """A page: file name, title, its message in one sentence, its text, and its pictures by file name."""

    file: str
    title: str
    headline: str
    text: str
    pictures: Mapping[str, str] = field(default_factory=dict)


def head(title: str, command: str) -> list[str]:
    """Title and origin."""
    return [f"# {title}", "", f"Made by `{command}`, never edited by hand; remarks come from `notes.toml` beside it.", ""]


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: bool = True) -> list[str]:
    """A table whose first column is text and whose others are numbers."""
    lines = [f"| {' | '.join(titles)} |", "|---" + ("|---:" if right else "|---") * (len(titles) - 1) + "|"]
    return [*lines, *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows), ""]


def paper_cell(row: Row | None, metric: str) -> str:
    """The papers' figure and where our interval lies, what misses in bold: 0.743 inside."""
    figures = row.papers.get(metric, ()) if row is not None else ()
    if row is None or not figures:
        return words.MISSING
    place = row.place(metric)
    return f"{words.number(figures[0].value, figures[0].digits)} {f'**{place}**' if place == 'below' else place}".strip()


def remarks(rows_of: Mapping[str, Sequence[Row]], metrics: Sequence[str], notes: Mapping[str, str]) -> list[str]:
    """Why figures differ: a line for each name with a remark, and one that names what lies below and has none.

    Args:
        rows_of: dataset or variant -> its rows.
        metrics: those compared.
        notes: name -> remark.
    """
    measured = {row.name for rows in rows_of.values() for row in rows}
    missed: dict[str, list[str]] = {}
    for title, rows in rows_of.items():
        for row in rows:
            found = [words.METRIC_NAMES[metric] for metric in metrics if row.place(metric) == "below"]
            if found:
                missed.setdefault(row.name, []).append(" ".join(filter(None, (title, f"({', '.join(found)})"))))
    lines = [f"- `{name}`: {text}" for name, text in notes.items() if name in measured]
    unexplained = {name: where for name, where in missed.items() if words.plain(name) not in notes}
    lines += [
        f"- `{name}`: below the paper’s figure on {'; '.join(where)}. No reason known." for name, where in unexplained.items()
    ]
    absent = [f"`{name}`" for name in notes if name not in measured and name != WHOLE]
    if absent:
        lines.append(f"- Remarks on what was not measured here: {', '.join(absent)}.")
    return [*lines, ""] if lines else []


def times(benches: Sequence[Bench], titles: Sequence[str]) -> list[str]:
    """Seconds of each proxy on each dataset, where what several share is counted for the first; alone; failures."""
    names = list(dict.fromkeys(row.name for bench in benches for row in bench.rows if row.seconds is not None or row.failed))
    if not names:
        return ["Not measured.", ""]

    def seconds(name: str, bench: Bench) -> float:
        row = bench.row(name)
        return row.seconds if row is not None and row.seconds is not None else -1.0

    names.sort(key=lambda name: -max(seconds(name, bench) for bench in benches))
    weighed = any(row.memory is not None for bench in benches for row in bench.rows)
    lines = []
    for name in names:
        rows = [bench.row(name) for bench in benches]
        largest = max((row.memory for row in rows if row is not None and row.memory is not None), default=None)
        reasons = [
            f"{title}: {words.failures(row)}" for title, row in zip(titles, rows, strict=True) if row is not None and row.failed
        ]
        spent = [words.seconds(None if row is None else row.seconds) for row in rows]
        by_itself = max((row.alone for row in rows if row is not None and row.alone is not None), default=None)
        extra = [words.seconds(by_itself), words.memory(largest)] if weighed else []
        lines.append([f"`{name}`", *spent, *extra, "; ".join(reasons) or "none"])
    columns = ["proxy", *(f"{title}, s" for title in titles), *(["alone, s", "peak memory"] if weighed else []), "failed"]
    costs = [f"{title}: {bench.costs}" for title, bench in zip(titles, benches, strict=True) if bench.costs]
    if not weighed:
        costs = ["Alone, and peak memory: not measured (`uninas bench costs RUN`)."]
    return [*table(columns, lines), *(line for text in costs for line in (text, ""))]


def provenance(benches: Sequence[Bench]) -> list[str]:
    """Settings and environment of each run, folded away; no folder of the machine."""
    lines = []
    for bench in benches:
        pairs = [*words.flat(bench.settings), *words.flat(bench.environment)]
        shown = [(name, _PATH.sub("", value)[:400]) for name, value in pairs if not _hidden(name)]
        lines += [f"<details><summary>Run {bench.name}: {words.networks(bench)}</summary>", ""]
        lines += table(["setting", "value"], shown, right=False) if shown else ["None recorded.", ""]
        lines += ["</details>", ""]
    return lines


def _hidden(name: str) -> bool:
    return any(part in _HIDDEN for part in name.replace("·", " ").split())
