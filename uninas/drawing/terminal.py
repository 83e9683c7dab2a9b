"""A network in the terminal: a table of its parts, and each distinct block's graph as lines, patterns as branches."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from uninas.drawing.labels import family_of, op_label, percent, quantity, type_label
from uninas.drawing.naming.patterns import Pattern, find_patterns, outermost, summarise_graph
from uninas.drawing.overview import BlockKind, Overview, Run, StageView
from uninas.graph import Graph

_COLOURS = {  # of the 16 that every terminal has, readable on dark and light ground
    "convolution": "blue",
    "normalisation": "bright_black",
    "activation": "yellow",
    "attention": "magenta",
    "pooling": "green",
    "merge": "bold",
    "structure": "bright_black",
}
_ROOMY, _NARROW = 104, 66  # columns of the terminal: with shares of the cost; without sizes


# --- overview ---------------------------------------------------------------------------------------------------------


def title_line(view: Overview) -> Text:
    """Return the digest and the totals."""
    arch, total = view.architecture, view.total
    height, width = arch.input_size
    facts = [f"{height}×{width} px", f"{arch.classes} classes", f"{quantity(total.params)} params"]
    facts += [f"{quantity(total.macs)} MACs", f"{total.layers} layers"]
    facts += [f"attention over {total.attention_tokens} tokens"] * (total.attention_tokens > 0)
    return Text.assemble((f"Architecture {arch.digest[:12]}", "bold"), "  " + " · ".join(facts))


def overview_table(view: Overview, columns: int) -> Table:
    """Tabulate stem, stages and head: resolution, stride, channels, blocks by name, parameters and MACs.

    A run of equal blocks is a row. Rows add up to the total. Narrow terminals get fewer columns.

    Args:
        view: the network.
        columns: how many the terminal has.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="bright_black", pad_edge=False)
    sizes, shares = columns >= _NARROW, columns >= _ROOMY
    table.add_column("part", no_wrap=True, style="bold")
    if sizes:
        table.add_column("size", no_wrap=True)
        table.add_column("stride", no_wrap=True, justify="right")
    table.add_column("ch", no_wrap=True, justify="right")
    table.add_column("blocks", ratio=1, overflow="fold")
    for name in ("params", "MACs"):
        table.add_column(name, no_wrap=True, justify="right")
        if shares:
            table.add_column("", no_wrap=True, justify="right", style="bright_black")

    def row(part: str, place: tuple[str, str, str], what: Text, spent: tuple[int, int], *, end: bool = False) -> None:
        figures = []
        for value, whole in zip(spent, (view.total.params, view.total.macs), strict=True):
            figures += [quantity(value), *[percent(value, whole)] * shares]
        table.add_row(part, *(place if sizes else place[2:]), what, *figures, end_section=end)

    arch = view.architecture
    channels, place, _ = view.stem_flow
    stem = view.stem_text or "conv3/2-BN-GELU, conv3"
    row("Stem", (*_place((place.height, place.width), arch.input_size), str(channels)), Text(stem), view.stem)
    for stage in view.stages:
        at = (*_place(stage.resolution, arch.input_size), str(stage.width))
        for number, run in enumerate(stage.runs):
            first = number == 0
            row(f"Stage {stage.number}" * first, at if first else ("", "", ""), _run_text(run), (run.params, run.macs))
        if not stage.runs:
            row(f"Stage {stage.number}", at, Text("no blocks"), (0, 0))
    row("Head", ("1×1", "", ""), Text(f"{view.head_text}, linear → {arch.classes}"), view.head)
    row("Total", ("", "", ""), Text(f"{view.total.layers} layers"), (view.total.params, view.total.macs))
    return table


def _place(resolution: tuple[int, int], size: tuple[int, int]) -> tuple[str, str]:
    """A resolution, and by how much it is coarser than the input."""
    return f"{resolution[0]}×{resolution[1]}", str(round(size[0] / resolution[0]))


def _run_text(run: Run) -> Text:
    name = run.kind.letter if run.count == 1 else f"{run.kind.letter} ×{run.count}"
    return Text.assemble((f"{name}  ", "bold cyan"), run.summary)


# --- blocks -----------------------------------------------------------------------------------------------------------


def kind_tree(kind: BlockKind, *, shut: bool = False) -> Tree:
    """Return a distinct block as a tree: its graphs, one line per node, patterns as branches.

    A node's line says its number, its operation, which nodes it reads if not just the one before, and the type where
    it changes: in channels, or of a block at several widths in multiples of its width C. With `shut` a pattern is one line.
    """
    widths = kind.widths
    name = kind.role if kind.letter == kind.role else f"{kind.role} {kind.letter}"
    tree = Tree(Text.assemble((f"{name}  ", "bold cyan"), kind.summary, (f"  {kind.occurrences}", "bright_black")))
    block = kind.block
    for number, graph in enumerate(block.subblocks, start=1):
        label = f"S{number}  " if len(block.subblocks) > 1 else "S  "
        if graph is None:
            tree.add(Text.assemble((label, "bold"), "absent"))
        elif block.residual and graph.nodes[graph.output].op.name == "zero":
            tree.add(Text.assemble((label, "bold"), "zero: adds nothing to x"))
        else:
            count_heads = len(widths) == 1
            summary = summarise_graph(graph, widths[0], kind.tokens, count_heads=count_heads, residual=block.residual)
            form = "x + S(LayerNorm(x)), S = " if block.residual else "S(x), S = "
            branch = tree.add(Text.assemble((label, "bold"), form, summary))
            _GraphLines(graph, kind, not count_heads).add_to(branch, shut=shut)
    return tree


class _GraphLines:
    """Writes a graph's nodes under a branch, in order; a pattern is a branch at the place of its first node."""

    def __init__(self, graph: Graph, kind: BlockKind, symbolic: bool) -> None:
        self.graph, self.width, self.symbolic = graph, kind.widths[0], symbolic
        self.types = graph.frame_types(self.width, kind.tokens)
        self.digits = len(str(len(graph.nodes) - 1))
        patterns = find_patterns(graph, self.width, kind.tokens, count_heads=not symbolic, residual=kind.block.residual)
        self.patterns = [pattern for pattern in patterns if pattern.kind != "conv" and len(pattern.nodes) > 1]
        self.written = -1  # the node of the line before

    def add_to(self, branch: Tree, *, shut: bool) -> None:
        self._add(branch, frozenset(range(len(self.graph.nodes))), self.patterns, shut)

    def _add(self, branch: Tree, nodes: frozenset[int], patterns: Sequence[Pattern], shut: bool) -> None:
        outer = outermost(patterns)
        if len(outer) == 1 and nodes - outer[0].nodes <= {0} and not shut:  # the heading has said it
            patterns = [pattern for pattern in patterns if pattern is not outer[0]]
            outer = outermost(patterns)
        first_of = {min(pattern.nodes): pattern for pattern in outer}
        within = {node: pattern for pattern in outer for node in pattern.nodes}
        for node in sorted(nodes):
            pattern = first_of.get(node)
            if pattern is not None and shut:
                branch.add(self._shut_line(pattern))
            elif pattern is not None:
                inner = [other for other in patterns if other.nodes < pattern.nodes]
                self._add(branch.add(Text(pattern.text, "bold cyan")), pattern.nodes, inner, shut)
            elif node not in within:
                branch.add(self._line(node))

    def _line(self, index: int) -> Text:
        node = self.graph.nodes[index]
        line = Text(f"{index:>{self.digits}} ", "bright_black")
        line.append(op_label(node.op), _COLOURS[family_of(node.op)])
        return self._finish(line, node.inputs, index)

    def _shut_line(self, pattern: Pattern) -> Text:
        nodes = pattern.nodes
        last = self.graph.output if self.graph.output in nodes else max(nodes)
        line = Text(f"{last:>{self.digits}} ", "bright_black").append(pattern.text, "bold cyan")
        return self._finish(
            line, tuple({i: 0 for n in sorted(nodes) for i in self.graph.nodes[n].inputs if i not in nodes}), last
        )

    def _finish(self, line: Text, inputs: tuple[int, ...], index: int) -> Text:
        """What it reads and the type, each where it is not as in the line before."""
        if inputs and inputs != (self.written,):
            line.append(f"  ← {', '.join(map(str, inputs))}", "bright_black")
        if not inputs or any(self.types[source] != self.types[index] for source in inputs):
            line.append(f"  {type_label(self.types[index], self.width, symbolic=self.symbolic)}", "cyan")
        if index == self.graph.output and index != len(self.graph.nodes) - 1:
            line.append("  (output)", "bold")
        self.written = index
        return line


def stage_line(view: Overview, stage: StageView) -> Text:
    """Return a stage's number, resolution, channels and cost."""
    height, width = stage.resolution
    line = Text.assemble((f"Stage {stage.number}  ", "bold"), f"{height}×{width}, {stage.width} ch, {stage.content}")
    cost = f"{quantity(stage.params)} params ({percent(stage.params, view.total.params)})"
    return line.append(f"  {cost}, {quantity(stage.macs)} MACs ({percent(stage.macs, view.total.macs)})", "bright_black")
