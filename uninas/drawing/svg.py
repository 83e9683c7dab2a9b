"""A network as one SVG: the overview of its stages first, then the graph of every distinct block."""

from __future__ import annotations

from collections.abc import Sequence

from uninas.drawing.canvas import Canvas, text_width, wrap
from uninas.drawing.graph_picture import GraphPicture, check_size
from uninas.drawing.labels import FAMILIES, family_of, percent, quantity
from uninas.drawing.overview import BlockKind, Overview, Run, StageView, overview, select
from uninas.graph import IDENTITY, Architecture, Graph

WIDTH = 1080.0
MARGIN = 28.0
_LABEL = 150.0  # column of stage names
_SHARES = 150.0  # column of shares of the cost
_CHIP_HEIGHT = 66.0
_CHIP_WIDTHS = (150.0, 330.0)  # a chip is as wide as its text, within these
_GAP = 12.0


def draw_architecture(
    arch: Architecture, *, title: str = "", stage: int | None = None, block: int | None = None, shut: bool = False
) -> str:
    """Draw a network from its overview down to each distinct block, as a self-contained SVG document.

    Equal blocks are drawn once and called by a letter. Readable on light and dark ground. Costs are at the
    reference size.

    Args:
        arch: the architecture.
        title: what the picture is called; default the architecture's digest.
        stage: draw the blocks of this stage alone (from 1), without the overview.
        block: draw this block of the stage alone (from 1; 0 is the transition).
        shut: each pattern of a block is one box.

    Raises:
        GraphError: a graph of the architecture is ill-typed.
        InputError: there is no such stage or block, or too much for a picture.
    """
    view = overview(arch)
    canvas = Canvas()
    y = _draw_title(canvas, view, title)
    if stage is None:
        y = _draw_overview(canvas, view, y)
        width, y = _draw_blocks(canvas, view, y + 30, shut=shut)
    else:
        heading = (
            f"Stage {stage}" if block is None else f"Stage {stage}, block {block}" if block else f"Transition into stage {stage}"
        )
        width, y = _draw_blocks(canvas, view, y + 10, select(view, stage, block), heading=heading, shut=shut)
    return canvas.to_svg(width, y + MARGIN, title or f"Architecture {arch.digest[:12]}")


def draw_overview(arch: Architecture) -> str:
    """Draw the first half of `draw_architecture` alone, without its title: stem, stages with their blocks, head, shares."""
    canvas = Canvas()
    y = _draw_overview(canvas, overview(arch), 6.0)
    return canvas.to_svg(WIDTH - 2 * MARGIN, y + 6, left=MARGIN, title=f"Overview of architecture {arch.digest[:12]}")


def draw_blocks(arch: Architecture) -> str:
    """Draw the second half of `draw_architecture` alone: the graph of every distinct block, and the legend."""
    canvas = Canvas()
    width, y = _draw_blocks(canvas, overview(arch), 0.0, heading="")
    return canvas.to_svg(width - 2 * MARGIN + 6, y + 6, left=MARGIN - 3, title=f"Blocks of architecture {arch.digest[:12]}")


def draw_subblock(graph: Graph, width: int) -> str:
    """Draw one sub-block's graph at a width, as a self-contained SVG document.

    Raises:
        GraphError: the graph is ill-typed at that width.
    """
    graph.types(width)
    check_size([graph])
    picture = GraphPicture(graph, [width], residual=False)
    canvas = Canvas()
    picture.draw(canvas, MARGIN, MARGIN)
    return canvas.to_svg(picture.width + 2 * MARGIN, picture.height + 2 * MARGIN, f"Graph of {len(graph.nodes)} nodes")


def _draw_title(canvas: Canvas, view: Overview, title: str) -> float:
    arch = view.architecture
    title = title or f"Architecture {arch.digest[:12]}"
    room = (WIDTH - 2 * MARGIN) / (1.1 * max(text_width(title, 1.0), 1.0))  # bold letters are wider
    canvas.text(MARGIN, 46, title, size=min(21.0, room), bold=650)
    height, width = arch.input_size
    facts = [
        f"{height} × {width} px",
        f"{arch.classes} classes",
        f"{quantity(view.total.params)} parameters",
        f"{quantity(view.total.macs)} MACs",
        f"{view.total.layers} layers",
    ]
    if view.total.attention_tokens:
        facts.append(f"attention over {view.total.attention_tokens} tokens")
    canvas.text(MARGIN, 68, "   ·   ".join(facts), "un-soft", size=12.5)
    return 92.0


# --- overview ---------------------------------------------------------------------------------------------------------


def _draw_overview(canvas: Canvas, view: Overview, y: float) -> float:
    right = WIDTH - MARGIN
    canvas.text(right - _SHARES, y + 10, "parameters", "un-soft", size=10.5)
    canvas.text(right - _SHARES / 2 + 6, y + 10, "MACs", "un-soft", size=10.5)
    y += 18
    arch = view.architecture
    channels, place, _ = view.stem_flow
    text = view.stem_text
    if not isinstance(arch.stem, Graph):
        first, second = arch.stem
        text = f"conv 3×3, stride 2 ({arch.in_channels} → {first}), BatchNorm, GELU, conv 3×3 ({first} → {second})"
    shape = f"{place.height} × {place.width}  ·  {channels} ch"
    y = _draw_plain_row(canvas, view, y, "Stem", shape, text, view.stem)
    for stage in view.stages:
        y = _draw_stage(canvas, view, stage, y)
    text = f"{view.head_text}, linear to {arch.classes} classes"
    return _draw_plain_row(canvas, view, y, "Head", "1 × 1", text, view.head)


def _draw_plain_row(canvas: Canvas, view: Overview, y: float, name: str, shape: str, text: str, spent: tuple[int, int]) -> float:
    canvas.line(MARGIN, y, WIDTH - MARGIN, y, "un-rule")
    canvas.text(MARGIN, y + 21, name, size=13.5, bold=650)
    canvas.text(MARGIN, y + 38, shape, "un-soft", size=11)
    canvas.text(MARGIN + _LABEL, y + 30, text, size=12)
    _draw_shares(canvas, view, y + 22, spent)
    return y + 52


def _draw_stage(canvas: Canvas, view: Overview, stage: StageView, y: float) -> float:
    canvas.line(MARGIN, y, WIDTH - MARGIN, y, "un-rule")
    canvas.text(MARGIN, y + 24, f"Stage {stage.number}", size=13.5, bold=650)
    height, width = stage.resolution
    canvas.text(MARGIN, y + 42, f"{height} × {width}  ·  {stage.width} ch", "un-soft", size=11)
    canvas.text(MARGIN, y + 58, stage.content, "un-soft", size=11)
    _draw_shares(canvas, view, y + 25, (stage.params, stage.macs))
    x, top = MARGIN + _LABEL, y + 10
    columns = WIDTH - 2 * MARGIN - _LABEL - _SHARES - _GAP
    widest = min(_CHIP_WIDTHS[1], (columns - 2 * _GAP) / 3) if len(stage.runs) > 2 else _CHIP_WIDTHS[1]
    for run in stage.runs:
        room = min(_chip_width(run), widest)
        if x > MARGIN + _LABEL and x + room > WIDTH - MARGIN - _SHARES - _GAP:
            x, top = MARGIN + _LABEL, top + _CHIP_HEIGHT + _GAP
        _draw_chip(canvas, run, x, top, room)
        x += room + _GAP
    return top + _CHIP_HEIGHT + 12


def _chip_width(run: Run) -> float:
    text = max(text_width(run.summary, 11.5), text_width(_chip_costs(run), 10))
    low, high = _CHIP_WIDTHS
    return min(max(text + 54.0, low), high)


def _chip_costs(run: Run) -> str:
    return f"{quantity(run.params)} params  ·  {quantity(run.macs)} MACs"


def _draw_chip(canvas: Canvas, run: Run, x: float, y: float, width: float) -> None:
    height = _CHIP_HEIGHT
    canvas.open_group(x, y, f"{run.count} × {run.kind.role.lower()} {run.kind.letter}: {run.summary}")
    if run.count > 1:
        canvas.rect(3, 3, width, height, "un-panel un-rule", radius=7)
    canvas.rect(0, 0, width, height, "un-panel un-rule", radius=7)
    _draw_badge(canvas, run.kind, 10, 10)
    if run.count > 1:
        canvas.text(21, 52, f"×{run.count}", "un-ink", size=11.5, anchor="middle", bold=600)
    left = 44.0
    for line, text in enumerate(wrap(run.summary, width - left - 6, 11.5, 2)):
        canvas.text(left, 21 + 14.5 * line, text, size=11.5)
    canvas.text(left, height - 10, _chip_costs(run), "un-soft", size=10)
    canvas.close_group()


def _badge_width(kind: BlockKind) -> float:
    return max(22.0, text_width(kind.letter, 13) + 10)


def _draw_badge(canvas: Canvas, kind: BlockKind, x: float, y: float) -> None:
    width = _badge_width(kind)
    canvas.rect(x, y, width, 22, f"un-{_colour(kind)}", radius=5)
    canvas.text(x + width / 2, y + 15.7, kind.letter, size=13, anchor="middle", bold=700)


def _colour(kind: BlockKind) -> str:
    """The family that a block is known by: attention where a map is applied, else convolution where there is some."""
    nodes = [node for graph in kind.block.subblocks if graph is not None for node in graph.nodes]
    if any(node.op.name == "matmul_av" for node in nodes):
        return "attention"
    families = {family_of(node.op) for node in nodes}
    return next((family for family in ("convolution", "pooling") if family in families), "structure")


def _draw_shares(canvas: Canvas, view: Overview, y: float, spent: tuple[int, int]) -> None:
    """Two bars with percentages: the shares of all parameters and of all MACs."""
    right = WIDTH - MARGIN
    totals = (view.total.params, view.total.macs)
    for left, part, whole, style in (
        (right - _SHARES, spent[0], totals[0], "un-bar-a"),
        (right - _SHARES / 2 + 6, spent[1], totals[1], "un-bar-b"),
    ):
        canvas.text(left, y, percent(part, whole), size=12)
        length = _SHARES / 2 - 10
        canvas.rect(left, y + 6, length, 5, "un-track", radius=2.5)
        canvas.rect(left, y + 6, length * part / max(whole, 1), 5, style, radius=2.5)


# --- blocks -----------------------------------------------------------------------------------------------------------


class _Panel:
    """The picture of a distinct block: its sub-blocks side by side under a heading."""

    def __init__(self, kind: BlockKind, *, shut: bool) -> None:
        self.kind = kind
        self.parts: list[tuple[str, GraphPicture]] = []
        without = []
        for number, graph in enumerate(kind.block.subblocks, start=1):
            if graph is None or (kind.block.residual and graph.nodes[graph.output].op.name == "zero"):
                without.append(f"S{number} is {'absent' if graph is None else 'zero'}")
            else:
                name = f"S{number}" if len(kind.block.subblocks) > 1 else "S"
                self.parts.append((name, GraphPicture(graph, kind.widths, kind.tokens, residual=kind.block.residual, shut=shut)))
        self.heading = wrap(kind.summary, 300, 12.5, 3)
        self.indent = 24.0 + _badge_width(kind)
        self.widths = [picture.width for _, picture in self.parts]
        # Bold letters are wider than those that text_width knows.
        heading_width = max([self.indent + 2 + 1.15 * text_width(line, 12.5) for line in self.heading], default=0.0)
        role = "Transition" if kind.role == "Transition" else ""
        facts = [role, kind.occurrences, f"C = {', '.join(map(str, kind.widths))}", *without]
        self.note = "  ·  ".join(fact for fact in facts if fact)
        heading_width = max(heading_width, 20 + text_width(self.note, 10.5))
        self.width = max(sum(self.widths) + 14.0 * (len(self.parts) - 1) + 28, heading_width + 16)
        self.top = 30 + 15.0 * len(self.heading) + 30
        self.height = self.top + max([picture.height for _, picture in self.parts], default=0.0) + 14

    def draw(self, canvas: Canvas, x: float, y: float, height: float) -> None:
        canvas.open_group(x, y)
        canvas.rect(0, 0, self.width, height, "un-panel un-rule", radius=9)
        _draw_badge(canvas, self.kind, 14, 13)
        for line, text in enumerate(self.heading):
            canvas.text(self.indent, 28.5 + 15 * line, text, size=12.5, bold=600)
        canvas.text(14, 33 + 15.0 * len(self.heading), self.note, "un-soft", size=10.5)
        left = (self.width - sum(self.widths) - 14.0 * (len(self.parts) - 1)) / 2
        for (name, picture), width in zip(self.parts, self.widths, strict=True):
            canvas.text(left + width / 2, self.top - 8, name, "un-soft", size=11, anchor="middle", bold=600)
            picture.draw(canvas, left, self.top)
            left += width + 14
        canvas.close_group()


def _draw_blocks(
    canvas: Canvas,
    view: Overview,
    y: float,
    kinds: Sequence[BlockKind] | None = None,
    *,
    heading: str = "Blocks",
    shut: bool = False,
) -> tuple[float, float]:
    """Fill rows with panels of all kinds of blocks, or some; returns the width of the whole drawing and where the rows end."""
    kinds = view.kinds if kinds is None else kinds
    if heading:
        canvas.text(MARGIN, y + 4, heading, size=16, bold=650)
    else:
        y -= 8
    for text in wrap(_forms(view, kinds), WIDTH - 2 * MARGIN, 11.5, 3):
        canvas.text(MARGIN, y + 24, text, "un-soft", size=11.5)
        y += 16
    y += 26
    check_size(graph for kind in kinds for graph in kind.block.subblocks if graph is not None)
    panels = [_Panel(kind, shut=shut) for kind in kinds]
    width = max([WIDTH, *(panel.width + 2 * MARGIN for panel in panels)])
    row: list[_Panel] = []
    for panel in [*panels, None]:
        used = sum(other.width + _GAP for other in row)
        if panel is not None and used + panel.width <= width - 2 * MARGIN:
            row.append(panel)
            continue
        height = max([other.height for other in row], default=0.0)
        x = MARGIN
        for other in row:
            other.draw(canvas, x, y, height)
            x += other.width + _GAP
        y += (height + _GAP) * bool(row)
        row = [panel] if panel is not None else []
    maps = any(picture.shows_maps for panel in panels for _, picture in panel.parts)
    return width, _draw_legend(canvas, y + 8, maps=maps)


def _forms(view: Overview, kinds: Sequence[BlockKind]) -> str:
    """What the kinds of blocks compute around their graphs."""
    blocks = [kind.block for kind in kinds if kind.role == "Block"]
    shown = {number for kind in kinds for number in kind.per_stage}
    stages = [stage for number, stage in enumerate(view.architecture.stages, start=1) if number in shown]
    texts = [_TEMPLATE] if any(block.residual for block in blocks) else []
    if not all(block.residual for block in blocks):
        texts.append("A plain block is x ← S(x), one graph after the other.")
    if any(stage.transition is not None and stage.transition != IDENTITY for stage in stages):
        texts.append("A transition leads from the previous stage into its own.")
    if any(stage.transition is None for stage in stages):
        texts.append(_HALVING)
    return " ".join(texts)


_TEMPLATE = "x ← x + S1(LayerNorm(x)), then x ← x + S2(LayerNorm(x))."
_HALVING = (
    "The first block of a stage halves the resolution on both paths of S1: 2×2 average pool, and a 1×1 convolution where"
    " the width changes."
)


def _draw_legend(canvas: Canvas, y: float, *, maps: bool) -> float:
    """What colours and labels mean; `maps`: there are labels of attention maps."""
    x = MARGIN
    for family, name in FAMILIES.items():
        canvas.rect(x, y, 16, 16, f"un-{family}")
        canvas.text(x + 22, y + 12.3, name, size=11.5)
        x += 42 + text_width(name, 11.5)
    meanings = "C = the block's width" + "; maps = heads of an attention map" * maps
    text = f"Labels beside an arrow: channels where they change ({meanings}). {_STACKED}"
    canvas.text(MARGIN, y + 38, text, "un-soft", size=11)
    return y + 44


_STACKED = "Stacked boxes stand for parallel branches that are alike."
