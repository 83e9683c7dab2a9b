"""Edits of whole blocks: depth, copying and moving blocks, dropping a sub-block, crossover of a block.

A block that comes to another width is fitted to it: its ratios stay where they suit, else inner widths are rounded.
"""

from __future__ import annotations

from collections.abc import Callable

from uninas.edits.channels import at_width
from uninas.edits.edit import Edit
from uninas.edits.parts import site
from uninas.errors import InputError
from uninas.graph import Architecture, Block, Graph
from uninas.text import parse_graph


def bounded(edit: Edit, name: str, low: int, high: int) -> int:
    """Return an edit's argument that is an integer within bounds. Raises InputError."""
    value = edit.arguments.get(name)
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"expected an edit's {name!r} to be an integer from {low} to {high}, got {value!r}")
    return value


def _blocks(architecture: Architecture, stage: int, block: int) -> list[Block]:
    if not 0 <= stage < len(architecture.stages) or not 0 <= block < len(architecture.stages[stage].blocks):
        raise InputError(f"expected a block of the architecture, got stage {stage + 1}, block {block + 1}")
    return list(architecture.stages[stage].blocks)


def block_at_width(block: Block, before: int, after: int) -> Block:
    """Fit a block of one width to another. Raises IllTyped where no rounding helps."""
    if before == after:
        return block
    return block.with_subblocks(tuple([None if g is None else at_width(g, before, after) for g in block.subblocks]))


def deepen(architecture: Architecture, edit: Edit) -> Architecture:
    """Repeat a block right after itself."""
    blocks = _blocks(architecture, edit.stage, edit.block)
    blocks.insert(edit.block, blocks[edit.block])
    return architecture.with_blocks(edit.stage, tuple(blocks))


def shorten(architecture: Architecture, edit: Edit) -> Architecture:
    """Remove a block; a stage keeps at least one, which may be empty."""
    blocks = _blocks(architecture, edit.stage, edit.block)
    if len(blocks) == 1:
        blocks[0] = blocks[0].with_subblocks((None,) * len(blocks[0].subblocks))
    else:
        del blocks[edit.block]
    return architecture.with_blocks(edit.stage, tuple(blocks))


def copy_block(architecture: Architecture, edit: Edit) -> Architecture:
    """Overwrite a block with the graphs of another, of any stage."""
    from_stage, from_block = bounded(edit, "from_stage", 0, 99), bounded(edit, "from_block", 0, 9999)
    source = _blocks(architecture, from_stage, from_block)[from_block]
    _blocks(architecture, edit.stage, edit.block)
    widths = [architecture.stages[s].width for s in (from_stage, edit.stage)]
    return architecture.with_block(edit.stage, edit.block, block_at_width(source, *widths))


def move_block(architecture: Architecture, edit: Edit) -> Architecture:
    """Take a block out and put it in at another position, of any stage."""
    blocks = _blocks(architecture, edit.stage, edit.block)
    moved = blocks.pop(edit.block)
    if not blocks:
        blocks = [moved.with_subblocks((None,) * len(moved.subblocks))]
    changed = architecture.with_blocks(edit.stage, tuple(blocks))
    to_stage = bounded(edit, "to_stage", 0, len(architecture.stages) - 1)
    target = list(changed.stages[to_stage].blocks)
    fitted = block_at_width(moved, architecture.stages[edit.stage].width, changed.stages[to_stage].width)
    target.insert(bounded(edit, "to_block", 0, len(target)), fitted)
    return changed.with_blocks(to_stage, tuple(target))


def drop_subblock(architecture: Architecture, edit: Edit) -> Architecture:
    """Leave out one residual sub-block, with its norm."""
    site(architecture, edit)
    return architecture.with_subblock(edit.stage, edit.block, edit.sub, None)


def crossover(architecture: Architecture, edit: Edit) -> Architecture:
    """Overwrite a block with one of another parent; the edit carries the block's graphs as text, so it replays alone."""
    _blocks(architecture, edit.stage, edit.block)
    plain = bool(bounded(edit, "plain", 0, 1)) if "plain" in edit.arguments else False
    subblocks: list[Graph | None] = []
    for number in range(sum(name.startswith("sub") for name in edit.arguments) if plain else 2):
        text = edit.arguments.get(f"sub{number + 1}")
        if not isinstance(text, str):
            raise InputError(f"expected a crossover to carry 'sub{number + 1}' as text, got {text!r}")
        subblocks.append(None if text == "absent" else parse_graph(text, "crossover"))
    return architecture.with_block(edit.stage, edit.block, Block(tuple(subblocks), residual=not plain))


def crossover_edit(stage: int, block: int, donor: Block) -> Edit:
    """Return the crossover that puts `donor`, of the stage's width, in place of a block."""
    arguments: dict[str, int | str] = {
        f"sub{n + 1}": "absent" if graph is None else graph.text for n, graph in enumerate(donor.subblocks)
    }
    if not donor.residual:
        arguments["plain"] = 1
    return Edit("crossover", stage, block, arguments=arguments)


BLOCK_EDITS: dict[str, Callable[[Architecture, Edit], Architecture]] = {
    "deepen": deepen,
    "shorten": shorten,
    "copy_block": copy_block,
    "move_block": move_block,
    "drop_subblock": drop_subblock,
    "crossover": crossover,
}
"""Kind of edit -> function."""
