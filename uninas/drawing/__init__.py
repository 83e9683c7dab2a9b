"""Networks made readable: SVG pictures, tables and trees for the terminal, names of patterns. Plain Python, no torch.

    draw, draw_architecture, draw_subblock  SVG documents
    overview_table, kind_tree               for the terminal: the parts of a network; one distinct block's graph
    find_patterns, summarise_block          attention, MBConv, gates, MLP, by name
    overview                                stages, distinct blocks and their shares of the cost

What is for the terminal is imported on first use, for it alone needs rich.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uninas.drawing.display import draw
from uninas.drawing.naming.patterns import Pattern, find_patterns, summarise_block, summarise_graph
from uninas.drawing.overview import overview
from uninas.drawing.svg import draw_architecture, draw_blocks, draw_overview, draw_subblock

if TYPE_CHECKING:
    from uninas.drawing.terminal import kind_tree, overview_table

__all__ = [
    "Pattern",
    "draw",
    "draw_architecture",
    "draw_blocks",
    "draw_overview",
    "draw_subblock",
    "find_patterns",
    "kind_tree",
    "overview",
    "overview_table",
    "summarise_block",
    "summarise_graph",
]

if not TYPE_CHECKING:  # a type checker that saw this would accept any name

    def __getattr__(name: str) -> Any:
        if name in ("kind_tree", "overview_table"):
            from uninas.drawing import terminal

            return getattr(terminal, name)
        raise AttributeError(f"module 'uninas.drawing' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
