"""An architecture shown: the picture that `uninas.draw` makes, what a notebook shows, and the one line of its `repr`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from uninas.analysis.cost import cost
from uninas.drawing.labels import quantity
from uninas.drawing.svg import draw_architecture
from uninas.errors import InputError
from uninas.files.writing import write_text
from uninas.graph import Architecture, Graph

_MOST_NAMED = 20_000  # nodes of a network, each graph counted wherever it stands, whose digest takes well below a second
_MOST_DRAWN = 1_000  # nodes of the graphs that differ


def draw(
    architecture: Architecture,
    path: str | Path | None = None,
    stage: int | None = None,
    block: int | None = None,
    *,
    title: str = "",
    fold: bool = False,
) -> str:
    """Draw a network, one of its stages or one of its blocks.

    Args:
        architecture: what to draw.
        path: file to write, ending in .svg; None writes none.
        stage: draw the blocks of this stage alone; the first is 1.
        block: draw this block of the stage alone; the first is 1, and 0 is the transition into the stage.
        title: of the picture; default: the architecture's digest.
        fold: draw each pattern of a block (attention, MBConv, ...) as one box.

    Returns:
        The text of a self-contained SVG document, readable on light and dark ground.

    Raises:
        InputError: no such stage or block, a block without its stage, another suffix, or the file cannot be written.
        GraphError: a graph of the architecture is ill typed.
    """
    if path is not None and Path(path).suffix.lower() != ".svg":
        raise InputError(f"expected a file name that ends in .svg, got {str(path)!r}")
    if block is not None and stage is None:
        raise InputError(f"expected a stage with block {block}, got none")
    made = draw_architecture(architecture, title=title, stage=stage, block=block, shut=fold)
    if path is not None:
        write_text(Path(path), made)
    return made


def notebook_picture(architecture: Architecture) -> str | None:
    """Draw a network for a notebook; None where it is large, or cannot be drawn: the notebook then shows its one line."""
    graphs = _graphs(architecture)
    if _nodes(graphs) > _MOST_NAMED or _nodes(set(graphs)) > _MOST_DRAWN:
        return None
    try:
        return draw(architecture)
    except InputError:
        return None


def one_line(architecture: Architecture) -> str:
    """Describe a network in one line, however large or broken it is.

    `Architecture(4 stages, 12 blocks, 26.9M parameters at 224x224, digest 1a2b3c4d5e6f)`
    """
    stages, blocks = len(architecture.stages), sum(len(stage.blocks) for stage in architecture.stages)
    facts = [f"{stages} stage{'s' * (stages != 1)}", f"{blocks} block{'s' * (blocks != 1)}"]
    nodes = _nodes(_graphs(architecture))
    if nodes > _MOST_NAMED:
        return f"Architecture({', '.join([*facts, f'{nodes:,} operations'])})"
    try:
        params, digest = cost(architecture).params, architecture.digest
    except InputError as error:
        return f"Architecture({', '.join([*facts, f'ill typed: {error}'])})"
    height, width = architecture.input_size
    facts.append(f"{quantity(params).replace(' ', '')} parameters at {height}x{width}")
    return f"Architecture({', '.join([*facts, f'digest {digest[:12]}'])})"


def _nodes(graphs: Iterable[Graph]) -> int:
    return sum(len(graph.nodes) for graph in graphs)


def _graphs(architecture: Architecture) -> list[Graph]:
    """Every graph, as often as it stands in the network."""
    frame = [architecture.stem, architecture.head, *(stage.transition for stage in architecture.stages)]
    blocks = [graph for stage in architecture.stages for block in stage.blocks for graph in block.subblocks]
    return [graph for graph in (*frame, *blocks) if isinstance(graph, Graph)]
