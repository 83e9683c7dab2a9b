"""A comparison of two networks as one SVG: costs, the stages of both side by side, and every changed graph before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from uninas.diff import Difference, GraphDiff, StageDiff
from uninas.drawing.canvas import Canvas, text_width, wrap
from uninas.drawing.diff_terminal import cost_rows, twin_note
from uninas.drawing.diff_words import MARKS, SIGNS, block_place, block_runs, graph_words, stage_facts
from uninas.drawing.graph_picture import GraphPicture, check_size
from uninas.drawing.naming.patterns import summarise_block, summarise_graph
from uninas.graph import IDENTITY, Graph

WIDTH, MARGIN, _LABEL, _GAP = 1080.0, 28.0, 130.0, 12.0
_CHIP, _CHIP_HEIGHT = (190.0, 290.0), 56.0
_STYLES = {"changed": "changed", "added": "added", "removed": "removed", "moved": "changed"}  # kind of a block -> mark
_WORDS = {"added": "only in B", "removed": "only in A", "changed": "differs"}


def draw_difference(difference: Difference, names: tuple[str, str]) -> str:
    """Draw both networks with what differs in colour and by sign, as a self-contained SVG document.

    Args:
        difference: of two networks.
        names: what the user calls them.

    Raises:
        InputError: too much for a picture.
    """
    canvas = Canvas()
    y = _draw_header(canvas, difference, names)
    for stage in difference.stages:
        y = _draw_stage(canvas, difference, stage, y)
    parts = list(_changed_graphs(difference))
    check_size(graph for _, change, _ in parts for graph in (change.a, change.b) if graph is not None)
    panels = [_Panel(*part) for part in parts]
    width = max([WIDTH, *(panel.width + 2 * MARGIN for panel in panels)])
    if panels:
        canvas.text(MARGIN, y + 34, "What differs, before and after", size=16, bold=650)
        y = _draw_panels(canvas, panels, y + 52, width)
    y = _draw_legend(canvas, y + 16)
    return canvas.to_svg(width, y + MARGIN, f"Difference of {names[0]} and {names[1]}")


def _draw_header(canvas: Canvas, difference: Difference, names: tuple[str, str]) -> float:
    title = " → ".join(names)
    room = (WIDTH - 2 * MARGIN) / (1.1 * max(text_width(title, 1.0), 1.0))  # bold letters are wider
    canvas.text(MARGIN, 46, title, size=min(21.0, room), bold=650)
    digests = f"A {difference.a.digest[:12]}   ·   B {difference.b.digest[:12]}"
    verdict = "equal: one digest" if difference.equal else "different networks"
    canvas.text(MARGIN, 68, f"{digests}   ·   {verdict}", "un-soft", size=12.5)
    y = 92.0
    columns = (MARGIN + 250, MARGIN + 400, MARGIN + 620)
    for x, name in zip(columns, ("A", "B", "B − A"), strict=True):
        canvas.text(x, y, name, "un-soft", size=11, anchor="end")
    for row in cost_rows(difference):
        y += 19
        canvas.text(MARGIN, y, row[0], size=12)
        for x, text in zip(columns, row[1:], strict=True):
            canvas.text(x, y, text, size=12, anchor="end")
    for name, before, after in difference.settings:
        y += 19
        canvas.text(MARGIN, y, f"~ {name}: {before} became {after}", "un-on-changed", size=12, bold=600)
    return y + 20


# --- stages -----------------------------------------------------------------------------------------------------------


def _draw_stage(canvas: Canvas, difference: Difference, stage: StageDiff, y: float) -> float:
    """A row: the stage's number and width, then its blocks, those in a row to which the same happened as one chip."""
    canvas.line(MARGIN, y, WIDTH - MARGIN, y, "un-rule")
    mark = "added" if stage.before is None else "removed" if stage.after is None else ""
    number = stage.after if stage.after is not None else stage.before
    name = f"{SIGNS[mark]} Stage {number}" if mark else f"Stage {number}"
    canvas.text(MARGIN, y + 24, name, f"un-on-{mark}" if mark else "un-ink", size=13.5, bold=650)
    facts, differ = stage_facts(stage)
    for line, text in enumerate(facts.split(", ")):
        changed = differ and "became" in text
        style = "un-on-changed" if changed else "un-soft"
        text = text.replace("width ", "").replace("became", "→") if changed else text
        canvas.text(MARGIN, y + 42 + 15 * line, text, style, size=11, bold=700 * changed)
    chips = []
    if stage.transition is not None:
        made = stage.transition
        text = summarise_graph(made.a, *made.reads_a) if made.b is None else summarise_graph(made.b, *made.reads_b)
        chips.append((made.kind, f"{SIGNS[made.kind]} transition", text))
    for run in block_runs(stage):
        block = run[0]
        note = twin_note(difference, block)
        text = summarise_block(block.block, *block.reads) + (f", {note}" if note else "")
        chips.append((_STYLES.get(block.kind, ""), f"{SIGNS[block.kind]} {block_place(run)}", text))
    x, top = MARGIN + _LABEL, y + 10
    for mark, place, text in chips:
        room = min(max(1.1 * text_width(place, 11.5), text_width(text, 11), _CHIP[0]) + 20, _CHIP[1])
        if x > MARGIN + _LABEL and x + room > WIDTH - MARGIN:
            x, top = MARGIN + _LABEL, top + _CHIP_HEIGHT + _GAP
        canvas.open_group(x, top, f"{place}: {text}")
        canvas.rect(0, 0, room, _CHIP_HEIGHT, f"un-mark un-{mark}" if mark else "un-panel un-rule", radius=7)
        canvas.text(9, 17, place, f"un-on-{mark}" if mark else "un-soft", size=11.5, bold=650)
        for line, part in enumerate(wrap(text, room - 16, 11, 2)):
            canvas.text(9, 32 + 13.5 * line, part, size=11)
        canvas.close_group()
        x += room + _GAP
    return top + _CHIP_HEIGHT + 12 if chips else y + 70


# --- graphs before and after ------------------------------------------------------------------------------------------


def _changed_graphs(difference: Difference) -> Iterator[tuple[str, GraphDiff, bool]]:
    """Title, comparison and residual form of every graph that differs, those that differ in the same way once."""
    seen: list[tuple[Graph | None, Graph | None]] = []

    def parts() -> Iterator[tuple[str, GraphDiff, bool]]:
        if difference.stem is not None:
            yield "Stem", difference.stem, False
        for stage in difference.stages:
            number = f"Stage {stage.after}" if stage.after is not None else f"Stage {stage.before} of A"
            if stage.transition is not None:
                yield f"{number}, transition", stage.transition, False
            for run in block_runs(stage):
                for sub, graph in enumerate(run[0].graphs, start=1):
                    name = f", S{sub}" if len(run[0].graphs) > 1 else ""
                    yield f"{number}, {block_place(run)}{name}", graph, run[0].block.residual
        if difference.head is not None:
            yield "Head", difference.head, False

    for title, graph, residual in parts():
        if graph.kind != "equal" and (graph.a, graph.b) not in seen:
            seen.append((graph.a, graph.b))
            yield title, graph, residual


@dataclass
class _Placed:
    name: str
    picture: GraphPicture


class _Panel:
    """One graph before and after beside each other, under a title and its edits in words."""

    def __init__(self, title: str, graph: GraphDiff, residual: bool) -> None:
        self.title = title
        words = graph_words(graph, residual)
        self.parts: list[_Placed] = []
        marks_a = {node: MARKS[edit.kind] for edit in graph.edits for node in edit.before}
        marks_b = {node: MARKS[edit.kind] for edit in graph.edits for node in edit.after}
        for name, of, (width, tokens), marks in (("A", graph.a, graph.reads_a, marks_a), ("B", graph.b, graph.reads_b, marks_b)):
            if of is not None and of != IDENTITY:
                whole = "" if graph.kind == "changed" else graph.kind
                marked = dict.fromkeys(range(1, len(of.nodes)), whole) if whole else marks
                self.parts.append(_Placed(name, GraphPicture(of, [width], tokens, residual=residual, marks=marked)))
        inner = sum(part.picture.width for part in self.parts) + 18.0 * max(len(self.parts) - 1, 0)
        self.width = max(inner + 28, 1.1 * text_width(title, 12.5) + 28, 320.0)
        self.lines = [line for word in words for line in wrap(f"{word.sign} {word.text}", self.width - 28, 11, 3)]
        self.top = 34 + 14.5 * len(self.lines) + 22
        self.height = self.top + max([part.picture.height for part in self.parts], default=0.0) + 12

    def draw(self, canvas: Canvas, x: float, y: float, height: float) -> None:
        canvas.open_group(x, y)
        canvas.rect(0, 0, self.width, height, "un-panel un-rule", radius=9)
        canvas.text(14, 24, self.title, size=12.5, bold=650)
        for line, text in enumerate(self.lines):
            canvas.text(14, 43 + 14.5 * line, text, "un-soft", size=11)
        left = 14.0
        for part in self.parts:
            canvas.text(left + part.picture.width / 2, self.top - 4, part.name, "un-soft", size=11, anchor="middle", bold=700)
            part.picture.draw(canvas, left, self.top)
            left += part.picture.width + 18
        canvas.close_group()


def _draw_panels(canvas: Canvas, panels: list[_Panel], y: float, width: float) -> float:
    """Fill rows with panels; returns where the rows end."""
    row: list[_Panel] = []
    for panel in [*panels, None]:
        used = sum(other.width + _GAP for other in row)
        if panel is not None and used + panel.width <= width - 2 * MARGIN:
            row.append(panel)
            continue
        height, x = max([other.height for other in row], default=0.0), MARGIN
        for other in row:
            other.draw(canvas, x, y, height)
            x += other.width + _GAP
        y += (height + _GAP) * bool(row)
        row = [panel] if panel is not None else []
    return y


def _draw_legend(canvas: Canvas, y: float) -> float:
    x = MARGIN
    for mark, words in _WORDS.items():
        canvas.rect(x + 1, y + 1, 16, 16, f"un-mark un-{mark}", radius=5)
        canvas.text(x + 9, y + 13, SIGNS[mark], f"un-on-{mark}", size=11, anchor="middle", bold=700)
        canvas.text(x + 24, y + 13.3, words, size=11.5)
        x += 48 + text_width(words, 11.5)
    note = "→ has moved   ·   = equal   ·   %4: number of the operation in the canonical form"
    canvas.text(x, y + 13.3, note, "un-soft", size=11.5)
    return y + 20
