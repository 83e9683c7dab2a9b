"""Apply an edit: the new canonical architecture, or a typed rejection. No torch object exists at this point."""

from __future__ import annotations

from uninas.analysis.degenerate import block_fault, frame_fault
from uninas.canonical import TooSymmetric, canonicalise
from uninas.edits.blocks import BLOCK_EDITS
from uninas.edits.edit import Edit, Limits, Rejection
from uninas.edits.graphs import GRAPH_EDITS, TYPED_EDITS
from uninas.edits.parts import site, with_graph
from uninas.edits.stages import STAGE_EDITS
from uninas.errors import InputError
from uninas.graph import Architecture, Flow, Graph, Stage
from uninas.ops import IllTyped
from uninas.rejections import Reason

_DEFAULT = Limits()
_WHOLE = {**BLOCK_EDITS, **STAGE_EDITS}


def apply(architecture: Architecture, edit: Edit, limits: Limits = _DEFAULT) -> Architecture | Rejection:
    """Edit the canonical form of `architecture`; return the canonical form of the result, or why there is none.

    The same parent and edit always give the same child. Raises InputError for an edit that does not fit the architecture at all
    (an unknown kind, a node that does not exist), which a proposed edit never is.
    """
    parent = canonicalise(architecture)
    try:
        child = canonicalise(_edited(parent, edit))
        flows = child.flows()
    except TooSymmetric as error:
        return Rejection(Reason.TOO_SYMMETRIC, str(error))
    except IllTyped as error:
        return Rejection(Reason.ILL_TYPED, str(error))
    if child == parent:
        return Rejection(Reason.NO_CHANGE, f"{edit.kind} leaves the canonical form as it was")
    return _too_large(parent, child, limits) or _degenerate(parent, child, flows) or child


def _edited(parent: Architecture, edit: Edit) -> Architecture:
    if edit.kind in _WHOLE:
        return _WHOLE[edit.kind](parent, edit)
    if edit.kind in TYPED_EDITS:
        at = site(parent, edit)
        return with_graph(parent, edit, TYPED_EDITS[edit.kind](at.graph, edit.arguments, at.types))
    if edit.kind in GRAPH_EDITS:
        return with_graph(parent, edit, GRAPH_EDITS[edit.kind](site(parent, edit).graph, edit.arguments))
    known = ", ".join([*GRAPH_EDITS, *TYPED_EDITS, *_WHOLE])
    raise InputError(f"expected a kind of edit ({known}), got {edit.kind[:40]!r}")


def _too_large(parent: Architecture, child: Architecture, limits: Limits) -> Rejection | None:
    """Check the limits where the child differs from its parent: an imported network may exceed them, and may shrink."""
    if len(child.stages) > max(limits.stages, len(parent.stages)):
        return Rejection(Reason.TOO_LARGE, f"the network would have {len(child.stages)} stages")
    for what, graph, before in ((x, getattr(child, x), getattr(parent, x)) for x in ("stem", "head")):
        if graph is not before and isinstance(graph, Graph) and len(graph.nodes) > _most_nodes(before, limits):
            return Rejection(Reason.TOO_LARGE, f"the {what} would have {len(graph.nodes)} nodes")
    if child.stem is not parent.stem and not _wide(child.flows()[0].channels, parent.flows()[0].channels, limits):
        return Rejection(Reason.TOO_LARGE, f"the stem would be {child.flows()[0].channels} wide")
    for s, stage in enumerate(child.stages):
        before = parent.stages[s] if s < len(parent.stages) else parent.stages[-1]
        fault = None if stage is before else _stage_too_large(s, stage, before, limits)
        if fault is not None and not any(stage is other for other in parent.stages):
            return Rejection(Reason.TOO_LARGE, fault)
    return None


def _stage_too_large(s: int, stage: Stage, before: Stage, limits: Limits) -> str | None:
    if len(stage.blocks) > max(limits.blocks_per_stage, len(before.blocks)):
        return f"stage {s + 1} would have {len(stage.blocks)} blocks"
    if not _wide(stage.width, before.width, limits):
        return f"stage {s + 1} would be {stage.width} wide"
    if stage.transition is not None and len(stage.transition.nodes) > _most_nodes(before.transition, limits):
        return f"stage {s + 1} would have {len(stage.transition.nodes)} nodes in its transition"
    for b, block in enumerate(stage.blocks):
        for k, graph in enumerate(block.subblocks):
            if graph is None or len(graph.nodes) <= limits.nodes_per_subblock:
                continue
            subblocks = before.blocks[b].subblocks if b < len(before.blocks) else ()
            known = any(graph is g for other in before.blocks for g in other.subblocks)
            if not known and len(graph.nodes) > _most_nodes(subblocks[k] if k < len(subblocks) else None, limits):
                return f"stage {s + 1}, block {b + 1} would have {len(graph.nodes)} nodes in sub-block {k + 1}"
    return None


def _most_nodes(before: object, limits: Limits) -> int:
    return max(limits.nodes_per_subblock, len(before.nodes) if isinstance(before, Graph) else 0)


def _wide(width: int, before: int, limits: Limits) -> bool:
    return width == before or limits.smallest_width <= width <= limits.largest_width


def _degenerate(parent: Architecture, child: Architecture, flows: tuple[Flow, ...]) -> Rejection | None:
    """Reject degenerate operations, judged where the child differs from its parent, or runs at another place."""
    before = parent.flows()
    if isinstance(child.stem, Graph) and child.stem is not parent.stem:
        fault = frame_fault(child.stem, Flow(child.in_channels, child.image()))
        if fault:
            return Rejection(Reason.DEGENERATE, f"stem, {fault}")
    same = {(id(stage), *before[s : s + 2]) for s, stage in enumerate(parent.stages)}
    for s, stage in enumerate(child.stages):
        given, at = flows[s], flows[s + 1]
        if (id(stage), given, at) in same:
            continue
        old = parent.stages[s] if s < len(parent.stages) and before[s + 1] == at else None
        known = {id(graph) for block in old.blocks for graph in block.subblocks} if old else set[int]()
        if stage.transition is not None and not (old and stage.transition is old.transition and before[s] == given):
            fault = frame_fault(stage.transition, given)
            if fault:
                return Rejection(Reason.DEGENERATE, f"stage {s + 1}, transition, {fault}")
        elif (
            stage.transition is None and given.place[2:] == (1, 1) and not (old and old.transition is None and before[s] == given)
        ):
            return Rejection(Reason.DEGENERATE, f"stage {s + 1} would halve a map of one pixel")
        for b, block in enumerate(stage.blocks):
            for graph in block.subblocks:
                fault = None if graph is None or id(graph) in known else block_fault(graph, at)
                if fault:
                    return Rejection(Reason.DEGENERATE, f"stage {s + 1}, block {b + 1}, {fault}")
    if child.head is not None and (child.head is not parent.head or flows[-1] != before[-1]):
        fault = frame_fault(child.head, flows[-1])
        if fault:
            return Rejection(Reason.DEGENERATE, f"head, {fault}")
    return None
