"""The picture of one sub-block's graph: boxes by family, patterns as regions, labels where the type changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from uninas.drawing.canvas import Canvas, text_width
from uninas.drawing.folding import Folded, fold, shut
from uninas.drawing.labels import family_of, op_label, type_label
from uninas.drawing.layout import Box, Layout, layered_layout
from uninas.drawing.naming.patterns import NAMES, Pattern, find_patterns, outermost
from uninas.errors import InputError
from uninas.graph import Graph
from uninas.ops import AttentionMap

MOST_OF_ONE, MOST_DRAWN = 4_000, 12_000
"""Nodes and edges of one graph, and of all graphs of a picture: some seconds. Published networks have hundreds."""

BOX_HEIGHT = 24.0
ROUND = 22.0  # side of the small boxes of + and ×
STACK = 3.0  # offset of the boxes behind a folded one
REGION_PAD = 7.0
LABEL, LABEL_RIGHT, LABEL_BELOW = 9.5, 6.0, 12.5  # a label's letters; where its line begins, from the middle below its box
MARKS = {"added": "+", "removed": "−", "changed": "~"}
"""What a comparison may say of a node, with its sign."""
_REGION_FAMILY = {
    "attention": "attention",
    "squeeze-excite": "pooling",
    "gate": "merge",
    "silu": "activation",
    "dense": "merge",
    "mixer": "pooling",
}


def check_size(graphs: Iterable[Graph]) -> None:
    """See that drawing graphs takes seconds. Raises InputError: they are too large together."""
    sizes = [len(graph.nodes) + sum(len(node.inputs) for node in graph.nodes) for graph in graphs]
    if max(sizes, default=0) > MOST_OF_ONE:
        raise InputError(f"drawing: expected at most {MOST_OF_ONE:,} nodes and edges of one graph, got {max(sizes):,}")
    if sum(sizes) > MOST_DRAWN:
        raise InputError(
            f"drawing: expected at most {MOST_DRAWN:,} nodes and edges of blocks that differ, got {sum(sizes):,}: "
            "draw a stage or a block alone"
        )


@dataclass(frozen=True)
class _Item:
    """One box of the picture: its label, family, the node whose type it shows (None: no node), its count and its mark."""

    label: str
    family: str
    node: int | None
    count: int = 1
    title: str = ""
    mark: str | None = None


class GraphPicture:
    """A laid-out sub-block, ready to be put on a canvas: `width` and `height` in pixels, then `draw`.

    Args:
        graph: what is drawn.
        widths: at which it occurs: of several, labels are multiples of C.
        tokens: class tokens of what it reads.
        residual: the picture is the whole sub-block x + S(LayerNorm(x)), else the graph alone.
        shut: each outermost pattern is one box.
        marks: node -> added, removed or changed, drawn in that colour; only of an open picture.
    """

    def __init__(
        self,
        graph: Graph,
        widths: Sequence[int],
        tokens: int = 0,
        *,
        residual: bool,
        shut: bool = False,
        marks: Mapping[int, str] | None = None,
    ) -> None:
        self._graph = graph
        self._width = widths[0]
        self._symbolic = len(set(widths)) > 1
        self._types = graph.frame_types(self._width, tokens)
        self._marks = marks or {}
        self._patterns = find_patterns(graph, self._width, tokens, count_heads=not self._symbolic, residual=residual)
        self._shut = [pattern for pattern in outermost(self._patterns) if len(pattern.nodes) > 1] if shut else []
        self._folded: Folded = _shut(graph, self._shut) if shut else fold(graph, self._marks)
        self._items, edges = self._boxes(residual)
        self._labels = [self._type_change(item) for item in self._items]
        rooms = [(LABEL_RIGHT + text_width(label, LABEL), LABEL_BELOW) if label else (0.0, 0.0) for label in self._labels]
        self._layout: Layout = layered_layout([_size(item) for item in self._items], edges, labels=rooms, vertical_gap=20.0)
        self.width = self._layout.width + 2 * REGION_PAD
        self.height = self._layout.height + 2 * REGION_PAD

    def _boxes(self, residual: bool) -> tuple[list[_Item], list[tuple[int, int]]]:
        items = []
        for nodes in self._folded.members:
            node = self._graph.nodes[nodes[0]]
            pattern = next((one for one in self._shut if one.nodes == frozenset(nodes)), None)
            if pattern is not None:
                last = self._graph.output if self._graph.output in nodes else nodes[-1]
                what = " · ".join(op_label(self._graph.nodes[inner].op) for inner in nodes)
                items.append(_Item(pattern.text, _REGION_FAMILY.get(pattern.kind, "convolution"), last, 1, what))
                continue
            text = f"{node.op.values['count']} parts" if node.op.name == "slice" and len(nodes) > 1 else op_label(node.op)
            if node.op.name == "input":
                text = f"x  ·  {type_label(self._types[0], self._width, symbolic=self._symbolic)}"
            mark = self._marks.get(nodes[0])
            title = f"{node.op.text}: {mark}" if mark else node.op.text
            items.append(_Item(text, family_of(node.op), nodes[0], len(nodes), title, mark))
        edges = list(self._folded.edges)
        output = self._folded.box_of[self._graph.output]
        if not residual:
            items.append(_Item("out", "structure", None))
            return items, [*edges, (output, len(items) - 1)]
        # Box 0 becomes the LayerNorm that feeds the graph; x and the addition stand around it.
        source, norm, addition = len(items), 0, len(items) + 1
        entry = items[0]
        items[0] = _Item("LayerNorm", "normalisation", None, title="norm of the residual sub-block")
        items += [entry, _Item("+", "merge", None, title="residual addition")]
        return items, [(source, norm), *edges, (output, addition), (source, addition)]

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Put the picture on a canvas, its upper left corner at (x, y)."""
        canvas.open_group(x + REGION_PAD, y + REGION_PAD)
        self._draw_regions(canvas)
        for route in self._layout.routes:
            canvas.edge(route.points, arrow=self._items[route.target].label != "out")
        for item, box in zip(self._items, self._layout.boxes, strict=True):
            _draw_box(canvas, item, box)
        for label, box in zip(self._labels, self._layout.boxes, strict=True):
            if label:
                canvas.text(box.centre + LABEL_RIGHT, box.bottom + LABEL_BELOW, label, "un-soft un-halo", size=LABEL)
        canvas.close_group()

    @property
    def shows_maps(self) -> bool:
        """Whether a label shows an attention map."""
        return any(
            label and item.node is not None and isinstance(self._types[item.node], AttentionMap)
            for item, label in zip(self._items, self._labels, strict=True)
        )

    def _type_change(self, item: _Item) -> str:
        """The type behind a box, where it differs from that before it."""
        if item.node is None or not self._graph.nodes[item.node].inputs:
            return ""
        box = self._folded.members[self._folded.box_of[item.node]]
        inputs = {source for node in box for source in self._graph.nodes[node].inputs} - set(box)
        type_ = self._types[item.node]
        before = {self._types[source] for source in inputs}
        return "" if before == {type_} else type_label(type_, self._width, symbolic=self._symbolic, before=before)

    def _draw_regions(self, canvas: Canvas) -> None:
        """Behind each pattern of several boxes a region with its name, where no foreign box would stand in it."""
        # Two regions may share a corner, so that a name is in the way of the next like a box.
        taken = list(self._layout.boxes)
        for label, box in zip(self._labels, self._layout.boxes, strict=True):
            if label:
                taken.append(Box(box.centre + LABEL_RIGHT, box.bottom + LABEL_BELOW - LABEL, text_width(label, LABEL), LABEL))
        for pattern in self._patterns if not self._shut else ():
            members = {self._folded.box_of[node] for node in pattern.nodes}
            region = self._region(pattern, members)
            if region is None:
                continue
            family = _REGION_FAMILY.get(pattern.kind, "convolution")
            canvas.rect(region.x, region.y, region.width, region.height, f"un-{family} un-region", radius=8)
            name = pattern.text if pattern.kind == "squeeze-excite" else NAMES[pattern.kind]
            spot = _free_corner(region, 1.1 * text_width(name, LABEL), taken)  # bold letters are wider
            if spot is not None:
                taken.append(spot)
                canvas.text(spot.x, spot.bottom, name, f"un-on-{family} un-halo", size=LABEL, bold=600)

    def _region(self, pattern: Pattern, members: set[int]) -> Box | None:
        if len(members) < 3 or pattern.kind == "conv":
            return None
        boxes = [self._layout.boxes[member] for member in members]
        left = min(box.x for box in boxes) - REGION_PAD + 1
        top = min(box.y for box in boxes) - REGION_PAD + 1
        right = max(box.x + box.width for box in boxes) + REGION_PAD - 1
        bottom = max(box.bottom for box in boxes) + REGION_PAD - 1
        for index, box in enumerate(self._layout.boxes):
            apart = box.x >= right or box.x + box.width <= left or box.y >= bottom or box.bottom <= top
            if index not in members and not apart:
                return None
        return Box(left, top, right - left, bottom - top)


def _free_corner(region: Box, room: float, taken: Sequence[Box]) -> Box | None:
    """Where in a corner of a region a word of that width would stand on nothing; None where no corner is free."""
    for bottom in (region.bottom - 6, region.y + 12):
        for x in (region.x + 6, region.x + region.width - 6 - room):
            if all(
                x + room < box.x - 2 or x > box.x + box.width + 2 or bottom < box.y - 2 or bottom - 9 > box.bottom + 2
                for box in taken
            ):
                return Box(x, bottom - 9, room, 9)
    return None


def _shut(graph: Graph, patterns: Sequence[Pattern]) -> Folded:
    return shut(graph, [pattern.nodes for pattern in patterns])


def _size(item: _Item) -> tuple[float, float]:
    if item.label in ("+", "×"):
        return ROUND, ROUND
    label = f"{item.label} ×{item.count}" if item.count > 1 else item.label
    return max(text_width(label, 11.5) + 14.0 + 12.0 * bool(item.mark), 34.0), BOX_HEIGHT


def _draw_box(canvas: Canvas, item: _Item, box: Box) -> None:
    small = item.label in ("+", "×")
    if item.mark:
        radius = ROUND / 2 + 3 if small else 6.0
        canvas.rect(box.x - 3, box.y - 3, box.width + 6, box.height + 6, f"un-mark un-{item.mark}", radius=radius)
    canvas.open_group(box.x, box.y, item.title)
    radius = ROUND / 2 if small else BOX_HEIGHT / 2 if item.family == "structure" else 4.0
    if item.count > 1:
        canvas.rect(STACK, STACK, box.width, box.height, f"un-{item.family}", radius=radius)
    canvas.rect(0, 0, box.width, box.height, f"un-{item.family}", radius=radius)
    label = f"{item.label} ×{item.count}" if item.count > 1 else item.label
    size = 15.0 if small else 11.5
    canvas.text(box.width / 2, box.height / 2 + size * 0.35, label, size=size, anchor="middle")
    if item.mark and not small:  # a sign beside the colour, for colour-blind readers
        canvas.text(2.5, 10, MARKS[item.mark], f"un-on-{item.mark}", size=11, bold=700)
    canvas.close_group()
