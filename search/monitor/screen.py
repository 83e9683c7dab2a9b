"""How `uninas watch` looks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.journal.records import Candidate
from search.monitor.progress import panel
from search.monitor.snapshot import Snapshot
from search.ranking.objective import find
from uninas.drawing.labels import quantity

_FIXED_WIDTH = 62  # of the columns that are always there
_SCORE_WIDTH = 14
_STYLES = {"failed": "red", "over_budget": "yellow", "stopped": "yellow", "repeated": "yellow"}


def screen(snapshot: Snapshot, width: int) -> RenderableType:
    """Draw a snapshot of a run; `width` is the terminal's, in characters."""
    parts: list[RenderableType] = [Text(snapshot.heading, style="bold"), panel(snapshot.state)]
    parts += [Text(text, style=_STYLES.get(kind, "dim")) for kind, text in snapshot.details()]
    if snapshot.recent:
        parts.append(_recent(snapshot.recent, find(snapshot.config.objective).proxies, width))
    return Group(*parts)


def _recent(candidates: Sequence[Candidate], proxies: Sequence[str], width: int) -> Table:
    """List the last candidates, the newest on top, with as many raw scores as there is room for."""
    shown = proxies[: max((width - _FIXED_WIDTH) // _SCORE_WIDTH, 1)]
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("candidate", no_wrap=True)
    for title in ("params", "MACs", "layers", "build", "score", *shown):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("worker", no_wrap=True)
    for candidate in reversed(candidates):
        cost, seconds, scores = candidate.cost, candidate.seconds, candidate.scores
        spent = [f"{seconds[stage]:.2f} s" if stage in seconds else "" for stage in ("build", "score")]
        none = candidate.status.replace("_", " ") if candidate.status != "ok" else "failed"
        values = [f"{scores[name]:.5g}" if name in scores else none for name in shown]
        table.add_row(
            f"{candidate.phase} {candidate.index}",
            *(quantity(cost[name]) if name in cost else "" for name in ("params", "macs", "layers")),
            *spent,
            *values,
            candidate.worker,
            style=_STYLES.get(candidate.status, ""),
        )
    return table
