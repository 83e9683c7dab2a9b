"""A network as a tree for the terminal: stages with their blocks, then every distinct block's graph, a line a node."""

from __future__ import annotations

from rich.text import Text
from rich.tree import Tree

from uninas.draw.labels import family_of, op_label, percent, quantity, type_label
from uninas.draw.overview import BlockKind, Overview, StageView, overview
from uninas.draw.patterns import summarise_graph
from uninas.graph import Architecture, Graph

_COLOURS = {  # of the 16 that every terminal has, readable on dark and light ground
    "convolution": "blue",
    "normalisation": "bright_black",
    "activation": "yellow",
    "attention": "magenta",
    "pooling": "green",
    "merge": "bold",
    "structure": "bright_black",
}


def architecture_tree(arch: Architecture) -> Tree:
    """The tree of a network: overview, then each distinct block's graphs.

    A node's line says its number, its operation, which nodes it reads where that is not just the line above, and
    the type where it changes, in multiples of the block's width C.

    Raises:
        GraphError: a graph of the architecture is ill-typed.
    """
    view = overview(arch)
    root = Tree(_title(view))
    stem_text = view.stem_text or "conv 3×3 stride 2, BatchNorm, GELU, conv 3×3"
    stem = Text.assemble(("Stem  ", "bold"), f"{stem_text} → {view.stem_flow.channels} ch")
    root.add(_with_shares(stem, view, view.stem))
    for stage in view.stages:
        _add_stage(root, view, stage)
    head = Text.assemble(("Head  ", "bold"), f"{view.head_text or 'LayerNorm'}, global average, linear → {arch.classes}")
    root.add(_with_shares(head, view, view.head))
    for kind in view.kinds:
        _add_kind(root, kind)
    return root


def _title(view: Overview) -> Text:
    arch, total = view.architecture, view.total
    height, width = arch.input_size
    facts = f"{height}×{width} px · {quantity(total.params)} params · {quantity(total.macs)} MACs · {total.layers} layers"
    return Text.assemble((f"Architecture {arch.digest[:12]}", "bold"), f"  {facts}")


def _with_shares(line: Text, view: Overview, spent: tuple[int, int]) -> Text:
    params, macs = percent(spent[0], view.total.params), percent(spent[1], view.total.macs)
    return line.append(f"  {params} params, {macs} MACs", "bright_black")


def _add_stage(root: Tree, view: Overview, stage: StageView) -> None:
    height, width = stage.resolution
    line = Text.assemble((f"Stage {stage.number}  ", "bold"), f"{height}×{width}, {stage.width} ch")
    branch = root.add(_with_shares(line, view, (stage.params, stage.macs)))
    for run in stage.runs:
        name = f"{run.kind.letter} " if run.count == 1 else f"{run.kind.letter} ×{run.count} "
        branch.add(Text.assemble((name, "bold cyan"), run.summary))


def _add_kind(root: Tree, kind: BlockKind) -> None:
    name = kind.role if kind.letter == kind.role else f"{kind.role} {kind.letter}"
    line = Text.assemble((f"{name}  ", "bold cyan"), kind.summary, (f"  {kind.occurrences}", "bright_black"))
    branch = root.add(line)
    for number, graph in enumerate(kind.block.subblocks, start=1):
        name = f"S{number}  " if len(kind.block.subblocks) > 1 else "S  "
        if graph is None:
            branch.add(Text.assemble((name, "bold"), "absent"))
            continue
        if kind.block.residual and graph.nodes[graph.output].op.name == "zero":
            branch.add(Text.assemble((name, "bold"), "zero: adds nothing to x"))
            continue
        width = kind.widths[0]
        summary = summarise_graph(graph, width, count_heads=len(kind.widths) == 1)
        form = "x + S(LayerNorm(x)), S = " if kind.block.residual else "S(x), S = "
        sub = branch.add(Text.assemble((name, "bold"), form, summary))
        for text in _graph_lines(graph, width, symbolic=kind.role in ("Block", "Entry")):
            sub.add(text)


def _graph_lines(graph: Graph, width: int, *, symbolic: bool) -> list[Text]:
    types = graph.frame_types(width)
    digits = len(str(len(graph.nodes) - 1))
    lines = []
    for index, node in enumerate(graph.nodes):
        line = Text(f"{index:>{digits}} ", "bright_black")
        line.append(op_label(node.op), _COLOURS[family_of(node.op)])
        if node.inputs and node.inputs != (index - 1,):
            line.append(f"  ← {', '.join(map(str, node.inputs))}", "bright_black")
        if not node.inputs or any(types[source] != types[index] for source in node.inputs):
            line.append(f"  {type_label(types[index], width, symbolic=symbolic)}", "cyan")
        if index == graph.output and index != len(graph.nodes) - 1:
            line.append("  (output)", "bold")
        lines.append(line)
    return lines
