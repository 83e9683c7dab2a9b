"""Edits of whole blocks and stages: depth, width, copying and moving blocks, crossover, dropping a sub-block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from uninas.edits.edit import Edit
from uninas.errors import InputError
from uninas.graph import Architecture, Block
from uninas.text import parse_graph


def _bounded(edit: Edit, name: str, low: int, high: int) -> int:
    value = edit.arguments.get(name)
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"expected an edit's {name!r} to be an integer from {low} to {high}, came {value!r}")
    return value


def _blocks(architecture: Architecture, stage: int, block: int) -> list[Block]:
    if not 0 <= stage < len(architecture.stages) or not 0 <= block < len(architecture.stages[stage].blocks):
        raise InputError(f"expected a block of the architecture, came stage {stage}, block {block}")
    return list(architecture.stages[stage].blocks)


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
    source = _blocks(architecture, _bounded(edit, "from_stage", 0, 99), _bounded(edit, "from_block", 0, 9999))
    _blocks(architecture, edit.stage, edit.block)
    return architecture.with_block(edit.stage, edit.block, source[_bounded(edit, "from_block", 0, 9999)])


def move_block(architecture: Architecture, edit: Edit) -> Architecture:
    """Take a block out and put it in at another position, of any stage."""
    blocks = _blocks(architecture, edit.stage, edit.block)
    moved = blocks.pop(edit.block)
    if not blocks:
        blocks = [moved.with_subblocks((None,) * len(moved.subblocks))]
    changed = architecture.with_blocks(edit.stage, tuple(blocks))
    to_stage = _bounded(edit, "to_stage", 0, len(architecture.stages) - 1)
    target = list(changed.stages[to_stage].blocks)
    target.insert(_bounded(edit, "to_block", 0, len(target)), moved)
    return changed.with_blocks(to_stage, tuple(target))


def drop_subblock(architecture: Architecture, edit: Edit) -> Architecture:
    """Leave out one residual sub-block, with its norm."""
    _blocks(architecture, edit.stage, edit.block)
    return architecture.with_subblock(edit.stage, edit.block, edit.sub, None)


def width(architecture: Architecture, edit: Edit) -> Architecture:
    """Give a stage another width."""
    _blocks(architecture, edit.stage, 0)
    stages = list(architecture.stages)
    stages[edit.stage] = replace(stages[edit.stage], width=_bounded(edit, "width", 1, 1 << 16))
    return architecture.replace(stages=tuple(stages))


def crossover(architecture: Architecture, edit: Edit) -> Architecture:
    """Overwrite a block with one of another parent; the edit carries the block's graphs as text, so it replays alone."""
    _blocks(architecture, edit.stage, edit.block)
    plain = bool(_bounded(edit, "plain", 0, 1)) if "plain" in edit.arguments else False
    subblocks = []
    for number in range(sum(name.startswith("sub") for name in edit.arguments) if plain else 2):
        text = edit.arguments.get(f"sub{number + 1}")
        if not isinstance(text, str):
            raise InputError(f"expected a crossover to carry 'sub{number + 1}' as text, came {text!r}")
        subblocks.append(None if text == "absent" else parse_graph(text, "crossover"))
    return architecture.with_block(edit.stage, edit.block, Block(tuple(subblocks), residual=not plain))


def crossover_edit(stage: int, block: int, donor: Block) -> Edit:
    """The crossover that puts `donor` in place of a block."""
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
    "width": width,
    "crossover": crossover,
}
"""Kind of edit -> function."""
