"""A comparison of two networks in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from uninas.diff import BlockDiff, Difference, GraphDiff, StageDiff
from uninas.drawing.diff_words import SIGNS, block_place, block_runs, graph_words, stage_facts
from uninas.drawing.naming.patterns import summarise_block

_COLOURS = {"+": "green", "−": "red", "~": "yellow", "→": "cyan", "=": "bright_black"}
COSTS = {"params": "params", "macs": "MACs", "layers": "layers", "attention_tokens": "attention tokens"}
"""Figures of the header with their names."""


def difference_lines(difference: Difference, names: tuple[str, str]) -> Iterator[RenderableType]:
    """Yield what to print, from top to bottom: both networks, their costs, then what differs, part by part.

    Args:
        difference: of two networks.
        names: what the user calls them.
    """
    for letter, name, arch in zip("AB", names, (difference.a, difference.b), strict=True):
        yield Text.assemble((f"{letter}  ", "bold"), name, (f"  {arch.digest[:12]}", "bright_black"))
    if difference.equal:
        yield Text(f"equal: one digest, {difference.a.digest}")
        if difference.costs[0] != difference.costs[1]:
            yield Text("they are written differently, which the costs of the stored forms show:")
            yield _cost_table(difference)
        return
    yield _cost_table(difference)
    for name, before, after in difference.settings:
        yield _line("~", f"{name}: {before} became {after}")
    yield from _frame("Stem", difference.stem)
    for stage in difference.stages:
        yield _stage(difference, stage)
    yield from _frame("Head", difference.head)


def cost_rows(difference: Difference) -> list[tuple[str, str, str, str]]:
    """List name, A's figure, B's figure, and the difference with its share of A's."""
    rows = []
    for key, name in COSTS.items():
        before, after = (getattr(cost, key) for cost in difference.costs)
        share = f" ({100 * (after - before) / before:+.1f} %)" if before and after != before else ""
        rows.append((name, f"{before:,}", f"{after:,}", f"{after - before:+,}{share}" if after != before else "="))
    return rows


def _cost_table(difference: Difference) -> Table:
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bright_black")
    table.add_column("")
    for name in ("A", "B", "B − A"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in cost_rows(difference):
        table.add_row(*row)
    return table


def _line(sign: str, text: str) -> Text:
    return Text.assemble((f"{sign} ", _COLOURS[sign]), text)


def _frame(name: str, graph: GraphDiff | None) -> Iterator[Tree]:
    if graph is not None:
        tree = Tree(Text(name, "bold"))
        _add_graph(tree, graph, "", residual=False)
        yield tree


def _stage(difference: Difference, stage: StageDiff) -> Tree:
    number = stage.after if stage.after is not None else stage.before
    facts = f"  {stage_facts(stage)[0]}"
    if stage.after is None or stage.before is None:
        sign = "+" if stage.before is None else "−"
        of = " of A" if stage.after is None else ""
        tree = Tree(Text.assemble((f"{sign} ", _COLOURS[sign]), (f"Stage {number}{of}", "bold"), facts))
    else:
        moved = f" (stage {stage.before} of A)" if stage.before != stage.after else ""
        equal = f"  = {len(stage.blocks)} block{'s' * (len(stage.blocks) != 1)}" if stage.equal else ""
        tree = Tree(Text.assemble((f"Stage {number}{moved}", "bold"), facts, (equal, "bright_black")))
    if stage.transition is not None:
        _add_graph(tree, stage.transition, "transition  ", residual=False)
    for run in block_runs(stage):
        if run[0].kind != "equal":
            _add_blocks(tree, difference, run)
    return tree


def _add_blocks(tree: Tree, difference: Difference, run: list[BlockDiff]) -> None:
    """Blocks in a row to which the same happened."""
    block = run[0]
    line = _line(SIGNS[block.kind], f"{block_place(run)}  {summarise_block(block.block, *block.reads)}")
    note = twin_note(difference, block)
    branch = tree.add(line.append(f"  {note}", "bright_black") if note else line)
    for number, graph in enumerate(block.graphs, start=1):
        if graph.kind != "equal":
            _add_graph(branch, graph, f"S{number}  " if len(block.graphs) > 1 else "", residual=block.block.residual)


def twin_note(difference: Difference, block: BlockDiff) -> str:
    """For a block that is new in B at its place, say where A has its equal: "as stage 2, block 1 of A"; else ""."""
    if block.kind not in ("added", "changed") or not any(block.block.subblocks):
        return ""
    for s, stage in enumerate(difference.a.stages, start=1):
        for b, other in enumerate(stage.blocks, start=1):
            if other == block.block:
                return f"as stage {s}, block {b} of A"
    return ""


def _add_graph(tree: Tree, graph: GraphDiff, name: str, *, residual: bool) -> None:
    for words in graph_words(graph, residual):
        tree.add(_line(words.sign, f"{name}{words.text}"))
