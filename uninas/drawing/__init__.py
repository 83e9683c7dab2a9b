"""Networks made readable: SVG pictures, tables and trees for the terminal, names of patterns. Plain Python, no torch.

draw_architecture, draw_subblock    SVG documents
overview_table, kind_tree           for the terminal: the parts of a network; one distinct block's graph
find_patterns, summarise_block      attention, MBConv, gates, MLP, by name
overview                            stages, distinct blocks and their shares of the cost
"""

from uninas.drawing.overview import overview
from uninas.drawing.patterns import Pattern, find_patterns, summarise_block, summarise_graph
from uninas.drawing.svg import draw_architecture, draw_blocks, draw_overview, draw_subblock
from uninas.drawing.terminal import kind_tree, overview_table

__all__ = [
    "Pattern",
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
