"""Applying an edit: the new canonical architecture, or a typed rejection. No torch object exists at this point."""

from __future__ import annotations

from uninas.canonical import TooSymmetric, canonicalise
from uninas.edits.blocks import BLOCK_EDITS
from uninas.edits.edit import Edit, Limits, Rejection
from uninas.edits.graphs import GRAPH_EDITS
from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Stage
from uninas.meaning import meaningless
from uninas.ops import IllTyped

_DEFAULT = Limits()


def apply(architecture: Architecture, edit: Edit, limits: Limits = _DEFAULT) -> Architecture | Rejection:
    """The canonical form of the edited canonical form of `architecture`, or why there is none.

    The same parent and edit always give the same child. Raises InputError for an edit that does not fit the architecture at all
    (an unknown kind, a node that does not exist), which a drawn edit never is.
    """
    parent = canonicalise(architecture)
    try:
        child = canonicalise(_edited(parent, edit))
    except TooSymmetric as error:
        return Rejection("too_symmetric", str(error))
    except IllTyped as error:
        return Rejection("ill_typed", str(error))
    if child == parent:
        return Rejection("no_change", f"{edit.kind} leaves the canonical form as it was")
    return _fault(parent, child, limits) or child


def _edited(parent: Architecture, edit: Edit) -> Architecture:
    if edit.kind in BLOCK_EDITS:
        if edit.kind == "drop_subblock":
            _subblock_exists(parent, edit)
        return BLOCK_EDITS[edit.kind](parent, edit)
    if edit.kind not in GRAPH_EDITS:
        known = ", ".join([*GRAPH_EDITS, *BLOCK_EDITS])
        raise InputError(f"expected a kind of edit ({known}), came {edit.kind[:40]!r}")
    _subblock_exists(parent, edit)
    graph = parent.stages[edit.stage].blocks[edit.block].subblocks[edit.sub]
    changed = GRAPH_EDITS[edit.kind](IDENTITY if graph is None else graph, edit.arguments)
    return parent.with_subblock(edit.stage, edit.block, edit.sub, changed)


def _subblock_exists(parent: Architecture, edit: Edit) -> None:
    if not (
        0 <= edit.stage < len(parent.stages)
        and 0 <= edit.block < len(parent.stages[edit.stage].blocks)
        and 0 <= edit.sub < len(parent.stages[edit.stage].blocks[edit.block].subblocks)
    ):
        raise InputError(
            f"expected a sub-block of the architecture, came stage {edit.stage}, block {edit.block}, sub-block {edit.sub}"
        )


def _fault(parent: Architecture, child: Architecture, limits: Limits) -> Rejection | None:
    """Limits and meaning, judged where the child differs from its parent."""
    for s, (stage, before, at) in enumerate(zip(child.stages, parent.stages, child.flows()[1:], strict=True)):
        if stage is before:
            continue
        if len(stage.blocks) > max(limits.blocks_per_stage, len(before.blocks)):
            return Rejection("too_large", f"stage {s} would have {len(stage.blocks)} blocks")
        if stage.width != before.width and not limits.smallest_width <= stage.width <= limits.largest_width:
            return Rejection("too_large", f"stage {s} would be {stage.width} wide")
        known = {id(graph) for block in before.blocks for graph in block.subblocks}
        for b, block in enumerate(stage.blocks):
            for k, graph in enumerate(block.subblocks):
                if graph is None or (id(graph) in known and stage.width == before.width):
                    continue
                if len(graph.nodes) > max(limits.nodes_per_subblock, _nodes_before(before, b, k)):
                    return Rejection("too_large", f"stage {s}, block {b} would have {len(graph.nodes)} nodes in a sub-block")
                fault = meaningless(graph, at)
                if fault:
                    return Rejection("meaningless", f"stage {s}, block {b}, {fault}")
    return None


def _nodes_before(stage: Stage, block: int, sub: int) -> int:
    """Nodes that the sub-block had in the parent: an imported one may exceed the limit, and must be free to shrink."""
    subblocks = stage.blocks[block].subblocks if block < len(stage.blocks) else ()
    graph = subblocks[sub] if sub < len(subblocks) else None
    return 0 if graph is None else len(graph.nodes)
