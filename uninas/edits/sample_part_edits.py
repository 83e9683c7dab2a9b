"""Sample edits of blocks, stages and the frame: where they act, and their arguments."""

from __future__ import annotations

import random
from collections.abc import Callable

from uninas.edits.edit import Edit
from uninas.edits.forms import ACTIVATIONS, HEADS, STEMS, TRANSITIONS
from uninas.edits.sample_graph_edits import Arguments
from uninas.graph import Architecture, Graph

_WIDTH_STEP, _STEM_STEP = 16, 8


def blocks_of(architecture: Architecture) -> list[tuple[int, int]]:
    """List (stage, block) of every block."""
    return [(s, b) for s, stage in enumerate(architecture.stages) for b in range(len(stage.blocks))]


def _at_block(arguments_of: Callable[[Architecture, int, random.Random], Arguments]) -> Callable[..., Edit | None]:
    def sampled(kind: str, parent: Architecture, rng: random.Random) -> Edit | None:
        sites = blocks_of(parent)
        if not sites:
            return None
        stage, block = sites[rng.randrange(len(sites))]
        arguments = arguments_of(parent, stage, rng)
        return None if arguments is None else Edit(kind, stage, block, arguments=arguments)

    return sampled


def _anywhere(parent: Architecture, stage: int, rng: random.Random) -> Arguments:
    return {}


def _copy(parent: Architecture, stage: int, rng: random.Random) -> Arguments:
    sites = blocks_of(parent)
    from_stage, from_block = sites[rng.randrange(len(sites))]
    return {"from_stage": from_stage, "from_block": from_block}


def _move(parent: Architecture, stage: int, rng: random.Random) -> Arguments:
    to_stage = rng.randrange(len(parent.stages))
    room = len(parent.stages[to_stage].blocks) - (to_stage == stage)
    return {"to_stage": to_stage, "to_block": rng.randrange(max(room, 1) + (room > 0))}


def _drop_subblock(kind: str, parent: Architecture, rng: random.Random) -> Edit | None:
    sites = blocks_of(parent)
    if not sites:
        return None
    stage, block = sites[rng.randrange(len(sites))]
    subblocks = parent.stages[stage].blocks[block].subblocks
    sub = rng.randrange(len(subblocks))
    return None if subblocks[sub] is None else Edit(kind, stage, block, sub)


def _stepped(now: int, step: int, rng: random.Random) -> int:
    """A width up to a quarter more or less, in whole steps, at least one."""
    steps = max(1, now // (4 * step))
    change = rng.choice([s for s in range(-steps, steps + 1) if s])
    return (now // step + change) * step


def _width(kind: str, parent: Architecture, rng: random.Random) -> Edit | None:
    """Of a stage; of the stem as often as of one stage."""
    place = rng.randrange(len(parent.stages) + 1)
    if place < len(parent.stages):
        wanted = _stepped(parent.stages[place].width, _WIDTH_STEP, rng)
        return Edit(kind, place, arguments={"width": wanted}) if wanted > 0 else None
    if isinstance(parent.stem, Graph):
        slot, now = {}, parent.flows()[0].channels
    else:
        slot = {"slot": rng.randrange(2)}
        now = parent.stem[slot["slot"]]
    wanted = _stepped(now, _STEM_STEP, rng)
    return Edit(kind, arguments={"width": wanted, **slot}, part="stem") if wanted > 0 else None


def _stem(kind: str, parent: Architecture, rng: random.Random) -> Edit | None:
    wanted = max(_stepped(parent.flows()[0].channels, _STEM_STEP, rng), _STEM_STEP)
    return Edit(kind, arguments={"form": rng.choice(list(STEMS)), "width": wanted, "act": rng.choice(ACTIVATIONS)}, part="stem")


def _transition(kind: str, parent: Architecture, rng: random.Random) -> Edit | None:
    stage = rng.randrange(len(parent.stages))
    arguments = {"form": rng.choice(list(TRANSITIONS)), "act": rng.choice(ACTIVATIONS)}
    return Edit(kind, stage, arguments=arguments, part="entry")


def _head(kind: str, parent: Architecture, rng: random.Random) -> Edit | None:
    return Edit(kind, arguments={"form": rng.choice(list(HEADS)), "act": rng.choice(ACTIVATIONS)}, part="head")


def _add_stage(kind: str, parent: Architecture, rng: random.Random) -> Edit | None:
    """Behind any stage, as wide as that or up to twice."""
    stage = rng.randrange(len(parent.stages))
    now = parent.stages[stage].width
    wanted = max(round(now * rng.uniform(1, 2) / _WIDTH_STEP), 1) * _WIDTH_STEP
    arguments: dict[str, int | str] = {"form": rng.choice(list(TRANSITIONS)), "width": wanted, "act": rng.choice(ACTIVATIONS)}
    return Edit(kind, stage, arguments=arguments)


def _remove_stage(kind: str, parent: Architecture, rng: random.Random) -> Edit | None:
    return Edit(kind, rng.randrange(len(parent.stages))) if len(parent.stages) > 1 else None


def _class_token(kind: str, parent: Architecture, rng: random.Random) -> Edit | None:
    last = len(parent.stages) - 1
    return None if parent.stages[last].transition is None else Edit(kind, last)


PART_SAMPLERS: dict[str, Callable[[str, Architecture, random.Random], Edit | None]] = {
    "deepen": _at_block(_anywhere),
    "shorten": _at_block(_anywhere),
    "copy_block": _at_block(_copy),
    "move_block": _at_block(_move),
    "drop_subblock": _drop_subblock,
    "width": _width,
    "stem": _stem,
    "entry": _transition,
    "head": _head,
    "add_stage": _add_stage,
    "remove_stage": _remove_stage,
    "class_token": _class_token,
}
"""Kind of edit -> what samples it; None where there is no place for it."""
