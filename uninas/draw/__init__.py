"""Networks made readable: SVG pictures, terminal trees, names of patterns. Plain Python, no torch.

draw_architecture, draw_subblock    SVG documents
architecture_tree                   a tree for the terminal
find_patterns, summarise_block      attention, MBConv, gates, MLP, by name
overview                            stages, distinct blocks and their shares of the cost
"""

from uninas.draw.overview import overview
from uninas.draw.patterns import Pattern, find_patterns, summarise_block, summarise_graph
from uninas.draw.svg import draw_architecture, draw_blocks, draw_overview, draw_subblock
from uninas.draw.terminal import architecture_tree

__all__ = [
    "Pattern",
    "architecture_tree",
    "draw_architecture",
    "draw_blocks",
    "draw_overview",
    "draw_subblock",
    "find_patterns",
    "overview",
    "summarise_block",
    "summarise_graph",
]
